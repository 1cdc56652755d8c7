#!/usr/bin/env bash
# pyarrow 26.0.1: `binary_join_element_wise(…, null_handling="skip")` leaves a row out of its result if all of its values
# are null, so that the result is shorter than the columns and no longer lies beside them.
# Seen: ['x', 'y'] of three rows, the second of which is null in both columns.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pyarrow==26.0.1
venv/bin/python - <<'PY'
import pyarrow as pa
import pyarrow.compute as pc

one, other = pa.array(["x", None, None]), pa.array([None, None, "y"])
joined = pc.binary_join_element_wise(one, other, ", ", null_handling="skip").to_pylist()
same = joined == ["x", "y"]
print(f"{'as found' if same else 'changed'}: the join of 3 rows has {len(joined)}: {joined}")
raise SystemExit(not same)
PY
