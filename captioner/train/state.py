"""State of a training loop that a stopped run goes on from, and the folder that it ends in."""

import math
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from manifests.replacing import replacing


def save_state(
    path: Path, step: int, settings: str, weights: Sequence[Tensor], optimizer: torch.optim.Optimizer
) -> None:
    """Write the state after `step` steps beside `path`, and put it there in one step."""
    state = {"step": step, "config": settings, "weights": [each.data for each in weights]}
    with replacing(path) as partial:
        torch.save(state | {"optimizer": optimizer.state_dict()}, partial)


def load_state(path: Path, settings: str, weights: Sequence[Tensor], optimizer: torch.optim.Optimizer) -> int:
    """Load the state of a stopped run, if there is one; return its step, else 0.

    Raises ValueError for a run of other settings.
    """
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True, map_location="cpu")
    if state["config"] != settings:
        raise ValueError(f"{path}: is of a run with other settings; repeat them, or name another out")
    for weight, saved in zip(weights, state["weights"], strict=True):
        weight.data.copy_(saved)
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def cosine_scale(step: int, *, warmup_steps: int, steps: int) -> float:
    """Return the fraction of the learning rate: a linear warm-up, then half a cosine."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(1, steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * done))


@contextmanager
def replacing_folder(folder: Path) -> Generator[Path]:
    """Yield an empty folder, which takes the place of `folder` when the block ends without an error."""
    partial, former = (folder.with_name(f".{folder.name}.{word}") for word in ("partial", "former"))
    for leftover in (partial, former):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    if folder.exists():
        folder.replace(former)
    partial.replace(folder)
    shutil.rmtree(former, ignore_errors=True)
