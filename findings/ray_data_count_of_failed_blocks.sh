#!/usr/bin/env bash
# Ray Data 2.60.0 with max_errored_blocks=-1: a block whose function raises is dropped from what is iterated. Where the
# number of input rows is known, as after from_items, Dataset.count() takes it without running the map, and so counts
# the dropped rows too; after materialize() it does not.
# Seen: 8 rows in 2 blocks, one row raises: count() 8, 4 rows iterated, 4 counted after materialize().
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check 'ray[data]==2.60.0' pandas==3.1.1 pyarrow==26.0.1
venv/bin/python - 2>/dev/null <<'PY' | grep -E '^(as found|changed)'
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


items = [{"id": index} for index in range(8)]
mapped = ray.data.from_items(items, override_num_blocks=2).map(fails_at_5)
count, rows = mapped.count(), sorted(row["id"] for row in mapped.iter_rows())
materialized = mapped.materialize().count()
same = (count, rows, materialized) == (8, [0, 1, 2, 3], 4)
print(f"{'as found' if same else 'changed'}: count() {count}, rows {rows}, count() after materialize() {materialized}")
raise SystemExit(not same)
PY
