#!/usr/bin/env bash
# Ray Data 2.60.0: max_errored_blocks=-1 lets a job go on where a row raises, but an actor of map_batches whose
# constructor raises ends the job all the same.
# Seen: the function that raises costs its block; the class whose __init__ raises ends iteration with an exception.
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


class RaisesInCall:
    def __call__(self, batch):
        raise ValueError("a batch")


class RaisesInConstructor(RaisesInCall):
    def __init__(self):
        raise ValueError("no model")


def outcome(kind):
    try:
        return len(list(ray.data.range(4, override_num_blocks=2).map_batches(kind, concurrency=1).iter_rows()))
    except Exception as error:
        return type(error).__name__


call, constructor = outcome(RaisesInCall), outcome(RaisesInConstructor)
same = call == 0 and isinstance(constructor, str)
print(f"{'as found' if same else 'changed'}: __call__ raises: {call} rows; __init__ raises: {constructor}")
raise SystemExit(not same)
PY
