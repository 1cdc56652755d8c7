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
from video.decode import DEFAULT_RATE, decode
from video.ending import ends_early
from video.entering import enter
from video.errors import VideoError, VideoErrorCode
from video.opening import DAMAGE, Media, is_still, local_path, name_of, open_media, words_of
from video.picture import Interpolation, Larger, ToRgb, size_within


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Frame:
    """One decoded picture."""

    rgb_HWC: np.ndarray
    """uint8, upright, with square pixels. All frames of a file have the size of its first."""
    pts: int
    """Presentation time in units of the stream's time base."""
    time_s: float
    """The same in seconds: `pts` times the time base."""
    within: Callable[[int], np.ndarray]
    """Converts this frame once more, when called: rgb_HWC with a long side of at most so many pixels, never
    scaled up. To be called before the next frame is asked for."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Picture:
    """One decoded picture that is not converted yet. All is to be called before the next one is asked for."""

    rgb: Callable[[], np.ndarray]
    """Converts it: rgb_HWC as in `Frame`. Raises VideoError where its pixels cannot be shown."""
    ordinary: Callable[[], VideoFrame | None]
    """Gives the frame as it was decoded, where it already is upright 4:2:0 in BT.709 and limited range, of
    the size asked for: what `VideoWriter` writes; else None."""
    pts: int
    time_s: float
    within: Callable[[int], np.ndarray]


def read_frames(
    media: Media,
    *,
    size_px: tuple[int, int] | None = None,
    every: int = 1,
    interpolation: Interpolation = "FAST_BILINEAR",
    threads: int = 1,
    from_pts: int | None = None,
    smooth: bool = True,
) -> Iterator[Frame]:
    """Decode `media` in sequence. A still is a video of one frame.

    Args:
        size_px: (height, width) of the upright frames to give; None keeps the displayed size.
            Scaling happens inside the conversion to RGB, where FAST_BILINEAR costs next to nothing.
        every: give each `every`-th frame, beginning with the first; those between are decoded, not converted.
        interpolation: how to scale; AREA where a much smaller picture must look good.
        threads: of the decoder.
        from_pts: frames before this one need not be given; those from it on are the same as without. Whether
            any are left out depends on the file (see `video.entering`).
        smooth: False leaves the codec's own filter against visible blocks out where no other frame is made of
            the frame. Decoding is a tenth faster, and what is scaled down a lot shows no difference.

    Raises:
        VideoError: for a file that cannot be decoded to its end, after the frames before the damage.
    """
    for shown in read_pictures(
        media,
        size_px=size_px,
        every=every,
        interpolation=interpolation,
        threads=threads,
        from_pts=from_pts,
        smooth=smooth,
    ):
        yield Frame(rgb_HWC=shown.rgb(), pts=shown.pts, time_s=shown.time_s, within=shown.within)


def read_pictures(
    media: Media,
    *,
    size_px: tuple[int, int] | None = None,
    every: int = 1,
    interpolation: Interpolation = "FAST_BILINEAR",
    threads: int = 1,
    from_pts: int | None = None,
    smooth: bool = True,
) -> Iterator[Picture]:
    """As `read_frames`, but nothing is converted before it is asked for."""
    if every < 1:
        raise ValueError(f"every is {every}: use 1 for all frames, 2 for every other one")
    if is_animated_webp(media):
        yield from _read_webp(media, size_px, every)
        return
    with open_media(media) as (container, stream):
        if from_pts is not None:
            enter(container, stream, from_pts)
        stream.codec_context.thread_count = threads
        if not smooth:
            stream.codec_context.options = {"skip_loop_filter": "noref"}
        time_base = stream.time_base or 1 / DEFAULT_RATE
        exact = time_base.numerator == 1  # then dividing rounds once, as the fraction does
        to_rgb = ToRgb(
            aspect=pixel_aspect(stream),
            size_px=size_px,
            interpolation=interpolation,
            still=is_still(container, stream),
        )
        larger = Larger(aspect=to_rgb.aspect, still=to_rgb.still)
        for index, (frame, pts, _) in enumerate(decode(container, stream, name_of(media))):
            if index % every == 0:
                yield Picture(
                    rgb=partial(_shown, to_rgb, frame, media),
                    ordinary=partial(_ordinary, to_rgb, frame),
                    pts=pts,
                    time_s=pts / time_base.denominator if exact else float(pts * time_base),
                    within=partial(larger, frame),
                )
    if ends_early(media if isinstance(media, bytes) else local_path(media)):
        raise VideoError(VideoErrorCode.TRUNCATED, name_of(media), "its end is missing")


def _shown(to_rgb: ToRgb, frame: VideoFrame, media: Media) -> np.ndarray:
    try:
        return to_rgb(frame)
    except DAMAGE as error:
        problem = f"its pixels ({frame.format.name}) cannot be shown: {words_of(error)}"
        raise VideoError(VideoErrorCode.UNSUPPORTED, name_of(media), problem) from error


def _ordinary(to_rgb: ToRgb, frame: VideoFrame) -> VideoFrame | None:
    return frame if to_rgb.changes_nothing_of(frame) else None


def read_clip(media: Media, *, size_px: tuple[int, int] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Decode a whole short clip: return frames_THWC (RGB, uint8) and times_T (seconds from its first
    frame)."""
    frames = list(read_frames(media, size_px=size_px))
    if not frames:
        raise VideoError(VideoErrorCode.NO_FRAMES, name_of(media), "not one frame could be decoded")
    times_T = np.array([frame.time_s for frame in frames])
    return np.stack([frame.rgb_HWC for frame in frames]), times_T - times_T[0]


def pixel_aspect(stream: VideoStream) -> Fraction:
    """Return the width of a pixel over its height; 1 where the file states none, or nonsense."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return aspect if Fraction(1, 16) <= aspect <= 16 else Fraction(1)


def _read_webp(media: Media, size_px: tuple[int, int] | None, every: int) -> Iterator[Picture]:
    for index, (rgb_HWC, pts) in enumerate(webp_frames(media)):
        if index % every == 0:
            full_HWC = rgb_HWC
            if size_px and size_px != rgb_HWC.shape[:2]:
                rgb_HWC = cv2.resize(rgb_HWC, size_px[::-1], interpolation=cv2.INTER_AREA)
            yield Picture(
                rgb=partial(np.ascontiguousarray, rgb_HWC),
                ordinary=_none,
                pts=pts,
                time_s=float(pts * TIME_BASE),
                within=partial(_within, full_HWC),
            )


def _none() -> None:
    return None


def _within(rgb_HWC: np.ndarray, side_px: int) -> np.ndarray:
    height, width = size_within(rgb_HWC.shape[:2], side_px)
    return cv2.resize(np.ascontiguousarray(rgb_HWC), (width, height), interpolation=cv2.INTER_AREA)
