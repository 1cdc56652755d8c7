#!/usr/bin/env bash
# Ray Data 2.60.0 with max_errored_blocks=-1: a block whose function raises is dropped from what is iterated, but
# Dataset.count() of the same map counts its rows.
# Seen: 8 rows in 2 blocks, one row raises: 4 rows come, count() says 8.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check 'ray[data]==2.60.0' pandas==3.1.1 pyarrow==26.0.1
venv/bin/python - <<'PY'
import logging

import ray

ray.init(num_cpus=1, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
context = ray.data.DataContext.get_current()
context.max_errored_blocks = -1
context.enable_progress_bars = False


def fails_at_5(row):
    if row["id"] == 5:
        raise ValueError("row 5")
    return row


mapped = ray.data.range(8, override_num_blocks=2).map(fails_at_5)
rows, count = sorted(row["id"] for row in mapped.iter_rows()), mapped.count()
same = rows == [0, 1, 2, 3] and count == 8
print(f"{'as found' if same else 'changed'}: rows {rows}, count() {count}")
raise SystemExit(not same)
PY
