"""Cut spans out of a source in one sequential decode, from a key frame before the first of them on, each to
the frame, and encode each as a file of its own."""

import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import ceil
from typing import Literal

import cv2
import numpy as np

from video.container import Media, display_name
from video.encode import VideoWriter, even_side
from video.errors import VideoError, VideoErrorCode
from video.frames import LazyFrame, read_lazy_frames
from video.probe import Probe, probe

Crop = tuple[int, int, int, int]
"""(x, y, width, height) in pixels of the upright picture."""
JPEG_QUALITY = 95


@dataclass(frozen=True, kw_only=True, slots=True)
class CutClip:
    """One encoded span."""

    media: bytes
    """An MP4 file; for a still, a picture."""
    suffix: Literal["mp4", "jpg", "png"]
    num_frames: int
    """Decoded and encoded, not estimated."""
    fps: Fraction
    """Frames per second on average over the span; that of the source for one frame, 0 for a still."""
    height: int
    width: int
    start_pts: int
    """The span [start_pts, end_pts) as asked for, in the source's time base."""
    end_pts: int
    first_pts: int
    """Time of the first frame in the span; it is at 0 in the clip, and the others keep their distance from
    it."""
    last_pts: int


def cut(
    media: Media,
    spans: Sequence[tuple[int, int]],
    *,
    crop: Crop | None = None,
    crops: Sequence[Crop | None] = (),
    max_side: int | None = None,
    crf: int = 18,
    threads: int = 1,
) -> Iterator[CutClip]:
    """Decode `media` once and yield each span as soon as it is complete.

    Decoding begins at a key frame before the first span where the file allows that (`video.seek`).
    Frames keep their exact relative times, so a variable frame rate stays variable. Sides are made even by
    leaving out the last row or column. A still, whatever its one span, is a picture again (JPEG stays JPEG,
    all else is PNG).

    Args:
        spans: [start, end) in units of the source's time base, sorted, not overlapping.
        crop: part of the upright picture to keep in every span.
        crops: the same, one a span; then all are scaled as the whole picture is.
        max_side: longest side of the clips in pixels; larger ones are scaled down.
        crf: constant quality, 0 to 51.

    Raises:
        VideoError: when the source is broken, after the spans before the damage; NO_FRAMES for a span
        without any.
    """
    check_spans(spans)
    if not spans:
        return
    source = probe(media)
    if crops and (crop or len(crops) != len(spans)):
        raise ValueError(f"{len(crops)} crops for {len(spans)} spans: give one a span, or one `crop` for all")
    picture = (0, 0, source.width, source.height)
    _, _, width, height = crop or picture
    scale = min(1.0, max_side / max(width, height)) if max_side else 1.0
    whole = (round(source.height * scale), round(source.width * scale))
    windows = [_window(media, each or picture, source, scale) for each in crops or [crop] * len(spans)]
    read = partial(
        read_lazy_frames,
        media,
        size_px=whole,
        interpolation="AREA" if scale < 1 else "BILINEAR",
        threads=threads,
    )
    frames = _read_from(read, spans[0][0])
    if source.kind == "image":
        yield _picture(next(frames), windows[0], source, spans[0])
        return
    encoder = _SpanEncoder(media, source, crf)
    remaining = zip(spans, windows, strict=True)
    span, window = next(remaining)
    for frame in frames:
        while frame.pts >= span[1]:
            yield encoder.finish(span)
            following = next(remaining, None)
            if following is None:
                return
            span, window = following
        if frame.pts >= span[0]:
            encoder.add(frame, window)
    yield encoder.finish(span)
    for span, _ in remaining:
        yield encoder.finish(span)


def _read_from(read: Callable[..., Iterator[LazyFrame]], pts: int) -> Iterator[LazyFrame]:
    """Decode from not long before `pts`; from the beginning, where that came too late."""
    frames = read(from_pts=pts)
    first = next(frames, None)
    if first is not None and first.pts <= pts:
        return itertools.chain([first], frames)
    return read()


def check_spans(spans: Sequence[tuple[int, int]]) -> None:
    """Raise ValueError unless spans are not empty, sorted, and do not overlap."""
    ends = -(1 << 63)
    for start, end in spans:
        if start >= end:
            raise ValueError(f"span [{start}, {end}) is empty: its end must come after its start")
        if start < ends:
            raise ValueError(
                f"span [{start}, {end}) begins before the last one ends ({ends}): sort and separate them"
            )
        ends = end


def _window(media: Media, crop: Crop, source: Probe, scale: float) -> tuple[slice, slice]:
    """Return the rows and columns of the scaled picture that show `crop`, even in number."""
    x, y, width, height = crop
    if x < 0 or y < 0 or width < 2 or height < 2 or x + width > source.width or y + height > source.height:
        raise ValueError(
            f"{display_name(media)}: crop {crop} is not inside its {source.width}x{source.height} picture"
        )
    left, top = (x, y) if scale == 1 else (ceil(x * scale), ceil(y * scale))
    bottom, right = int((y + height) * scale + 1e-6), int((x + width) * scale + 1e-6)
    bottom, right = max(bottom, top + 2), max(right, left + 2)
    return slice(top, top + even_side(bottom - top)), slice(left, left + even_side(right - left))


class _SpanEncoder:
    """Holds the one clip that is being written."""

    def __init__(self, media: Media, source: Probe, crf: int) -> None:
        self.path, self.source, self.crf = display_name(media), source, crf
        self.pts: list[int] = []

    def add(self, frame: LazyFrame, window: tuple[slice, slice]) -> None:
        height, width = (side.stop - side.start for side in window)
        if not self.pts:
            self.buffer = io.BytesIO()
            self.writer = VideoWriter(
                self.buffer,
                height=height,
                width=width,
                fps=self.source.fps or Fraction(25),
                time_base=self.source.time_base,
                crf=self.crf,
            )
        self.pts.append(frame.pts)
        yuv = frame.bt709_yuv420p()
        if yuv is not None and (yuv.height, yuv.width) == (height, width):
            self.writer.write_yuv(yuv, frame.pts - self.pts[0])
        else:
            self.writer.write(frame.to_rgb()[window], frame.pts - self.pts[0])

    def finish(self, span: tuple[int, int]) -> CutClip:
        if not self.pts:
            raise VideoError(
                VideoErrorCode.NO_FRAMES, self.path, f"no frame lies in the span [{span[0]}, {span[1]})"
            )
        with self.writer:
            pass
        pts, self.pts = self.pts, []
        gaps = len(pts) - 1
        return CutClip(
            media=self.buffer.getvalue(),
            suffix="mp4",
            num_frames=len(pts),
            fps=gaps / ((pts[-1] - pts[0]) * self.source.time_base) if gaps else self.source.fps,
            height=self.writer.size[0],
            width=self.writer.size[1],
            start_pts=span[0],
            end_pts=span[1],
            first_pts=pts[0],
            last_pts=pts[-1],
        )


def _picture(frame: LazyFrame, window: tuple[slice, slice], source: Probe, span: tuple[int, int]) -> CutClip:
    rgb_HWC = np.ascontiguousarray(frame.to_rgb()[window])
    suffix = "jpg" if source.codec == "mjpeg" else "png"
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if suffix == "jpg" else []
    _, picture = cv2.imencode(f".{suffix}", cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2BGR), options)
    return CutClip(
        media=picture.tobytes(),
        suffix=suffix,
        num_frames=1,
        fps=Fraction(0),
        height=rgb_HWC.shape[0],
        width=rgb_HWC.shape[1],
        start_pts=span[0],
        end_pts=span[1],
        first_pts=frame.pts,
        last_pts=frame.pts,
    )
