#!/usr/bin/env bash
# Ray Data 2.60.0 runs one task at a time in the first second of a dataset's execution: it asks for the cluster's
# resources without waiting, has none until the answer comes, and looks again after one second.
# Seen: 8 tasks of 0.5 s on 4 CPUs; in the first 0.9 s one runs alone, later several at once.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check 'ray[data]==2.60.0' pandas==3.1.1 pyarrow==26.0.1
venv/bin/python - <<'PY'
import logging
import time

import ray

ray.init(num_cpus=4, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
ray.data.DataContext.get_current().enable_progress_bars = False


def sleep(row):
    begin = time.time()
    time.sleep(0.5)
    return {"begin": begin, "end": time.time()}


@ray.remote
def warm():
    time.sleep(1)


def at_once():
    """Return how many tasks ran beside the first one, and the largest number that ever ran at once."""
    rows = sorted(ray.data.range(16, override_num_blocks=16).map(sleep).iter_rows(), key=lambda row: row["begin"])
    first = rows[0]
    beside = sum(row["begin"] < first["end"] for row in rows[1:])
    largest = max(sum(row["begin"] <= moment["begin"] < row["end"] for row in rows) for moment in rows)
    return beside, largest


ray.get([warm.remote() for _ in range(4)])  # worker processes are up
runs = [at_once() for _ in range(3)]
same = sum(beside == 0 and largest > 1 for beside, largest in runs) >= 2
print(f"{'as found' if same else 'changed'}: (beside the first task, at most) in three runs: {runs}")
raise SystemExit(not same)
PY
