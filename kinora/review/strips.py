"""Decode frames into strips of pictures and short videos. Runs in the sandbox.

Legend: N frames, H height, W width, C channels (RGB).
"""

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction

import cv2
import numpy as np

from video.chosen_frames import read_chosen
from video.encode import VideoWriter, even_side
from video.errors import VideoError, VideoErrorCode
from video.frames import read_lazy_frames

HEIGHT_PX = 180
"""Height of every picture of a strip."""
MAX_ASPECT = 4.0
"""Pictures wider than this are made lower instead."""
OFFSETS_S = (0.1, 0.5, 1.0)
"""Distances of the pictures of a source from the first or last frame of a span, in seconds."""
AROUND_S = 2.0
"""Seconds of a source that its video before or after a span shows."""
_VIDEO_HEIGHT_PX = 270
_MAX_FPS = 30.0
"""Frames of a source that follow faster are left out of its video."""
_TICKS = 1000
"""Units of a second in its timestamps."""
_EMPTY = 90
"""Grey of a place outside the source."""
_QUALITY = 82
_WARMUP_S = 1.0
"""Time decoded before the first picture."""
_MAX_DISTANCE_S = 0.3
"""A frame farther from the wanted time than this is none of it: the source begins or ends there."""


def media_strip(content: bytes, indices: Sequence[int]) -> bytes:
    """Return the JPEG of the frames at `indices` of a medium, from left to right."""

    def choose(times_T: np.ndarray) -> list[int]:
        return [min(index, len(times_T) - 1) for index in indices]

    return _jpeg(list(read_chosen(content, choose, transform=_resized)))


def source_strip(path: str, start_pts: int, end_pts: int, unit_s: float, *, before: bool) -> bytes:
    """Return the JPEG of frames before `start_pts`, or from `end_pts` on, in the order of time.

    Args:
        unit_s: seconds of one unit of the source's time base.
    """
    edge_s = start_pts * unit_s if before else end_pts * unit_s
    wanted_s = sorted(edge_s - offset if before else edge_s + offset for offset in OFFSETS_S)
    nearest: list[tuple[float, np.ndarray] | None] = [None] * len(wanted_s)
    from_pts = round((wanted_s[0] - _WARMUP_S) / unit_s)
    empty_HWC: np.ndarray | None = None
    for frame in read_lazy_frames(path, from_pts=from_pts if from_pts > 0 else None):
        if empty_HWC is None:
            empty_HWC = np.full_like(_resized(frame.to_rgb()), _EMPTY)
        if frame.time_s > wanted_s[-1] + _MAX_DISTANCE_S or (before and frame.pts >= start_pts):
            break
        if not before and frame.pts < end_pts:
            continue
        places = [k for k, time_s in enumerate(wanted_s) if _is_nearer(frame.time_s, time_s, nearest[k])]
        picture_HWC = _resized(frame.to_rgb()) if places else empty_HWC
        for place in places:
            nearest[place] = (frame.time_s, picture_HWC)
    if empty_HWC is None:
        raise VideoError(VideoErrorCode.NO_FRAMES, path, "has no frames around the clip")
    return _jpeg(
        [
            found[1] if found and abs(found[0] - time_s) < _MAX_DISTANCE_S else empty_HWC
            for found, time_s in zip(nearest, wanted_s, strict=True)
        ]
    )


def source_video(path: str, start_pts: int, end_pts: int, unit_s: float, *, before: bool) -> bytes:
    """Return an MP4 of the last seconds of a source before `start_pts`, or the first ones from `end_pts` on.

    Raises VideoError if the source has no frame there.
    """
    ticks = list[int]()
    file = io.BytesIO()
    writer: VideoWriter | None = None
    try:
        for time_s, rgb_HWC in _around(path, start_pts, end_pts, unit_s, before=before):
            if writer is None:
                height, width = rgb_HWC.shape[:2]
                writer = VideoWriter(
                    file, height=height, width=width, fps=_MAX_FPS, time_base=Fraction(1, _TICKS), crf=26
                ).__enter__()
            ticks.append(round(time_s * _TICKS))
            writer.write(rgb_HWC, ticks[-1] - ticks[0])
    finally:
        if writer is not None:
            writer.__exit__(None, None, None)
    if not ticks:
        problem, rest = ("begins", "before") if before else ("ends", "after")
        remedy = f"there is nothing to show {rest} it"
        raise VideoError(VideoErrorCode.NO_FRAMES, path, f"{problem} with this clip", remedy)
    return file.getvalue()


def _around(
    path: str, start_pts: int, end_pts: int, unit_s: float, *, before: bool
) -> Iterator[tuple[float, np.ndarray]]:
    """Yield time in seconds and picture of the frames before or after a span."""
    first_s = start_pts * unit_s - AROUND_S if before else end_pts * unit_s
    from_pts, last_s = round((first_s - _WARMUP_S) / unit_s), -1.0
    for frame in read_lazy_frames(path, from_pts=from_pts if from_pts > 0 else None):
        if frame.time_s >= first_s + AROUND_S or (before and frame.pts >= start_pts):
            return
        is_inside = frame.time_s >= first_s - 1e-6 and (before or frame.pts >= end_pts)
        if is_inside and frame.time_s - last_s >= 0.9 / _MAX_FPS:
            last_s = frame.time_s
            rgb_HWC = frame.to_rgb()
            scale = min(1.0, _VIDEO_HEIGHT_PX / rgb_HWC.shape[0])
            height, width = (even_side(side * scale) for side in rgb_HWC.shape[:2])
            yield frame.time_s, cv2.resize(rgb_HWC, (width, height), interpolation=cv2.INTER_AREA)


def _is_nearer(time_s: float, wanted_s: float, found: tuple[float, np.ndarray] | None) -> bool:
    return found is None or abs(time_s - wanted_s) < abs(found[0] - wanted_s)


def _resized(rgb_HWC: np.ndarray) -> np.ndarray:
    height, width = rgb_HWC.shape[:2]
    scale = min(HEIGHT_PX / height, HEIGHT_PX * MAX_ASPECT / width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return cv2.resize(rgb_HWC, size, interpolation=kind)


def _jpeg(frames_NHWC: Sequence[np.ndarray]) -> bytes:
    sheet_HWC = np.hstack([np.asarray(each) for each in frames_NHWC])
    ok, data = cv2.imencode(".jpg", sheet_HWC[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert ok, "a picture of 8 bits is always encoded"
    return data.tobytes()
