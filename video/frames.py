"""Decode a video in sequence, with exact timestamps and upright frames.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial

import cv2
import numpy as np
from av.video.frame import VideoFrame

from video.animation import TIME_BASE, is_animated_webp, webp_frames
from video.container import DECODE_ERRORS, Media, describe_error, display_name, open_media
from video.convert import (
    Interpolation,
    Pose,
    PoseFinder,
    ResizingConverter,
    RgbConverter,
    Size,
    has_opaque_pixels,
)
from video.decode import decode
from video.errors import VideoError, VideoErrorCode
from video.packets import DEFAULT_RATE
from video.resize import fit_long_side
from video.seek import seek_before


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Frame:
    """One decoded frame."""

    rgb_HWC: np.ndarray
    """uint8, upright, with square pixels. All frames of a file have the size of its first, and others are
    fitted into it with black borders, unless `size_px` is a function."""
    pts: int
    """Presentation timestamp in units of the stream's time base."""
    time_s: float
    """`pts` in seconds."""
    resized: Callable[[int], np.ndarray]
    """Convert the frame again: takes a maximum long side in pixels and returns rgb_HWC, never scaled up.
    Valid until the next frame is requested."""
    display_px: Size = (0, 0)
    """(height, width) of the frame in the file, upright, with square pixels."""
    damaged: bool = False
    """Whether the decoder could not decode the frame, or one that it refers to, from what is in the file."""


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
    display_px: Size = (0, 0)
    damaged: bool = False


