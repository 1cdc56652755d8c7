"""Results of a decoding pass: segments of a source (clips and gaps), and their times.

Legend: T frames.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from video.probe import Probe

_MEDIAN_STEPS = 64
"""The last frame of a source lasts as long as the median of this many steps before it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A clip or a gap, [start_pts, end_pts)."""

    start_pts: int
    end_pts: int
    num_frames: int
    columns: dict[str, Any] = field(default_factory=dict)
    """Score columns of a clip; empty for a gap."""
    frames: tuple[bytes, ...] = ()
    """JPEGs of a clip for the scorers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PassResult:
    """Segments of a source, or of a chunk of it."""

    start_pts: int
    end_pts: int
    """One past the last frame's time."""
    num_frames: int
    clips: list[Segment]
    gaps: list[tuple[Segment, str]]
    """Each with its reason."""


def frame_pts(pts_T: Sequence[int], index: int, info: Probe) -> int:
    """Return the time of a frame; for index T, the estimated end of the last frame."""
    if index < len(pts_T):
        return pts_T[index]
    tail = pts_T[-_MEDIAN_STEPS - 1 :]
    if len(tail) > 1:
        return tail[-1] + max(1, round(median(b - a for a, b in itertools.pairwise(tail))))
    return tail[-1] + max(1, round(1 / (info.fps * info.time_base)) if info.fps else 1)
