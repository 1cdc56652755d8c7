"""Compare two folders of videos by the Fréchet video distance (FVD), with a feature network that you name."""

import sys
from dataclasses import dataclass
from typing import Annotated

from kinora.cli.result import Exit, Result
from kinora.evaluation.fvd import compute_features, compute_fvd
from kinora.evaluation.video_files import FramePlan, Pick, list_videos
from kinora.evaluation.video_network import FRAMES, load_network
from manifests.ranges import NonNegativeInt, PositiveFloat, Range, UnitFloat, check_ranges

_SHOWN_FAILURES = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings of a comparison."""

    real: str
    """Folder of real videos, read at any depth, or a .txt file with a path a line."""
    generated: str
    """Folder or list of generated videos."""
    network: str
    """Folder of a video model of transformers as safetensors (VideoMAE, V-JEPA 2, ViViT, TimeSformer, …), of
    which the mean of the last layer's tokens is taken; or `MODULE:FUNCTION`, which takes frames_THWC (uint8,
    RGB, in the size of the video) and returns a vector."""
    frames: Annotated[int, Range(min=2)] | None = None
    """Frames of each video; by default those that the network was made for, else 16."""
    pick: Pick = "first"
    """`first`: frames from the start; `spread`: evenly over the whole video."""
    fps: PositiveFloat | None = None
    """Frames a second of `first`, where the two sets have different rates; by default every frame."""
    max_videos: NonNegativeInt = 0
    """Take at most this many of each, evenly spaced by name; 0 for all."""
    max_failed: UnitFloat = 0.01
    """Fraction of the videos that may be unreadable or too short; the exit code is 10 above it."""
    device: str | None = None
    """`cpu`, `cuda` or `cuda:1`; by default the GPU where there is one."""

    __post_init__ = check_ranges


def run(config: Config) -> Result:
    """Measure the distance. Raises ValueError or OSError for what cannot be compared."""
    if config.pick == "spread" and config.fps is not None:
        raise ValueError("--fps is for --pick first; spread takes frames over the whole video")
    sets = {
        name: list_videos(getattr(config, name), f"--{name}", config.max_videos)
        for name in ("real", "generated")
    }
    network = load_network(config.network, config.device)
    plan = FramePlan(frames=config.frames or network.frames or FRAMES, pick=config.pick, fps=config.fps)
    found = {name: compute_features(paths, network, plan, _print) for name, paths in sets.items()}
    failed = [each for features in found.values() for each in features.failed]
    fvd = compute_fvd(found["real"], found["generated"])
    halves = "" if fvd.between_halves is None else f"; real against real, in halves: {fvd.between_halves:.4g}"
    lines = [
        f"FVD {fvd.fvd:.4g}{halves}",
        f"{fvd.num_real} real and {fvd.num_generated} generated videos, {plan.frames} frames each, "
        f"{fvd.num_features} features of {network.name}",
        *fvd.notes,
    ]
    if failed:
        lines.append(f"{len(failed)} could not be used:")
        lines += [f"  {path}: {reason}" for path, reason in failed[:_SHOWN_FAILURES]]
        lines += [f"  and {len(failed) - _SHOWN_FAILURES} more"] if len(failed) > _SHOWN_FAILURES else []
    data = {
        **fvd.to_json(),
        "network": network.name,
        "frames": plan.frames,
        "pick": plan.pick,
        "fps": plan.fps,
        "failed": [{"path": path, "reason": reason} for path, reason in failed],
    }
    too_many = len(failed) > config.max_failed * sum(map(len, sets.values()))
    return Result(data, "\n".join(lines), Exit.FAILED if too_many else Exit.DONE)


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
