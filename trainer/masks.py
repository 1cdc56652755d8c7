"""Sets of clean latent frames, which condition the others: to animate, to extend either way, to connect."""

from collections.abc import Sequence

MASKS = ("first", "last", "ends", "prefix", "suffix")
"""Names of the sets that training draws from."""


def clean_frames(mask: str, frames: int) -> list[int]:
    """Return the indices of a mask's clean latent frames, never all of them."""
    half = max(1, frames // 2)
    masks = {
        "first": [0],
        "last": [frames - 1],
        "ends": [0, frames - 1] if frames > 2 else [0],
        "prefix": list(range(half)),
        "suffix": list(range(frames - half, frames)),
    }
    return masks[mask]


def clean_suffix(clean_T: Sequence[bool]) -> int:
    """Return how many clean latent frames end a clip behind target frames; 0 if all are clean."""
    length = 0
    while length < len(clean_T) and clean_T[len(clean_T) - 1 - length]:
        length += 1
    return length if length < len(clean_T) else 0


def suffix_lengths(frames: int) -> tuple[int, ...]:
    """Return the lengths of the suffixes that the masks leave clean, of a clip of `frames` latent frames."""
    masks = [set(clean_frames(mask, frames)) for mask in MASKS]
    return tuple(sorted({clean_suffix([t in mask for t in range(frames)]) for mask in masks} - {0}))
