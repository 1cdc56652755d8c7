"""Make whole pictures of interlaced ones, whose odd and even rows were taken at two moments."""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import av.error
import av.filter
from av.video.frame import VideoFrame

MIN_SIDE_PX = 4
"""Pixels: bwdif takes nothing smaller."""
TIME_BASE = Fraction(1, 1000)
"""Frames are numbered through the filter; their own times wait outside it."""


class Decoded(NamedTuple):
    """A picture, whole and in its place."""

    frame: VideoFrame
    pts: int
    interlaced: bool
    """Whether the file flagged it so; `frame` is deinterlaced."""


class Deinterlacer:
    """Passes frames on, one for one and with their times, deinterlaced by FFmpeg's bwdif where they are
    interlaced.

    Frames that no decoder flagged as interlaced come out as they went in, at once, until the first that is
    flagged; from then on all pass the filter, which looks one frame ahead and leaves unflagged ones alone.
    """

    def __init__(self) -> None:
        self.graph: av.filter.Graph | None = None
        self.shape: tuple[int, int, str] | None = None
        self.held: deque[tuple[int, bool, VideoFrame]] = deque()
        self.number = 0

    def add(self, frame: VideoFrame, pts: int) -> Iterator[Decoded]:
        """Take a frame; give those that are ready."""
        shape = (frame.height, frame.width, frame.format.name)
        if self.graph is not None and shape != self.shape:
            yield from self.flush()
        if self.graph is None and frame.interlaced_frame and min(shape[:2]) >= MIN_SIDE_PX:
            self.graph, self.shape = _graph(frame), shape
        if self.graph is None:
            yield Decoded(frame, pts, False)
            return
        self.held.append((pts, frame.interlaced_frame, frame))
        self.number += 1
        frame.pts, frame.time_base = self.number, TIME_BASE
        self.graph.vpush(frame)
        yield from self._ready(self.graph)

    def flush(self) -> Iterator[Decoded]:
        """Give what is held back, and begin anew."""
        if self.graph is not None:
            self.graph.vpush(None)
            yield from self._ready(self.graph)
        self.graph = None

    def _ready(self, graph: av.filter.Graph) -> Iterator[Decoded]:
        while self.held:
            try:
                frame = graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            pts, interlaced, original = self.held.popleft()
            frame.colorspace, frame.color_range = original.colorspace, original.color_range
            yield Decoded(frame, pts, interlaced)


def _graph(frame: VideoFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=TIME_BASE
    )
    graph.link_nodes(
        source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink")
    ).configure()
    return graph
