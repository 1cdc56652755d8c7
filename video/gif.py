"""Write GIF animations with a palette of their own colours.

Legend: T frames, H height, W width, C channels (RGB, uint8).
"""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import av
import numpy as np
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from video.encode import REPRODUCIBLE, exact_fps
from video.tags import with_gif_tags

TIME_BASE = Fraction(1, 100)
"""GIF counts hundredths of a second."""


def encode_gif(
    frames_THWC: np.ndarray,
    fps: Fraction | float,
    destination: str | Path,
    *,
    tags: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write frames as a GIF that repeats without end, with `tags` in its comment.

    Frame times are rounded to 1/100 s.
    """
    rate = exact_fps(fps)
    height, width = frames_THWC.shape[1:3]
    graph = _palette_graph(width, height, 1 / rate)
    for number, frame_HWC in enumerate(frames_THWC):
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(frame_HWC), format="rgb24")
        frame.pts, frame.time_base = number, 1 / rate
        graph.push(frame)
    graph.push(None)
    options = {**REPRODUCIBLE, "loop": "0"}
    with av.open(str(destination), "w", format="gif", options=options) as opened:
        container = cast(Any, opened)  # PyAV's stubs leave the type argument of Packet open
        stream = container.add_stream("gif", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "pal8"
        stream.codec_context.time_base = TIME_BASE
        for number in range(len(frames_THWC)):
            frame = graph.pull()
            frame.pts, frame.time_base = round(number / rate / TIME_BASE), TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    if tags:
        path = Path(destination)
        path.write_bytes(with_gif_tags(path.read_bytes(), tags))


def _palette_graph(width: int, height: int, time_base: Fraction) -> Any:
    """Return a graph that maps RGB frames to 256 colours of all of them."""
    graph = Graph()
    source = graph.add_buffer(
        width=width, height=height, format=VideoFormat("rgb24", width, height), time_base=time_base
    )
    split, palette, use = graph.add("split"), graph.add("palettegen"), graph.add("paletteuse")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    return graph
