"""Read captions of a dataset, by our store or by DuckDB on the same Parquet files, in a process of its own.

`python -m benchmarks.manifests_scan ours|duckdb|figures DATASET` prints a JSON object. A scan reads columns
of all captions into Arrow; `figures` reads those of a review (`manifests.review.facts`).
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

COLUMNS = ("media_id", "version", "outcome", "text")


def ours(dataset: Dataset) -> pa.Table:
    """Scan by `Dataset.read`."""
    return dataset.read("captions", COLUMNS)


def with_duckdb(dataset: Dataset) -> pa.Table:
    """Scan by DuckDB, which reads the files itself."""
    paths = [str(dataset.root / part.path) for part in dataset.parts("captions")]
    return duckdb.connect().sql(f"SELECT {', '.join(COLUMNS)} FROM read_parquet({paths})").to_arrow_table()


def main(task: str, uri: str) -> dict[str, float]:
    """Run one scan, or read the figures of a review."""
    dataset = Dataset.open(uri)
    begin, cpu = time.monotonic(), time.process_time()
    if task == "figures":
        figures = dataset_figures(LiveView(dataset))
        return {**_since(begin, cpu), "rows": figures.media, "peak_mb": peak_mb()}
    found = ours(dataset) if task == "ours" else with_duckdb(dataset)
    taken = _since(begin, cpu)
    num_bytes = pc.sum(pc.binary_length(found["text"])).as_py()
    return {**taken, "rows": found.num_rows, "bytes": num_bytes, "peak_mb": peak_mb()}


def _since(begin: float, cpu: float) -> dict[str, float]:
    return {"seconds": time.monotonic() - begin, "cpu_s": time.process_time() - cpu}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
