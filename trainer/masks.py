"""Sets of clean latent frames, which condition the others: to animate, to extend either way, to connect."""

from collections.abc import Sequence

import numpy as np

FIXED_MASKS = ("first", "last", "ends", "prefix", "suffix")
"""Sets that depend on the number of latent frames alone."""
MASKS = (*FIXED_MASKS, "start", "continue", "bridge")
"""Names of all sets: `start` draws how many first frames are clean, `continue` how many after a new first
one, as in a window in the middle of a video, `bridge` how many on each side, with or without the first."""


def clean_frames(mask: str, frames: int) -> list[int]:
    """Return the indices of the clean latent frames of one of FIXED_MASKS, never all of them."""
    half = max(1, frames // 2)
    masks = {
        "first": [0],
        "last": [frames - 1],
        "ends": [0, frames - 1] if frames > 2 else [0],
        "prefix": list(range(half)),
        "suffix": list(range(frames - half, frames)),
    }
    return masks[mask]


def draw_clean_frames(mask: str, frames: int, rng: np.random.Generator) -> list[int]:
    """Return the indices of the clean latent frames of one of MASKS, never all of them.

    A clip too short for `continue` or `bridge` has its first frame clean.
    """
    if mask == "start":
        return list(range(rng.integers(1, frames)))
    if mask == "continue":
        return list(range(1, 1 + rng.integers(1, frames - 1))) if frames > 2 else [0]
    if mask != "bridge":
        return clean_frames(mask, frames)
    begin = int(rng.integers(2))
    suffixes = [length for length in suffix_lengths(frames) if begin + 1 + length < frames]
    if not suffixes:
        return [0]
    suffix = suffixes[rng.integers(len(suffixes))]
    before = int(rng.integers(1, frames - begin - suffix))
    return [*range(begin, begin + before), *range(frames - suffix, frames)]


def clean_suffix(clean_T: Sequence[bool]) -> int:
    """Return how many clean latent frames end a clip behind target frames; 0 if all are clean."""
    length = 0
    while length < len(clean_T) and clean_T[len(clean_T) - 1 - length]:
        length += 1
    return length if length < len(clean_T) else 0


def suffix_lengths(frames: int) -> tuple[int, ...]:
    """Return the lengths of the suffixes that the masks leave clean, of a clip of `frames` latent frames.

    Each is encoded apart, so that they are few.
    """
    masks = [set(clean_frames(mask, frames)) for mask in FIXED_MASKS]
    return tuple(sorted({clean_suffix([t in mask for t in range(frames)]) for mask in masks} - {0}))
