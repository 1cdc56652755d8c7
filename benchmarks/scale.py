"""Measure time and memory at a million clips, and memory growth of the driver: `kinora bench scale`.

A dataset is written directly as parts (benchmarks/synthetic_dataset.py), and each command runs on it in its
own process. Where a stricter rule drops a keeper, its copies are compared again and cut, which fails here
because the files are empty. Growth is measured on real work: many tiny stills, from listing to cutting.
"""

import tempfile
from pathlib import Path

import cv2
import numpy as np

from benchmarks.run_command import Run, kinora
from benchmarks.synthetic_dataset import CLIPS_PER_SOURCE, COMMITS, PARTS, make, touch
from kinora.bench.figures import Figures
from manifests.dataset import Dataset

CLIPS, QUICK_CLIPS = 1_000_000, 20_000
FEW, MANY = 100, 2_000
"""Numbers of sources between which the driver's memory may grow."""
LIMIT_S, LIMIT_MB, LIMIT_GROWTH = 30.0, 3000.0, 1.1


def bench(*, quick: bool, seed: int) -> Figures:
    """Measure. `seed` is not used: the inputs are always the same."""
    figures: dict[str, float] = {"limit_s": LIMIT_S, "limit_mb": LIMIT_MB, "limit_growth": LIMIT_GROWTH}
    lines: list[str] = []
    with tempfile.TemporaryDirectory(prefix="kinora-scale-") as scratch:
        runs = on_many_clips(Path(scratch), QUICK_CLIPS if quick else CLIPS, quick=quick, figures=figures)
    for name, run in runs.items():
        figures |= {f"{name}_s": round(run.seconds, 2), f"{name}_cpu_s": round(run.cpu_s, 2)}
        figures[f"{name}_rss_mb"] = round(run.peak_rss_mb, 1)
        lines.append(
            f"{name:<16} {run.seconds:8.1f} s {run.cpu_s:8.1f} s of processor {run.peak_rss_mb:8.0f} MB"
        )
    figures["peak_rss_mb"] = max(figures[f"{name}_rss_mb"] for name in ("status", "dry_run", "reselect"))
    few, many = (growth(num) for num in ((20, 100) if quick else (FEW, MANY)))
    for name, run in (("few", few), ("many", many)):
        figures |= {
            f"driver_{name}_mb": round(run.peak_rss_mb, 1),
            f"store_{name}_mb": round(run.store_mb, 1),
        }
    figures["driver_growth"] = round(
        max(many.peak_rss_mb / few.peak_rss_mb, _total_mb(many) / _total_mb(few)), 3
    )
    lines.append(
        f"driver, and Ray's object store: {few.peak_rss_mb:.0f} + {few.store_mb:.0f} MB with few sources, "
        f"{many.peak_rss_mb:.0f} + {many.store_mb:.0f} MB with many"
    )
    head = f"{figures['clips']:.0f} clips in {figures['parts']:.0f} parts, {figures['commits']:.0f} commits"
    return Figures(figures=figures, text="\n".join([head, *lines]))


def on_many_clips(scratch: Path, clips: int, *, quick: bool, figures: dict[str, float]) -> dict[str, Run]:
    """Write a dataset of about `clips` clips, run commands on it, and return the measurements of each."""
    raw = touch(scratch / "raw", clips // CLIPS_PER_SOURCE)
    uri = str(scratch / "d")
    dataset = make(Path(uri), raw, parts=PARTS // 10 if quick else PARTS, commits=COMMITS)
    table_sizes(dataset, figures)
    source = ["--source", str(scratch / "raw"), "--dataset", uri]
    stricter = ["--select.min-motion", "0.1"]
    runs = {
        "status": kinora(["status", "--dataset", uri], scratch),
        "dry_run": kinora(["curate", *source, "--dry-run"], scratch),
        "dry_run_changed": kinora(["curate", *source, "--dry-run", *stricter, "--cut.crf", "20"], scratch),
        "caption_dry_run": kinora(["caption", "--dataset", uri, "--dry-run"], scratch),
        "pack_dry_run": kinora(["pack", "--dataset", uri, "--out", str(scratch / "o"), "--dry-run"], scratch),
        "reselect": kinora(["curate", *source, *stricter, "--max-failed", "1"], scratch),
    }
    figures["clips"] = runs["status"].data["clips"]["found"]
    report = runs["reselect"].data
    if report["decided"] != figures["clips"] or not report["compared"]:
        raise RuntimeError(f"the re-select decided {report['decided']}, not {figures['clips']:.0f} clips")
    figures |= {"reselect_compared": report["compared"], "reselect_dedup_s": report["seconds"]["dedup"]}
    return runs


def table_sizes(dataset: Dataset, figures: dict[str, float]) -> None:
    """Add bytes per row of each table, and the numbers of commits, parts and bytes of the log."""
    figures |= {"commits": len(dataset.commits), "parts": 0, "log_bytes": 0}
    for table in ("sources", "clips", "gaps", "duplicates", "selections", "media", "captions", "failures"):
        parts = dataset.parts(table)
        figures["parts"] += len(parts)
        figures[f"bytes_a_row_{table}"] = round(
            sum(part.size_bytes for part in parts) / max(1, sum(part.rows for part in parts)), 1
        )
    figures["log_bytes"] = sum(stored.size for stored in dataset.storage.list("_log"))


def growth(num_sources: int) -> Run:
    """Curate `num_sources` tiny stills and return the measurements of the driver."""
    with tempfile.TemporaryDirectory(prefix="kinora-scale-") as scratch:
        raw = Path(scratch) / "raw"
        raw.mkdir()
        rng = np.random.default_rng(num_sources)
        for number in range(num_sources):
            rgb_HWC = np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
            cv2.imwrite(str(raw / f"{number:05d}.png"), rgb_HWC)
        args = ["curate", "--source", str(raw), "--dataset", f"{scratch}/d", "--ray.num-cpus", "2"]
        run = kinora(args, Path(scratch))
        if run.data["cut"] != num_sources:
            raise RuntimeError(f"of {num_sources} stills {run.data['cut']} were cut")
        return run


def _total_mb(run: Run) -> float:
    return run.peak_rss_mb + run.store_mb
