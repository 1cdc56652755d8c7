"""Measure store and review desk at a million clips with five caption versions: `kinora bench manifests`.

A dataset is written directly as parts (benchmarks/captioned_dataset.py). Each measurement is a process of its
own, for its peak memory. DuckDB reads the same Parquet files beside our scan, in turns. A repack after edits
and a full pack (benchmarks/repack.py) are of a smaller dataset with media, and a film of 20 minutes
(benchmarks/long_film.py) is the only clip of another one.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from benchmarks.captioned_dataset import make
from benchmarks.long_film import MINUTES, QUICK_MINUTES, measure_film
from benchmarks.repack import measure_repack
from kinora.bench.figures import Figures

CLIPS, QUICK_CLIPS, VERSIONS = 1_000_000, 20_000, 5
PACKED, QUICK_PACKED, EDITS = 100_000, 1_000, 100
"""Clips of the set that is packed twice, and edits in between, which change an eighth of its caption tars."""
TURNS = 3
"""Of the scans, which alternate, and of the import."""
LIMITS = {
    "first_page_s": 1.0,
    "next_clip_s": 0.15,
    "search_s": 1.0,
    "import_s": 0.3,
    "scan_over_duckdb": 1.2,
    "film_seek_s": 0.15,
    "edit_s": 0.05,
    "repack_over_full": 0.05,
    "peak_rss_mb": 1500.0,
}
_IMPORT = "import time; t = time.perf_counter(); import manifests; print(time.perf_counter() - t)"


def bench(*, quick: bool, seed: int) -> Figures:
    """Measure. The peak of memory is the largest of the desk's: opened, paging, reviewing and searching."""
    clips = QUICK_CLIPS if quick else CLIPS
    figures: dict[str, float] = {"clips": clips, "captions": clips * VERSIONS}
    with tempfile.TemporaryDirectory(prefix="kinora-manifests-") as scratch:
        dataset, state = f"{scratch}/d", f"{scratch}/state"
        make(Path(dataset), clips, versions=VERSIONS, seed=seed)
        figures |= scans(dataset)
        figures |= desk(dataset, state)
        measured = child("benchmarks.manifests_scan", "figures", dataset)
        figures |= {"report_figures_s": measured["seconds"], "report_figures_rss_mb": measured["peak_mb"]}
    figures["import_s"] = median(float(python("-c", _IMPORT)) for _ in range(TURNS))
    figures |= repack(QUICK_PACKED if quick else PACKED, seed)
    with tempfile.TemporaryDirectory(prefix="kinora-manifests-") as scratch:
        figures |= measure_film(Path(scratch), minutes=QUICK_MINUTES if quick else MINUTES)
    return Figures(figures={name: round(value, 5) for name, value in figures.items()}, text=table(figures))


def scans(dataset: str) -> dict[str, float]:
    """Return the time of our scan of all captions and of DuckDB's, as medians over the turns."""
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "duckdb": []}
    for turn in range(TURNS):
        for side in (*found,)[:: 1 if turn % 2 else -1]:
            found[side].append(child("benchmarks.manifests_scan", side, dataset))
    read = {(run["rows"], run["bytes"]) for runs in found.values() for run in runs}
    if len(read) != 1:
        raise RuntimeError(f"our scan and DuckDB's read other rows and bytes: {sorted(read)}")
    seconds = {side: median(run["seconds"] for run in runs) for side, runs in found.items()}
    cpu_s = {side: median(run["cpu_s"] for run in runs) for side, runs in found.items()}
    return {
        "scan_s": seconds["ours"],
        "duckdb_scan_s": seconds["duckdb"],
        "scan_over_duckdb": seconds["ours"] / seconds["duckdb"],
        "scan_cpu_over_duckdb": cpu_s["ours"] / cpu_s["duckdb"],
        "scan_rss_mb": max(run["peak_mb"] for run in found["ours"]),
    }


def desk(dataset: str, state: str) -> dict[str, float]:
    """Return what the review desk takes: its first start, which builds the index, pages, searches, clips."""
    built = child("benchmarks.manifests_child", "build", dataset, state)
    size = sum(path.stat().st_size for path in Path(state).rglob("*") if path.is_file())
    figures = {
        "index_build_s": built["seconds"],
        "index_build_cpu_s": built["cpu_s"],
        "index_mb": size / 1e6,
        "index_build_rss_mb": built["peak_mb"],
    }
    peak = built["peak_mb"]
    for task in ("page", "search", "clips"):
        measured = child("benchmarks.manifests_child", task, dataset, state)
        peak = max(peak, measured.pop("peak_mb"))
        figures |= measured
    return {**figures, "peak_rss_mb": peak}


def repack(clips: int, seed: int) -> dict[str, float]:
    """Return the time of a full pack of a split set, and of a repack after edits."""
    with tempfile.TemporaryDirectory(prefix="kinora-manifests-") as scratch:
        found = measure_repack(Path(scratch), clips=clips, edits=EDITS, seed=seed)
    return {
        "packed_clips": found.samples,
        "full_pack_s": found.full_pack_s,
        "repack_s": found.repack_s,
        "repack_over_full": found.repack_over_full,
        "repack_tars_written": found.tars_written,
    }


def child(module: str, *arguments: str) -> dict[str, Any]:
    """Run a module in a process of its own and return the JSON object that it prints last."""
    return json.loads(python("-m", module, *arguments).splitlines()[-1])


def python(*arguments: str) -> str:
    """Run Python and return what it prints. Raises RuntimeError with the end of its messages."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def table(figures: dict[str, float]) -> Table:
    """Return the figures as a table, those with a goal first."""
    shown = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("figure", "measured", "goal", ""):
        shown.add_column(heading, justify="right" if heading in ("measured", "goal") else "left")
    for name, limit in LIMITS.items():
        met = "met" if figures[name] <= limit else "missed"
        shown.add_row(name, f"{figures[name]:.4g}", f"{limit:g}", met)
    for name, value in figures.items():
        if name not in LIMITS:
            shown.add_row(name, f"{value:.4g}" if value < 1e4 else f"{value:.0f}", "", "")
    return shown
