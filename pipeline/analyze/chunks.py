"""Split a long file into chunks for several workers. Each emits the shots that begin in its chunk.

A worker seeks to a key frame at least `WARMUP_S` before its chunk, to fill the window of the shot detector,
and decodes past the end of the chunk until its last shot ends. Clips, gaps and columns equal those of one
pass over the whole file.
"""

from pipeline.analysis import FileChunk
from pipeline.analyze.shots.features import CONTEXT_FRAMES, CONTEXT_S
from pipeline.config import AnalyzeConfig
from video.config import SandboxConfig
from video.probe import Probe
from video.seek import is_seekable

WARMUP_S = CONTEXT_S + 0.3
"""Least time decoded before a chunk begins."""
WARMUP_FRAMES = 2 * CONTEXT_FRAMES
"""Least number of frames decoded before a chunk begins."""
_MIN_FPS = 5.0
"""Below this rate, `WARMUP_FRAMES` would last too long."""
_INFINITE_PTS = 1 << 62


def num_chunks(info: Probe, config: AnalyzeConfig, limits: SandboxConfig, max_chunks: int) -> int:
    """Return the number of chunks to split a file into, 1 to `max_chunks`; 1 if it cannot be split."""
    can_split = (
        info.kind == "video"
        and config.min_chunk_s > 0
        and config.detector == "learned"  # the other detectors need every frame from the first on
        and is_seekable(info.container, info.codec)
        and not info.interlaced
        and info.fps >= _MIN_FPS
    )
    duration_s = info.duration_s or 0.0
    if not can_split or duration_s * info.fps > limits.max_frames:
        return 1
    return max(1, min(max_chunks, int(duration_s / config.min_chunk_s)))


def split(info: Probe, count: int, source_digest: str) -> tuple[FileChunk, ...]:
    """Split a file into `count` chunks of equal duration."""
    duration_pts = int((info.duration_s or 0.0) / info.time_base)
    inner = [info.start_pts + duration_pts * k // count for k in range(1, count)]
    edges = [-_INFINITE_PTS, *inner, _INFINITE_PTS]
    return tuple(
        FileChunk(
            index=index,
            count=count,
            start_pts=edges[index],
            end_pts=edges[index + 1],
            first_pts=info.start_pts,
            source_digest=source_digest,
        )
        for index in range(count)
    )
