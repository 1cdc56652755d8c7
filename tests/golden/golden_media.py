"""Write small media files whose every pixel is known.

Each picture has four quarters: top left a gray that tells the frame's number, then red, green and blue.
Legend: H height, W width, C channels (RGB).
"""

import io
import tempfile
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import ColorRange, Colorspace

from video.scheduling import keep_scheduling

RED, GREEN, BLUE = (200, 40, 40), (40, 180, 60), (40, 60, 200)
NUM_FRAMES = 6
SIZE = (48, 64)
RATE = 25


def gray_of(number: int) -> int:
    """Return the gray of the top left quarter of frame `number`."""
    return 20 + 30 * (number % 8)


def picture(number: int, height: int = SIZE[0], width: int = SIZE[1]) -> np.ndarray:
    """Return rgb_HWC of frame `number`."""
    rgb_HWC = np.empty((height, width, 3), np.uint8)
    top, left = height // 2, width // 2
    rgb_HWC[:top, :left], rgb_HWC[:top, left:] = gray_of(number), RED
    rgb_HWC[top:, :left], rgb_HWC[top:, left:] = GREEN, BLUE
    return rgb_HWC


def patches(rgb_HWC: np.ndarray) -> list[list[int]]:
    """Return the mean color inside each quarter, away from its edges."""
    height, width = rgb_HWC.shape[:2]
    found = []
    for top, left in ((0, 0), (0, width // 2), (height // 2, 0), (height // 2, width // 2)):
        bottom, right = top + height // 2, left + width // 2
        bottom, right = max(bottom, top + 1), max(right, left + 1)
        inside = rgb_HWC[top + height // 6 : bottom - height // 6, left + width // 6 : right - width // 6]
        found.append([round(value) for value in inside.reshape(-1, 3).mean(axis=0).tolist()])
    return found


def expected_patches(number: int) -> list[list[int]]:
    """Return what `patches` gives for frame `number` if nothing was lost."""
    return [[gray_of(number)] * 3, [*RED], [*GREEN], [*BLUE]]


def yuv_frame(rgb_HWC: np.ndarray, pixel_format: str, matrix: int, full_range: bool) -> av.VideoFrame:
    """Return the picture in `pixel_format`, converted by `matrix` (Colorspace) and range, and tagged so."""
    color_range = ColorRange.JPEG if full_range else ColorRange.MPEG
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb_HWC), format="rgb24")
    return frame.reformat(
        format=pixel_format,
        dst_colorspace=matrix,
        dst_color_range=color_range,
        threads=1,
    )


def encode(
    codec: str,
    container: str,
    *,
    pictures: Iterable[np.ndarray] | None = None,
    pixel_format: str = "yuv420p",
    rate: Fraction | int = RATE,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    matrix: int = Colorspace.ITU601,
    full_range: bool = False,
    tag: bool = True,
    color: dict[str, int] | None = None,
    aspect: Fraction | None = None,
    rotation: int = 0,
) -> bytes:
    """Return a file of `pictures` (by default the numbered ones).

    Args:
        tag: whether the file states matrix and range.
        color: other tags of the codec context, such as {"color_trc": 16}.
    """
    buffer = io.BytesIO()
    frames = [picture(number) for number in range(NUM_FRAMES)] if pictures is None else list(pictures)
    with (
        tempfile.NamedTemporaryFile() as file,  # opened anew to move an index to the front
        av.open(
            file.name if container_options else buffer,
            "w",
            format=container,
            container_options=container_options or {},
        ) as output,
    ):
        stream = output.add_stream(codec, rate=rate, options=options or {})
        context = stream.codec_context
        context.height, context.width = frames[0].shape[:2]
        context.pix_fmt, context.thread_count = pixel_format, 1
        if time_base:
            context.time_base = time_base
        if tag and not pixel_format.startswith(("rgb", "bgr", "gbr")):
            context.colorspace = matrix
            context.color_range = ColorRange.JPEG if full_range else ColorRange.MPEG
        for name, value in (color or {}).items():
            setattr(context, name, value)
        if aspect:
            context.sample_aspect_ratio = aspect
        if rotation:
            stream.set_display_rotation(rotation)
        if codec == "libsvtav1":
            with keep_scheduling():
                context.open()
        for number, rgb_HWC in enumerate(frames):
            frame = yuv_frame(rgb_HWC, pixel_format, matrix, full_range)
            frame.pts = number if pts is None else pts[number]
            frame.time_base = time_base or 1 / Fraction(rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        output.close()
        return Path(file.name).read_bytes() if container_options else buffer.getvalue()


def sound(cover: bool = False) -> bytes:
    """Return a file of half a second of silence, with or without a cover picture."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=16000, layout="mono")
        if cover:
            art = output.add_stream("mjpeg", rate=1)
            art.height, art.width, art.pix_fmt = *SIZE, "yuvj420p"
            art.disposition = Disposition.attached_pic
            packets = art.encode(yuv_frame(picture(0), "yuvj420p", Colorspace.ITU601, True))
            output.mux([*packets, *art.encode(None)])
        for number in range(8):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, number * 1024
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()
