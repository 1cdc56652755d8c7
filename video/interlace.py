"""Deinterlace frames with FFmpeg's bwdif."""

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

import av.error
import av.filter
from av.video.frame import VideoFrame

MIN_SIDE_PX = 4
"""Minimum of bwdif."""
TIME_BASE = Fraction(1, 1000)
"""Frames carry consecutive numbers through the filter; their timestamps are queued outside it."""


class DecodedFrame(NamedTuple):
    """A decoded frame, and what is known of it."""

    frame: VideoFrame
    pts: int
    aspect: Fraction = Fraction(1)
    """Width of a pixel over its height."""
    damaged: bool = False
    """Whether the decoder could not decode it, or a frame that it refers to, from what is in the file."""
    interlaced: bool = False
    """Whether the source frame was flagged as interlaced."""


class Deinterlacer:
    """Deinterlace flagged frames, one output frame per input frame, with unchanged timestamps.

    Frames pass through unchanged until the first flagged one. From then on all go through the filter, which
    has a latency of one frame and leaves unflagged frames unchanged.
    """

    def __init__(self) -> None:
        self.graph: av.filter.Graph | None = None
        self.shape: tuple[int, int, str] | None = None
        self.queue: deque[DecodedFrame] = deque()
        self.number = 0

    def push(self, decoded: DecodedFrame) -> Iterable[DecodedFrame]:
        """Add a frame and return the frames that are ready."""
        frame = decoded.frame
        if self.graph is None and not frame.interlaced_frame:
            return (decoded,)
        return self._filtered(decoded)

    def _filtered(self, decoded: DecodedFrame) -> Iterator[DecodedFrame]:
        frame = decoded.frame
        if self.graph is not None and self.shape != _shape(frame):
            yield from self.flush()
        if self.graph is None and frame.interlaced_frame and min(frame.height, frame.width) >= MIN_SIDE_PX:
            self.graph, self.shape = _build_graph(frame), _shape(frame)
        if self.graph is None:
            yield decoded
            return
        self.queue.append(decoded._replace(interlaced=frame.interlaced_frame))
        self.number += 1
        frame.pts, frame.time_base = self.number, TIME_BASE
        self.graph.vpush(frame)
        yield from self._ready(self.graph)

    def flush(self) -> Iterator[DecodedFrame]:
        """Yield the delayed frames and reset the filter."""
        if self.graph is not None:
            self.graph.vpush(None)
            yield from self._ready(self.graph)
        self.graph = None

    def _ready(self, graph: av.filter.Graph) -> Iterator[DecodedFrame]:
        while self.queue:
            try:
                frame = graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            original = self.queue.popleft()
            copy_colors(original.frame, frame)
            yield original._replace(frame=frame)


def copy_colors(source: VideoFrame, target: VideoFrame) -> None:
    """Tag a filtered frame with the colors of its source, which filters forget."""
    target.colorspace, target.color_range = source.colorspace, source.color_range


def _shape(frame: VideoFrame) -> tuple[int, int, str]:
    return frame.height, frame.width, frame.format.name


def _build_graph(frame: VideoFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=TIME_BASE
    )
    graph.link_nodes(
        source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink")
    ).configure()
    return graph
