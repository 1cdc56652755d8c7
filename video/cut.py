"""Cut frame-exact spans out of a source in one sequential decode, and encode each as a file."""

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
from video.frames import LazyFrame, Size, read_lazy_frames
from video.probe import Probe, probe
from video.resize import fit_with_borders

Crop = tuple[int, int, int, int]
"""(x, y, width, height) in pixels of the upright frame."""
JPEG_QUALITY = 95


@dataclass(frozen=True, kw_only=True, slots=True)
class CutClip:
    """One encoded span, or one window of it."""

    media: bytes
    """Content of an MP4 file, or of an image for a still."""
    suffix: Literal["mp4", "jpg", "png"]
    num_frames: int
    """Number of encoded frames."""
    fps: Fraction
    """Average frames per second over the span; the source's rate for a single frame, 0 for a still."""
    height: int
    width: int
    start_pts: int
    """Start of [start_pts, end_pts), in the source's time base: the requested span, or the window from its
    first frame to that of the next window."""
    end_pts: int
    span: int = 0
    """Index of the requested span."""
    window: int = 0
    """Index of the window in the span. One without a frame is left out: the window before it lasts longer."""
    first_pts: int
    """Timestamp of the first frame in the source; it is 0 in the clip."""
    last_pts: int
    audio: str = ""
    """Codec of its sound (`video.audio`); empty without sound."""


def cut(
    media: Media,
    spans: Sequence[tuple[int, int]],
    *,
    crop: Crop | None = None,
    crops: Sequence[Crop | None] = (),
    windows: Sequence[int] = (),
    max_side: int | None = None,
    crf: int = 18,
    threads: int = 1,
) -> Iterator[CutClip]:
    """Decode `media` once and yield each span, or window of a span, when it is complete.

    Decoding starts at a key frame before the first span if the file is seekable (`video.seek`). Frames keep
    their exact relative timestamps, so a variable frame rate stays variable. Odd sides lose their last row or
    column. A still image is encoded as JPEG if it was one, else as PNG.

    The size of a span is that of its first frame; frames of another shape are fitted into it with black
    borders. Frames that cannot be decoded are left out.

    Args:
        spans: [start, end) in units of the source's time base, sorted, not overlapping.
        crop: region of the upright frame to keep in every span.
        crops: one region per span, instead of `crop`; the scale then follows from the whole frame.
        windows: number of equal windows to divide each span into; one each by default. Every frame of the
            span is in exactly one of them.
        max_side: maximum long side of the clips in pixels; larger clips are scaled down.
        crf: constant quality, 0 to 51.

    Raises:
        VideoError: for a damaged source, after the spans before the damage; NO_FRAMES for an empty span.
    """
    check_spans(spans)
    if not spans:
        return
    source = probe(media, skip_damage=True)
    if crops and (crop or len(crops) != len(spans)):
        raise ValueError(f"{len(crops)} crops for {len(spans)} spans: give one a span, or one `crop` for all")
    if windows and (len(windows) != len(spans) or min(windows) < 1):
        raise ValueError(f"windows are {windows} for {len(spans)} spans: give one number, at least 1, a span")
    sizing = _Sizing(media, crop, max_side)
    every_crop = crops or [crop] * len(spans)
    read = partial(
        read_lazy_frames,
        media,
        size_px=sizing.scaled,
        interpolation="AREA" if sizing.scale((source.height, source.width)) < 1 else "BILINEAR",
        threads=threads,
        skip_damage=True,
    )
    frames = _read_from(read, spans[0][0])
    if source.kind == "image":
        frame = next(frames)
        yield _encode_still(frame, sizing.region(every_crop[0], frame.display_px), source, spans[0])
        return
    counts = windows or [1] * len(spans)
    remaining = (
        _SpanEncoder(
            media,
            source,
            crf,
            number=number,
            span=span,
            sizing=sizing,
            crop=each,
            windows=count,
        )
        for number, (span, each, count) in enumerate(zip(spans, every_crop, counts, strict=True))
    )
    encoder = next(remaining)
    for frame in frames:
        while frame.pts >= encoder.span[1]:
            yield encoder.finish()
            following = next(remaining, None)
            if following is None:
                return
            encoder = following
        if frame.pts >= encoder.span[0]:
            if encoder.starts_window(frame.pts):
                yield encoder.finish(frame.pts)
            encoder.add(frame)
    yield encoder.finish()
    for encoder in remaining:
        yield encoder.finish()


def _read_from(read: Callable[..., Iterator[LazyFrame]], pts: int) -> Iterator[LazyFrame]:
    """Decode from a key frame before `pts`; from the start if seeking landed after `pts`."""
    frames = read(from_pts=pts)
    first = next(frames, None)
    if first is not None and first.pts <= pts:
        return itertools.chain([first], frames)
    return read()


