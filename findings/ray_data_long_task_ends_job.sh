#!/usr/bin/env bash
# Ray Data 2.60.0: DataContext.execution_no_progress_timeout_s (1800 by default) ends an execution in which no block moved
# for so long. A single map task that takes longer than that ends the job with ExecutionTimeoutError, also with
# max_errored_blocks=-1, which lets other errors of a task pass.
# Seen, with a limit of 4 s and one task of 12 s: ExecutionTimeoutError; without a limit: 2 rows.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check 'ray[data]==2.60.0' pandas==3.1.1 pyarrow==26.0.1
venv/bin/python - 2>/dev/null <<'PY' | grep -E '^(as found|changed)'
import logging
import time

import ray

ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
context = ray.data.DataContext.get_current()
context.enable_progress_bars = False
context.max_errored_blocks = -1


def slow(row):
    time.sleep(12 if row["id"] else 0)
    return row


def run(limit):
    context.execution_no_progress_timeout_s = limit
    try:
        return f"{len(list(ray.data.range(2, override_num_blocks=2).map(slow).iter_rows()))} rows"
    except Exception as error:
        names = {type(each).__name__ for each in (error, error.__cause__, error.__context__) if each}
        return "ExecutionTimeoutError" if "ExecutionTimeoutError" in names or "ExecutionTimeout" in str(error) else str(names)


limited, unlimited = run(4), run(-1)
same = (limited, unlimited) == ("ExecutionTimeoutError", "2 rows")
print(f"{'as found' if same else 'changed'}: limit of 4 s: {limited}; no limit: {unlimited}")
raise SystemExit(not same)
PY
