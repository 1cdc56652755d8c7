"""Measure how a packed sample is read: `kinora bench loader [--before REV]`.

Each measurement is a process of its own (`benchmarks/loader_child.py`), so that its peak memory is its own.
A 20 s clip of 1280x720, encoded as `kinora curate` cuts, is read to a sample of 17x64x64:

- `sample_cpu_s`, `sample_peak_mb`: processor time, and peak resident memory of the process with all that it
  imports; `sample_grown_mb` is what the peak rises while the sample is read;
- `sample_window_cpu_s`: the mean over starts in one of the windows of 4 s that `kinora curate` makes of it;
- `sample_drawn_cpu_s`: the mean over starts in the whole clip as one window (`cut.window_s` 0);
- `over_bare_decode`: over decoding the frames up to the last one with PyAV, converting none;
- `over_decord`, `decord_import_mb`: over decord reading the same frames, and the memory of importing it.

`kinora encode` with two processes: `encode_s`, and `texts_reencoded` after one caption changed
(`benchmarks/loader_encode.py`). `clips_per_cpu_s` is of batches from demo-like clips without a cache;
`wait_share`, the share of elapsed time in which a training of the VAE of `tiny` waits for its two workers.
Elapsed time needs an idle machine. With --before, `speedup_over_before` and `memory_over_before` compare the
start that both builds read, 0.
"""

import json
import subprocess
import sys
from itertools import chain
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

from rich.table import Table

import kinora
from benchmarks.loader_encode import measure_encode
from benchmarks.loader_sets import write_clips, write_film
from kinora.bench.before import Build, add_worktree, check_imports, checkout, resolve
from kinora.bench.figures import Figures
from manifests.records import Bucket

CHILD = Path(__file__).with_name("loader_child.py")
SAMPLE = Bucket(num_frames=17, height=64, width=64)
NUM_STARTS = 6
"""Starts that are spread over the clip, for the mean."""
SPEEDUP_LIMIT, MEMORY_LIMIT = 8.0, 1 / 20


def bench(*, quick: bool, seed: int, before: str | None = None, turns: int = 3) -> Figures:
    """Measure this checkout, and with `before` also an older commit, in turns."""
    root = Path(kinora.__file__).resolve().parents[1]
    builds = {"now": Build("now", root)}
    if before is not None:
        commit = resolve(checkout(root), before)
        builds["before"] = Build(f"before ({commit[:9]})", add_worktree(root, commit))
        check_imports(builds["before"])
    seconds, num_clips, steps = (3, 8, 2) if quick else (20, 48, 12)
    with TemporaryDirectory() as folder:
        film, clips = Path(folder) / "film", Path(folder) / "clips"
        window_frames = write_film(film, SAMPLE, seconds, seed)
        write_clips(clips, num_clips, seed)
        figures = measure(builds, film, clips, window_frames, turns=1 if quick else turns, steps=steps)
        figures |= measure_encode(builds, Path(folder), 8 if quick else 700, seed)
    return Figures(figures=figures, text=table(figures, before))


