"""Measure the cost of the decode sandbox: `kinora bench sandbox`.

The same files are analysed and cut with and without it, in turns. `sandbox_cost_share` is the extra processor
time with the sandbox (this process and its child), over the time without it; the minimum over the repeats of
each file counts, as other load only adds. Both run the same functions; with the sandbox, attempts are logged
too. The child is warm, as in a Ray worker. `parent_share` is the share of this process alone;
`sandbox_cost_share_wall` is the same in elapsed time, which needs an idle machine.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from kinora.bench.figures import Figures
from pipeline.analysis import Analysis
from pipeline.analyze.task import analyze_file
from pipeline.config import AnalyzeConfig
from pipeline.runtime.attempt_log import AttemptLog
from pipeline.sources.stat import stat_source
from video.config import SandboxConfig
from video.cut import cut
from video.encode import encode_mp4
from video.sandbox import Sandbox


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Time that one file took."""

    wall_s: float
    cpu_s: float
    """Processor time of this process and the sandbox's child."""
    parent_s: float
    """Processor time of this process alone."""


def bench(*, quick: bool, seed: int) -> Figures:
    """Analyse and cut files with and without the sandbox, in turns."""
    files, repeats, seconds = (2, 1, 1.0) if quick else (3, 6, 3.0)
    with TemporaryDirectory() as folder:
        paths = write_files(Path(folder), files, seconds, seed)
        figures = run(paths, repeats)
    return Figures(
        figures=figures, text="\n".join(f"{name:<32}{value:10.4f}" for name, value in figures.items())
    )


def run(paths: list[str], repeats: int) -> dict[str, float]:
    """Measure each file `repeats` times without and with the sandbox; return the figures."""
    inside: list[Cost] = []
    outside: list[Cost] = []
    with TemporaryDirectory() as attempts_uri, Sandbox(SandboxConfig()) as sandbox:
        boxed = partial(with_sandbox, sandbox, AttemptLog(Path(attempts_uri)))
        if boxed(paths[0]) != without_sandbox(paths[0]):
            raise ValueError(
                f"{paths[0]}: the sandbox gives other clips than no sandbox; its cost means nothing"
            )
        for path in paths:
            turns: tuple[list[Cost], list[Cost]] = ([], [])
            for _ in range(repeats):
                turns[0].append(timed(partial(without_sandbox, path), sandbox))
                turns[1].append(timed(partial(boxed, path), sandbox))
            outside.append(minimum(turns[0]))
            inside.append(minimum(turns[1]))
    cpu_s = sum(cost.cpu_s for cost in outside)
    return {
        "sandbox_cost_share": sum(cost.cpu_s for cost in inside) / cpu_s - 1,
        "sandbox_cost_share_wall": sum(c.wall_s for c in inside) / sum(c.wall_s for c in outside) - 1,
        "parent_share": sum(cost.parent_s for cost in inside) / cpu_s,
        "ms_per_file_without": 1000 * cpu_s / len(paths),
        "files": len(paths),
        "repeats": repeats,
    }


def minimum(costs: list[Cost]) -> Cost:
    """Return the minimum of each field."""
    return Cost(
        wall_s=min(cost.wall_s for cost in costs),
        cpu_s=min(cost.cpu_s for cost in costs),
        parent_s=min(cost.parent_s for cost in costs),
    )


def without_sandbox(path: str) -> list[bytes]:
    """Analyse and cut in this process."""
    analysis = analyze_file(stat_source(path), AnalyzeConfig(), SandboxConfig())
    return [clip.media for clip in cut(path, spans(analysis))]


def with_sandbox(sandbox: Sandbox, attempts: AttemptLog, path: str) -> list[bytes]:
    """Analyse and cut in the sandbox, as a Ray worker does."""
    source = stat_source(path)
    task = partial(analyze_file, source, AnalyzeConfig(), sandbox.config)
    analysis = attempts.run(source.source_key, path, lambda: sandbox.call(task, path))
    cutting = partial(cut, path, spans(analysis))
    return attempts.run(
        source.source_key, path, lambda: [clip.media for clip in sandbox.stream(cutting, path)]
    )


def spans(analysis: Analysis) -> tuple[tuple[int, int], ...]:
    """Return the (start, end) pts of all clips, in time order."""
    return tuple(sorted((clip["start_pts"], clip["end_pts"]) for clip in analysis.clips))


def timed(work: Callable[[], object], sandbox: Sandbox) -> Cost:
    """Run `work` and measure its time, in this process and in the sandbox's child."""
    child, wall, parent = child_cpu_s(sandbox), time.perf_counter(), time.process_time()
    work()
    wall_s, parent_s = time.perf_counter() - wall, time.process_time() - parent
    return Cost(wall_s=wall_s, cpu_s=parent_s + child_cpu_s(sandbox) - child, parent_s=parent_s)


def child_cpu_s(sandbox: Sandbox) -> float:
    """Return the child's processor time so far."""
    return sandbox.call(time.process_time, "")


def write_files(folder: Path, count: int, seconds: float, seed: int) -> list[str]:
    """Write moving videos of 640x360 at 25 frames per second, with a cut every two seconds."""
    random = np.random.default_rng(seed)
    paths = []
    for number in range(count):
        path = folder / f"{number}.mp4"
        shots = [random.integers(0, 255, (12, 20, 3), np.uint8) for _ in range(max(1, round(seconds / 2)))]
        frames = (
            frame(shots[min(index // 50, len(shots) - 1)], index) for index in range(round(seconds * 25))
        )
        encode_mp4(frames, 25, path)
        paths.append(str(path))
    return paths


def frame(tiles_HWC: np.ndarray, index: int) -> np.ndarray:
    """Return a 640x360 picture of tiles, shifted right by 2 pixels per frame."""
    rgb_HWC = np.kron(tiles_HWC, np.ones((30, 32, 1), np.uint8))
    return np.ascontiguousarray(np.roll(rgb_HWC, 2 * index, axis=1))
