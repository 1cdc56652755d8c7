#!/usr/bin/env bash
# DuckDB 2.0.0: read_parquet over files in which a column (a frame rate, made from JSON) is an integer in the first and
# a float in the next takes the first file's type and rounds the others' values, without an error. union_by_name keeps
# them.
# Seen: [24, 24] by default, [24.0, 23.976] with union_by_name=true.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check duckdb==2.0.0 pyarrow==26.0.1
venv/bin/python - <<'PY'
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

pq.write_table(pa.table({"fps": [24]}), "a.parquet")
pq.write_table(pa.table({"fps": [23.976]}), "b.parquet")


def rates(options):
    query = f"SELECT fps FROM read_parquet(['a.parquet', 'b.parquet']{options}) ORDER BY fps DESC"
    return [rate for (rate,) in duckdb.sql(query).fetchall()]


default, by_name = rates(""), rates(", union_by_name = true")
same = default == [24, 24] and by_name == [24.0, 23.976]
print(f"{'as found' if same else 'changed'}: {default} by default, {by_name} with union_by_name")
raise SystemExit(not same)
PY