def measure(
    builds: dict[str, Build], film: Path, clips: Path, window_frames: int, *, turns: int, steps: int
) -> dict[str, float]:
    """Run every measurement `turns` times and return the figures: the least of the turns of each number, as
    other load only adds."""
    samples: dict[str, list[dict[str, Any]]] = {name: [] for name in builds}
    batches: dict[str, list[dict[str, Any]]] = {name: [] for name in builds}
    bare, decord = [], []
    last = window_frames - SAMPLE.num_frames
    starts = [round(last * (share + 0.5) / NUM_STARTS) for share in range(NUM_STARTS)]
    in_windows = [1001 + 7 * number for number in range(3)]  # of sample 1, the first window
    drawn: dict[int, list[dict[str, Any]]] = {number: [] for number in [*starts, *in_windows]}
    now = builds["now"]
    for turn in range(turns):
        for name in [*builds] if turn % 2 == 0 else [*builds][::-1]:
            samples[name].append(run(builds[name], "sample", film, 0))
            batches[name].append(run(builds[name], "batches", clips, steps))
        bare.append(run(now, "bare", film, 0))
        decord.append(run(now, "decord", film, 0))
        for number, costs in drawn.items():
            costs.append(run(now, "sample", film, number))
    digests = {each["digest"] for each in [*chain(*samples.values()), *decord]}
    sample = least(samples["now"])
    drawn_cpu_s, window_cpu_s = (mean(least(drawn[n])["cpu_s"] for n in ns) for ns in (starts, in_windows))
    figures = {
        "sample_cpu_s": sample["cpu_s"],
        "sample_wall_s": sample["wall_s"],
        "sample_peak_mb": sample["peak_mb"],
        "sample_grown_mb": sample["grown_mb"],
        "sample_window_cpu_s": window_cpu_s,
        "sample_drawn_cpu_s": drawn_cpu_s,
        "over_bare_decode": sample["cpu_s"] / least(bare)["cpu_s"],
        "over_decord": sample["cpu_s"] / least(decord)["cpu_s"],
        "decord_import_mb": least(decord)["import_mb"],
        "equal_pixels": float(len(digests) == 1),
        "clips_per_cpu_s": clips_per_cpu_s(batches["now"]),
        "wait_share": run(now, "wait", clips, steps)["wait_share"],
        "turns": turns,
    }
    return figures | (compared(samples, batches, window_cpu_s, drawn_cpu_s) if "before" in builds else {})


def compared(
    samples: dict[str, list[dict[str, Any]]],
    batches: dict[str, list[dict[str, Any]]],
    window_cpu_s: float,
    drawn_cpu_s: float,
) -> dict[str, float]:
    """Return the figures against the older build, with their limits."""
    now, before = least(samples["now"]), least(samples["before"])
    return {
        "before_sample_cpu_s": before["cpu_s"],
        "before_sample_peak_mb": before["peak_mb"],
        "before_clips_per_cpu_s": clips_per_cpu_s(batches["before"]),
        "speedup_over_before": before["cpu_s"] / now["cpu_s"],
        "speedup_over_before_window": before["cpu_s"] / window_cpu_s,
        "speedup_over_before_drawn": before["cpu_s"] / drawn_cpu_s,
        "speedup_over_before_wall": before["wall_s"] / now["wall_s"],
        "speedup_limit": SPEEDUP_LIMIT,
        "memory_over_before": now["peak_mb"] / before["peak_mb"],
        "memory_grown_over_before": now["grown_mb"] / before["grown_mb"],
        "memory_limit": MEMORY_LIMIT,
        "clips_over_before": clips_per_cpu_s(batches["now"]) / clips_per_cpu_s(batches["before"]),
    }


def clips_per_cpu_s(turns: list[dict[str, Any]]) -> float:
    return turns[0]["clips"] / least(turns)["cpu_s"]


def least(turns: list[dict[str, Any]]) -> dict[str, float]:
    """Return the least of each number over the turns."""
    return {
        name: min(each[name] for each in turns)
        for name, value in turns[0].items()
        if isinstance(value, int | float)
    }


def run(build: Build, task: str, shards: Path, number: int) -> dict[str, Any]:
    """Run one measurement on a build. Raises ChildProcessError, with the last lines of its errors."""
    command = [sys.executable, "-P", str(CHILD), task, str(shards), str(number)]
    done = subprocess.run(
        command, cwd=build.root, env=build.env(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ChildProcessError(f"{build.label}: {task}: {done.stderr[-1000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def table(figures: dict[str, float], before: str | None) -> Table:
    """Return a row for each figure."""
    title = f"a sample of 17x64x64 from 20 s of 720p{f', against {before}' if before else ''}"
    rows = Table(title=title, box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in figures.items():
        rows.add_row(name, f"{value:.4g}")
    return rows
