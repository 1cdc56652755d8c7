"""Stretches of a long source, so that many workers analyse one file: each has the shots that begin in it.

A worker enters at a key frame well before its stretch, so that what the shot detector looks back at is there,
and goes on past the end until its last shot is over. So every shot is seen whole by one worker, and clips,
gaps and columns are those of a pass over the whole file.
"""

from dataclasses import dataclass

from pipeline.analyze.shots.features import REACH_FRAMES, REACH_S
from pipeline.config import AnalyzeConfig
from video.config import SandboxConfig
from video.probe import Probe
from video.seek import is_seekable

LEAD_S = REACH_S + 0.3
"""A worker must have seen at least so much before its stretch begins."""
LEAD_FRAMES = 2 * REACH_FRAMES
"""And at least so many frames."""
_LEAST_FPS = 5.0
"""With fewer frames a second the lead would be too long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """Part of a source: the shots that begin in [start_pts, end_pts), and the gaps between them."""

    number: int
    """0 for the first."""
    of: int
    """How many stretches there are."""
    start_pts: int
    """Before the first frame in the first stretch."""
    end_pts: int
    """After the last frame in the last stretch."""
    first_pts: int
    """Time of the first frame of the source."""
    source_digest: str


def stretches(found: Probe, config: AnalyzeConfig, limits: SandboxConfig, wanted: int) -> int:
    """Return into how many stretches a source is to be divided: at most `wanted`; 1 if it must be whole."""
    fit = (
        found.kind == "video"
        and config.share_s > 0
        and config.detector == "learned"  # the others look at frames from the first one on
        and is_seekable(found.container, found.codec)
        and not found.interlaced
        and found.fps >= _LEAST_FPS
    )
    duration_s = found.duration_s or 0.0
    if not fit or duration_s * found.fps > limits.max_frames:
        return 1
    return max(1, min(wanted, int(duration_s / config.share_s)))


def cut_up(found: Probe, many: int, source_digest: str) -> tuple[Stretch, ...]:
    """Return `many` stretches of equal length that cover a source."""
    duration_pts = int((found.duration_s or 0.0) / found.time_base)
    inner = [found.start_pts + duration_pts * k // many for k in range(1, many)]
    edges = [-_FAR, *inner, _FAR]
    return tuple(
        Stretch(
            number=number,
            of=many,
            start_pts=edges[number],
            end_pts=edges[number + 1],
            first_pts=found.start_pts,
            source_digest=source_digest,
        )
        for number in range(many)
    )


_FAR = 1 << 62