def check_spans(spans: Sequence[tuple[int, int]]) -> None:
    """Raise ValueError unless the spans are non-empty, sorted and disjoint."""
    last_end = -(1 << 63)
    for start, end in spans:
        if start >= end:
            raise ValueError(f"span [{start}, {end}) is empty: its end must come after its start")
        if start < last_end:
            raise ValueError(
                f"span [{start}, {end}) begins before the last one ends ({last_end}): sort and separate them"
            )
        last_end = end


class _Sizing:
    """The scale and the regions of frames, which may change their size within a file."""

    def __init__(self, media: Media, crop: Crop | None, max_side: int | None) -> None:
        self.name, self.crop, self.max_side = display_name(media), crop, max_side

    def scale(self, display_px: Size) -> float:
        """Return the factor by which frames are scaled down."""
        longest = max(self.crop[2:]) if self.crop else max(display_px)
        return min(1.0, self.max_side / longest) if self.max_side else 1.0

    def scaled(self, display_px: Size) -> Size:
        """Return the size of whole frames after scaling."""
        scale = self.scale(display_px)
        return max(1, round(display_px[0] * scale)), max(1, round(display_px[1] * scale))

    def region(self, crop: Crop | None, display_px: Size) -> tuple[slice, slice]:
        """Return the rows and columns of `crop` in the scaled frame, both even in number."""
        frame_height, frame_width = display_px
        x, y, width, height = crop or (0, 0, frame_width, frame_height)
        if x < 0 or y < 0 or width < 2 or height < 2 or x + width > frame_width or y + height > frame_height:
            raise ValueError(
                f"{self.name}: crop {crop} is not inside its {frame_width}x{frame_height} picture"
            )
        scale = self.scale(display_px)
        left, top = (x, y) if scale == 1 else (ceil(x * scale), ceil(y * scale))
        bottom, right = int((y + height) * scale + 1e-6), int((x + width) * scale + 1e-6)
        bottom, right = max(bottom, top + 2), max(right, left + 2)
        return slice(top, top + even_side(bottom - top)), slice(left, left + even_side(right - left))


class _SpanEncoder:
    """Encode the windows of one span, one at a time."""

    def __init__(
        self,
        media: Media,
        source: Probe,
        crf: int,
        *,
        number: int,
        span: tuple[int, int],
        sizing: "_Sizing",
        crop: Crop | None,
        windows: int,
    ) -> None:
        self.path, self.source, self.crf = display_name(media), source, crf
        self.number, self.span, self.windows = number, span, windows
        self.sizing, self.crop = sizing, crop
        self.display_px: Size | None = None
        """Of the first frame."""
        self.window, self.start_pts = 0, span[0]
        self.pts: list[int] = []

    def starts_window(self, pts: int) -> bool:
        """Return whether the frame at `pts` lies in a later window than those added since `finish`."""
        return bool(self.pts) and self._window_of(pts) > self.window

    def _window_of(self, pts: int) -> int:
        return (pts - self.span[0]) * self.windows // (self.span[1] - self.span[0])

    def add(self, frame: LazyFrame) -> None:
        if self.display_px is None:
            self.display_px = frame.display_px
            self.whole_px = self.sizing.scaled(frame.display_px)
            self.region = self.sizing.region(self.crop, frame.display_px)
        height, width = (side.stop - side.start for side in self.region)
        if not self.pts:
            self.window = self._window_of(frame.pts)
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
            return
        rgb_HWC = frame.to_rgb()
        if rgb_HWC.shape[:2] != self.whole_px:
            rgb_HWC = fit_with_borders(rgb_HWC, *self.whole_px)
        self.writer.write(rgb_HWC[self.region], frame.pts - self.pts[0])

    def finish(self, end_pts: int | None = None) -> CutClip:
        """Return the frames added since the last window, which ends at `end_pts`, or with the span."""
        if not self.pts:
            message = f"no frame lies in the span [{self.span[0]}, {self.span[1]})"
            raise VideoError(VideoErrorCode.NO_FRAMES, self.path, message)
        with self.writer:
            pass
        pts, self.pts = self.pts, []
        gaps = len(pts) - 1
        start_pts, self.start_pts = self.start_pts, self.span[1] if end_pts is None else end_pts
        return CutClip(
            media=self.buffer.getvalue(),
            suffix="mp4",
            num_frames=len(pts),
            fps=gaps / ((pts[-1] - pts[0]) * self.source.time_base) if gaps else self.source.fps,
            height=self.writer.size[0],
            width=self.writer.size[1],
            start_pts=start_pts,
            end_pts=self.start_pts,
            span=self.number,
            window=self.window,
            first_pts=pts[0],
            last_pts=pts[-1],
        )


def _encode_still(
    frame: LazyFrame, region: tuple[slice, slice], source: Probe, span: tuple[int, int]
) -> CutClip:
    rgb_HWC = np.ascontiguousarray(frame.to_rgb()[region])
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
