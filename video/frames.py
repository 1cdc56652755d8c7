"""Decode a video from its first frame to its last, with exact timestamps and upright pictures.

Legend: T frames, H height, W width, C channels (RGB). In sequence, from the first frame or (`from_pts`) from
a key frame, where that is safe: seeking fails in too many files (Cinepak in AVI, broken indices).
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
    """One decoded picture."""

    rgb_HWC: np.ndarray
    """uint8, upright, with square pixels. All frames of a file have the size of its first."""
    pts: int
    """Presentation time in units of the stream's time base."""
    time_s: float
    """The same in seconds: `pts` times the time base."""
    resized: Callable[[int], np.ndarray]
    """Converts this frame once more, when called: rgb_HWC with a long side of at most so many pixels, never
    scaled up. To be called before the next frame is asked for."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LazyFrame:
    """One decoded picture that is not converted yet. All is to be called before the next one is asked for."""

    to_rgb: Callable[[], np.ndarray]
    """Converts it: rgb_HWC as in `Frame`. Raises VideoError where its pixels cannot be shown."""
    bt709_yuv420p: Callable[[], VideoFrame | None]
    """Gives the frame as it was decoded, where it already is upright 4:2:0 in BT.709 and limited range, of
    the size asked for: what `VideoWriter` writes; else None."""
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
    """Decode `media` in sequence. A still is a video of one frame.

    Args:
        size_px: (height, width) of the upright frames to give; None keeps the displayed size.
            Scaling happens inside the conversion to RGB, where FAST_BILINEAR costs next to nothing.
        every: give each `every`-th frame, beginning with the first; those between are decoded, not converted.
        interpolation: how to scale; AREA where a much smaller picture must look good.
        threads: of the decoder.
        from_pts: frames before this one need not be given; those from it on are the same as without. Whether
            any are left out depends on the file (see `video.seek`).
        loop_filter: False skips the codec's deblocking filter on frames that no other frame refers to:
            decoding is a tenth faster, and frames that are scaled down a lot look the same.

    Raises:
        VideoError: for a file that cannot be decoded to its end, after the frames before the damage.
    """
    for shown in read_lazy_frames(
        media,
        size_px=size_px,
        every=every,
        interpolation=interpolation,
        threads=threads,
        from_pts=from_pts,
        loop_filter=loop_filter,
    ):
        yield Frame(rgb_HWC=shown.to_rgb(), pts=shown.pts, time_s=shown.time_s, resized=shown.resized)


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
    """As `read_frames`, but nothing is converted before it is asked for."""
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
        exact = time_base.numerator == 1  # then dividing rounds once, as the fraction does
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
    """Decode a whole short clip: return frames_THWC (RGB, uint8) and times_T (seconds from its first
    frame)."""
    frames = list(read_frames(media, size_px=size_px))
    if not frames:
        raise VideoError(VideoErrorCode.NO_FRAMES, display_name(media), "not one frame could be decoded")
    times_T = np.array([frame.time_s for frame in frames])
    return np.stack([frame.rgb_HWC for frame in frames]), times_T - times_T[0]


def pixel_aspect(stream: VideoStream) -> Fraction:
    """Return the width of a pixel over its height; 1 where the file states none, or nonsense."""
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
