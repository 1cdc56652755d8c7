"""Cut away what a container says not to show."""

from fractions import Fraction

import av.filter
from av.video.frame import VideoFrame

from video.interlace import TIME_BASE, DecodedFrame, copy_colors
from video.track_header import Margins


class Cropper:
    """Leave out the same margins of every frame."""

    def __init__(self, margins: Margins) -> None:
        self.margins = margins
        self.graph: av.filter.Graph | None = None
        self.shape: tuple[int, int, str] | None = None

    def __call__(self, decoded: DecodedFrame) -> DecodedFrame:
        """Return the frame without its margins; the frame itself if they leave nothing of it."""
        frame = decoded.frame
        left, top, right, bottom = self.margins
        width, height = frame.width - left - right, frame.height - top - bottom
        if not any(self.margins) or min(width, height) < 1:
            return decoded
        shape = (frame.height, frame.width, frame.format.name)
        if self.graph is None or self.shape != shape:
            self.graph, self.shape = _build_graph(frame, f"{width}:{height}:{left}:{top}:exact=1"), shape
        frame.time_base = TIME_BASE
        self.graph.vpush(frame)
        cropped = self.graph.vpull()
        copy_colors(frame, cropped)
        return decoded._replace(frame=cropped)


def _build_graph(frame: VideoFrame, arguments: str) -> av.filter.Graph:
    graph = av.filter.Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(TIME_BASE)
    )
    graph.link_nodes(source, graph.add("crop", arguments), graph.add("buffersink")).configure()
    return graph
