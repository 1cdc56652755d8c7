"""Read captions of a dataset, by our store or by DuckDB on the same Parquet files, in a process of its own.

`python -m benchmarks.manifests_scan ours|duckdb|figures DATASET` prints a JSON object. A scan reads three columns of
all captions, and counts the rows and characters by outcome.
"""

import json
import sys
import time

import duckdb
import pyarrow as pa

from benchmarks.manifests_child import peak_mb
from manifests.arrow import pc
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.review.facts import dataset_figures

COLUMNS = ("version", "outcome", "text")
_DUCKDB = """
    SELECT version, outcome, count(*) AS rows, coalesce(sum(length(text)), 0)::BIGINT AS chars
    FROM read_parquet(?) GROUP BY ALL ORDER BY ALL
"""


def ours(dataset: Dataset) -> list[tuple]:
    """Scan by `Dataset.read`."""
    counted = dataset.read("captions", COLUMNS, _count)
    keys = ["version", "outcome"]
    total = counted.group_by(keys).aggregate([("rows", "sum"), ("chars", "sum")])
    return sorted(tuple(row.values()) for row in total.select([*keys, "rows_sum", "chars_sum"]).to_pylist())


def _count(part: pa.Table) -> pa.Table:
    lengths = part.append_column("chars", pc.coalesce(pc.utf8_length(part["text"]), 0))
    total = lengths.group_by(["version", "outcome"]).aggregate([([], "count_all"), ("chars", "sum")])
    return total.rename_columns({"count_all": "rows", "chars_sum": "chars"})


def with_duckdb(dataset: Dataset) -> list[tuple]:
    """Scan by DuckDB, which reads the files itself."""
    paths = [str(dataset.root / part.path) for part in dataset.parts("captions")]
    return duckdb.execute(_DUCKDB, [paths]).fetchall()


def main(task: str, uri: str) -> dict:
    """Run one scan, or read the figures of a review."""
    dataset = Dataset.open(uri)
    begin, cpu = time.monotonic(), time.process_time()
    if task == "figures":
        rows = [dataset_figures(LiveView(dataset)).media]
    else:
        rows = ours(dataset) if task == "ours" else with_duckdb(dataset)
    seconds, cpu_s = time.monotonic() - begin, time.process_time() - cpu
    return {"seconds": seconds, "cpu_s": cpu_s, "rows": rows, "peak_mb": peak_mb()}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