def read_frames(
    media: Media,
    *,
    size_px: Size | Callable[[Size], Size] | None = None,
    every: int = 1,
    interpolation: Interpolation = "FAST_BILINEAR",
    threads: int = 1,
    from_pts: int | None = None,
    loop_filter: bool = True,
    skip_damage: bool = False,
) -> Iterator[Frame]:
    """Decode `media` in sequence. A still image is a video of one frame.

    Args:
        size_px: (height, width) of the upright frames; None keeps the display size of the first. Scaling is
            part of the conversion to RGB, where FAST_BILINEAR is almost free. A function takes the display
            size of a frame and returns its size, so that frames keep their shape where it changes.
        every: yield every n-th frame, starting with the first; the others are decoded but not converted.
        interpolation: scaling filter; AREA for quality at strong downscaling.
        threads: number of decoder threads.
        from_pts: frames before this pts may be skipped, if the file is seekable (see `video.seek`). Frames
            from it on are the same as without.
        loop_filter: False skips the codec's deblocking filter on frames that no other frame refers to:
            decoding is a tenth faster, and frames that are scaled down a lot look the same.
        skip_damage: leave out what cannot be decoded, and set `damaged` of the frames that refer to it,
            instead of raising.

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
        skip_damage=skip_damage,
    ):
        yield Frame(
            rgb_HWC=frame.to_rgb(),
            pts=frame.pts,
            time_s=frame.time_s,
            resized=frame.resized,
            display_px=frame.display_px,
            damaged=frame.damaged,
        )


def read_lazy_frames(
    media: Media,
    *,
    size_px: Size | Callable[[Size], Size] | None = None,
    every: int = 1,
    interpolation: Interpolation = "FAST_BILINEAR",
    threads: int = 1,
    from_pts: int | None = None,
    loop_filter: bool = True,
    skip_damage: bool = False,
) -> Iterator[LazyFrame]:
    """Decode as `read_frames` does, and convert each frame only on request."""
    if every < 1:
        raise ValueError(f"every is {every}: use 1 for all frames, 2 for every other one")
    if is_animated_webp(media):
        yield from _read_webp(media, size_px, every)
        return
    with open_media(media) as opened:
        stream = opened.stream
        if from_pts is not None and not opened.is_joined:
            seek_before(opened.container, stream, from_pts)
        stream.codec_context.thread_count = threads
        if not loop_filter:
            stream.codec_context.options = {"skip_loop_filter": "noref"}
        time_base = stream.time_base or 1 / DEFAULT_RATE
        exact = time_base.numerator == 1  # then one division rounds as the fraction does
        uses_alpha = cache(partial(is_alpha_used, media))
        converter = RgbConverter(
            size_px=size_px, interpolation=interpolation, still=opened.is_still, uses_alpha=uses_alpha
        )
        resizer = ResizingConverter(still=opened.is_still, uses_alpha=uses_alpha)
        poses = PoseFinder()
        for index, decoded in enumerate(decode(opened, skip_damage=skip_damage, from_pts=from_pts)):
            if index % every == 0:
                frame, pts = decoded.frame, decoded.pts
                pose, display_px = poses(frame, decoded.aspect)
                yield LazyFrame(
                    to_rgb=partial(_convert, converter, frame, pose, media),
                    bt709_yuv420p=partial(_passthrough, converter, frame, pose),
                    pts=pts,
                    time_s=pts / time_base.denominator if exact else float(pts * time_base),
                    resized=partial(resizer, frame, pose),
                    display_px=display_px,
                    damaged=decoded.damaged,
                )


def is_alpha_used(media: Media) -> bool:
    """Return whether a video that may begin transparent has an alpha channel that is not zero in all frames.

    Decodes up to the first frame with one that is not. An image has no later frames.
    """
    with open_media(media) as opened, suppress(VideoError):
        if opened.is_still:
            return False
        opened.stream.codec_context.thread_count = 1
        return any(has_opaque_pixels(decoded.frame) for decoded in decode(opened, skip_damage=True))
    return False


def _convert(converter: RgbConverter, frame: VideoFrame, pose: Pose, media: Media) -> np.ndarray:
    try:
        return converter(frame, pose)
    except DECODE_ERRORS as error:
        problem = f"its pixels ({frame.format.name}) cannot be shown: {describe_error(error)}"
        raise VideoError(VideoErrorCode.UNSUPPORTED, display_name(media), problem) from error


def _passthrough(converter: RgbConverter, frame: VideoFrame, pose: Pose) -> VideoFrame | None:
    return frame if converter.is_passthrough(frame, pose) else None


def read_clip(media: Media, *, size_px: tuple[int, int] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Decode a short clip. Returns frames_THWC (RGB, uint8) and times_T (seconds from the first frame)."""
    frames = list(read_frames(media, size_px=size_px))
    if not frames:
        raise VideoError(VideoErrorCode.NO_FRAMES, display_name(media), "not one frame could be decoded")
    times_T = np.array([frame.time_s for frame in frames])
    return np.stack([frame.rgb_HWC for frame in frames]), times_T - times_T[0]


def _read_webp(media: Media, size: Size | Callable[[Size], Size] | None, every: int) -> Iterator[LazyFrame]:
    for index, (rgb_HWC, pts) in enumerate(webp_frames(media)):
        if index % every == 0:
            full_HWC = rgb_HWC
            display_px = full_HWC.shape[0], full_HWC.shape[1]
            size_px = size(display_px) if callable(size) else size
            if size_px and size_px != rgb_HWC.shape[:2]:
                rgb_HWC = cv2.resize(rgb_HWC, size_px[::-1], interpolation=cv2.INTER_AREA)
            yield LazyFrame(
                to_rgb=partial(np.ascontiguousarray, rgb_HWC),
                bt709_yuv420p=_none,
                pts=pts,
                time_s=float(pts * TIME_BASE),
                resized=partial(_resized, full_HWC),
                display_px=display_px,
            )


def _none() -> None:
    return None


def _resized(rgb_HWC: np.ndarray, side_px: int) -> np.ndarray:
    height, width = fit_long_side(rgb_HWC.shape[:2], side_px)
    return cv2.resize(np.ascontiguousarray(rgb_HWC), (width, height), interpolation=cv2.INTER_AREA)
