"""Results of a decoding pass: segments of a source (clips and gaps), and their times.

Legend: T frames.
"""

import itertools
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from statistics import median
from typing import Any

from pipeline.analyze.signals.frame_view import Span
from video.probe import Probe

_MEDIAN_STEPS = 64
"""The last frame of a source lasts as long as the median of this many steps before it."""
_HOLE_STEPS = 8
"""Steps whose median a hole is compared with: as many as a chunk has decoded before it begins."""
_MIN_HOLE_STEPS = 4
"""With fewer, the rate is not known yet."""
_MIN_HOLE_S = 2.0
"""Least time without a frame that ends a clip, unless frames are that far apart anyway."""
_HOLE_OVER_STEP = 10
"""Least length of a hole over the median step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A clip or a gap, [start_pts, end_pts)."""

    start_pts: int
    end_pts: int
    num_frames: int
    height: int = 0
    """Display size of its frames, px."""
    width: int = 0
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


class StepClock:
    """Follows the times of frames, to find holes and to estimate how long the last frame lasts."""

    def __init__(self, info: Probe, max_shot_s: float) -> None:
        self._info = info
        self._max_pts = max_shot_s / float(info.time_base)
        self._min_hole_pts = _MIN_HOLE_S / float(info.time_base)
        self._tail: deque[int] = deque(maxlen=_MEDIAN_STEPS + 1)
        """Timestamps of the last frames."""

    def add(self, pts: int) -> None:
        """Add the time of the next frame."""
        self._tail.append(pts)

    def hole_before(self, pts: int) -> int | None:
        """Return where a hole begins that ends with a frame at `pts`; None if there is none."""
        if not self._tail or pts - self._tail[-1] <= self._min_hole_pts:
            return None  # the usual case, first
        steps = [b - a for a, b in itertools.pairwise([*self._tail][-_HOLE_STEPS - 1 :])]
        limit = self._max_pts
        if len(steps) >= _MIN_HOLE_STEPS:
            limit = min(limit, max(self._min_hole_pts, _HOLE_OVER_STEP * median(steps)))
        if pts - self._tail[-1] <= limit:
            return None
        lasts = median(steps) if steps else self._period_pts
        return self._tail[-1] + max(1, min(round(lasts), int(self._max_pts), pts - self._tail[-1]))

    @property
    def end_pts(self) -> int:
        """Estimated end of the last frame."""
        steps = [b - a for a, b in itertools.pairwise(self._tail)]
        if not steps:
            return self._tail[-1] + self._period_pts
        lasts = max(1, round(median(steps)))
        return self._tail[-1] + (min(lasts, int(self._max_pts)) if self._info.kind == "video" else lasts)

    @property
    def _period_pts(self) -> int:
        info = self._info
        return max(1, round(1 / (info.fps * info.time_base))) if info.fps else 1


def split_by_time(
    pts_T: Sequence[int], span: Span, end_pts: int, max_pts: float | Fraction | None
) -> Iterator[Span]:
    """Split a span of frames into the least number of about equal spans that are not longer than `max_pts`.

    They have equally many frames; where these are unevenly far apart, equally many seconds. A frame that
    lasts longer is a span of its own.

    Args:
        pts_T: times of all frames.
        end_pts: end of the last frame of the span.
    """
    start_pts, num_frames = pts_T[span.start], span.end - span.start
    total = end_pts - start_pts
    count = 1 if max_pts is None else max(1, ceil(total / max_pts))
    edges = [span.start + round(i * num_frames / count) for i in range(count + 1)]
    while max_pts is not None and count < num_frames and _longest(pts_T, edges, end_pts) > max_pts:
        targets = (start_pts + i * total / count for i in range(1, count))
        inner = (bisect_left(pts_T, target, span.start, span.end) for target in targets)
        edges = [span.start, *inner, span.end]
        if _longest(pts_T, edges, end_pts) <= max_pts:
            break
        count += 1
        edges = [span.start + round(i * num_frames / count) for i in range(count + 1)]
    yield from (Span(start=a, end=b) for a, b in itertools.pairwise(edges) if b > a)


def _longest(pts_T: Sequence[int], edges: Sequence[int], end_pts: int) -> int:
    times = [*(pts_T[edge] for edge in edges[:-1]), end_pts]
    return max(b - a for a, b in itertools.pairwise(times))
