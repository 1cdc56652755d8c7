"""Decode a video in sequence, with exact timestamps and upright frames.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from video.animation import TIME_BASE, is_animated_webp, webp_frames
from video.container import (
    DECODE_ERRORS,
    Media,
    describe_error,
    display_name,
    is_still,
    local_path,
    open_media,
)
from video.convert import Interpolation, ResizingConverter, RgbConverter
from video.decode import DEFAULT_RATE, decode
from video.errors import VideoError, VideoErrorCode
from video.resize import fit_long_side
from video.seek import seek_before
from video.truncation import is_truncated


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Frame:
    """One decoded frame."""

    rgb_HWC: np.ndarray
    """uint8, upright, with square pixels. All frames of a file have the size of its first."""
    pts: int
    """Presentation timestamp in units of the stream's time base."""
    time_s: float
    """`pts` in seconds."""
    resized: Callable[[int], np.ndarray]
    """Convert the frame again: takes a maximum long side in pixels and returns rgb_HWC, never scaled up.
    Valid until the next frame is requested."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LazyFrame:
    """One decoded frame, converted on request. Its methods are valid until the next frame is requested."""

    to_rgb: Callable[[], np.ndarray]
    """Return rgb_HWC as in `Frame`. Raises VideoError for a pixel format that cannot be converted."""
    bt709_yuv420p: Callable[[], VideoFrame | None]
    """Return the decoded frame if it is upright limited-range BT.709 4:2:0 of the requested size, which
    `VideoWriter.write_yuv` accepts; otherwise None."""
    pts: int
    time_s: float
    resized: Callable[[int], np.ndarray]


def read_frames(
    media: Media,
    *,
    size_px: tuple[int, int] | None = None,
    every: int = 1,
    interpolation: Interpolation = "FAST_BILINEAR",
    threads: int = 1,
    from_pts: int | None = None,
    loop_filter: bool = True,
) -> Iterator[Frame]:
    """Decode `media` in sequence. A still image is a video of one frame.

    Args:
        size_px: (height, width) of the upright frames; None keeps the display size. Scaling is part of the
            conversion to RGB, where FAST_BILINEAR is almost free.
        every: yield every n-th frame, starting with the first; the others are decoded but not converted.
        interpolation: scaling filter; AREA for quality at strong downscaling.
        threads: number of decoder threads.
        from_pts: frames before this pts may be skipped, if the file is seekable (see `video.seek`). Frames
            from it on are the same as without.
        loop_filter: False skips the codec's deblocking filter on frames that no other frame refers to:
            decoding is a tenth faster, and frames that are scaled down a lot look the same.

    Raises:
        VideoError: for a file that cannot be decoded to its end, after the frames before the damage.
    """
    for frame in read_lazy_frames(
        media,
        size_px=size_px,
        every=every,
        interpolation=interpolation,
        threads=threads,
        from_pts=from_pts,
        loop_filter=loop_filter,
    ):
        yield Frame(rgb_HWC=frame.to_rgb(), pts=frame.pts, time_s=frame.time_s, resized=frame.resized)


def read_lazy_frames(
    media: Media,
    *,
    size_px: tuple[int, int] | None = None,
    every: int = 1,
    interpolation: Interpolation = "FAST_BILINEAR",
    threads: int = 1,
    from_pts: int | None = None,
    loop_filter: bool = True,
) -> Iterator[LazyFrame]:
    """Decode as `read_frames` does, and convert each frame only on request."""
    if every < 1:
        raise ValueError(f"every is {every}: use 1 for all frames, 2 for every other one")
    if is_animated_webp(media):
        yield from _read_webp(media, size_px, every)
        return
    with open_media(media) as (container, stream):
        if from_pts is not None:
            seek_before(container, stream, from_pts)
        stream.codec_context.thread_count = threads
        if not loop_filter:
            stream.codec_context.options = {"skip_loop_filter": "noref"}
        time_base = stream.time_base or 1 / DEFAULT_RATE
        exact = time_base.numerator == 1  # then one division rounds as the fraction does
        converter = RgbConverter(
            aspect=pixel_aspect(stream),
            size_px=size_px,
            interpolation=interpolation,
            still=is_still(container, stream),
        )
        resizer = ResizingConverter(aspect=converter.aspect, still=converter.still)
        for index, (frame, pts, _) in enumerate(decode(container, stream, display_name(media))):
            if index % every == 0:
                yield LazyFrame(
                    to_rgb=partial(_convert, converter, frame, media),
                    bt709_yuv420p=partial(_passthrough, converter, frame),
                    pts=pts,
                    time_s=pts / time_base.denominator if exact else float(pts * time_base),
                    resized=partial(resizer, frame),
                )
    if is_truncated(media if isinstance(media, bytes) else local_path(media)):
        raise VideoError(VideoErrorCode.TRUNCATED, display_name(media), "its end is missing")


def _convert(converter: RgbConverter, frame: VideoFrame, media: Media) -> np.ndarray:
    try:
        return converter(frame)
    except DECODE_ERRORS as error:
        problem = f"its pixels ({frame.format.name}) cannot be shown: {describe_error(error)}"
        raise VideoError(VideoErrorCode.UNSUPPORTED, display_name(media), problem) from error


def _passthrough(converter: RgbConverter, frame: VideoFrame) -> VideoFrame | None:
    return frame if converter.is_passthrough(frame) else None


def read_clip(media: Media, *, size_px: tuple[int, int] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Decode a short clip. Returns frames_THWC (RGB, uint8) and times_T (seconds from the first frame)."""
    frames = list(read_frames(media, size_px=size_px))
    if not frames:
        raise VideoError(VideoErrorCode.NO_FRAMES, display_name(media), "not one frame could be decoded")
    times_T = np.array([frame.time_s for frame in frames])
    return np.stack([frame.rgb_HWC for frame in frames]), times_T - times_T[0]


def pixel_aspect(stream: VideoStream) -> Fraction:
    """Return the width of a pixel over its height; 1 if it is not stated or implausible."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return aspect if Fraction(1, 16) <= aspect <= 16 else Fraction(1)


def _read_webp(media: Media, size_px: tuple[int, int] | None, every: int) -> Iterator[LazyFrame]:
    for index, (rgb_HWC, pts) in enumerate(webp_frames(media)):
        if index % every == 0:
            full_HWC = rgb_HWC
            if size_px and size_px != rgb_HWC.shape[:2]:
                rgb_HWC = cv2.resize(rgb_HWC, size_px[::-1], interpolation=cv2.INTER_AREA)
            yield LazyFrame(
                to_rgb=partial(np.ascontiguousarray, rgb_HWC),
                bt709_yuv420p=_none,
                pts=pts,
                time_s=float(pts * TIME_BASE),
                resized=partial(_resized, full_HWC),
            )


def _none() -> None:
    return None


def _resized(rgb_HWC: np.ndarray, side_px: int) -> np.ndarray:
    height, width = fit_long_side(rgb_HWC.shape[:2], side_px)
    return cv2.resize(np.ascontiguousarray(rgb_HWC), (width, height), interpolation=cv2.INTER_AREA)
