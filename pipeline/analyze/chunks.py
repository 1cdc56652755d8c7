"""Stretches of a long source, so that many workers analyse one file: each has the shots that begin in it.

A worker enters at a key frame well before its stretch, so that what the shot detector looks back at is there,
and goes on past the end until its last shot is over. So every shot is seen whole by one worker, and clips,
gaps and columns are those of a pass over the whole file.
"""

from pipeline.analysis import FileChunk
from pipeline.analyze.shots.features import REACH_FRAMES, REACH_S
from pipeline.config import AnalyzeConfig
from video.config import SandboxConfig
from video.probe import Probe
from video.seek import is_seekable

WARMUP_S = REACH_S + 0.3
"""A worker must have seen at least so much before its stretch begins."""
WARMUP_FRAMES = 2 * REACH_FRAMES
"""And at least so many frames."""
_LEAST_FPS = 5.0
"""With fewer frames a second the lead would be too long."""


def num_chunks(found: Probe, config: AnalyzeConfig, limits: SandboxConfig, wanted: int) -> int:
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


def split(found: Probe, many: int, source_digest: str) -> tuple[FileChunk, ...]:
    """Return `many` stretches of equal length that cover a source."""
    duration_pts = int((found.duration_s or 0.0) / found.time_base)
    inner = [found.start_pts + duration_pts * k // many for k in range(1, many)]
    edges = [-_FAR, *inner, _FAR]
    return tuple(
        FileChunk(
            index=number,
            count=many,
            start_pts=edges[number],
            end_pts=edges[number + 1],
            first_pts=found.start_pts,
            source_digest=source_digest,
        )
        for number in range(many)
    )


_FAR = 1 << 62
