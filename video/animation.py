"""Decode animated WebP with OpenCV, since FFmpeg decodes only still WebP. Holds all frames in memory.

Legend: H height, W width, C channels (RGB).
"""

from collections.abc import Iterator
from fractions import Fraction

import cv2
import numpy as np

from video.container import Media, display_name, local_path, read_head
from video.convert import composite_over_white
from video.errors import VideoError, VideoErrorCode

TIME_BASE = Fraction(1, 1000)
"""Animated WebP counts milliseconds."""
ANIMATED_FLAG = 0x02


def is_animated_webp(media: Media) -> bool:
    """Return whether `media` is a WebP file with the animation flag set."""
    head = read_head(media)
    return (head[:4], head[8:16]) == (b"RIFF", b"WEBPVP8X") and bool(head[20:21] and head[20] & ANIMATED_FLAG)


def webp_frames(media: Media) -> Iterator[tuple[np.ndarray, int]]:
    """Yield rgb_HWC and pts (in units of `TIME_BASE`) of each frame. Raises VideoError."""
    path = display_name(media)
    content = np.frombuffer(media if isinstance(media, bytes) else local_path(media).read_bytes(), np.uint8)
    stated_bytes = int.from_bytes(content[4:8].tobytes(), "little") + 8
    if stated_bytes > len(content):
        problem = f"{stated_bytes - len(content)} of its {stated_bytes} bytes are missing"
        raise VideoError(VideoErrorCode.TRUNCATED, path, problem)
    try:
        success, animation = cv2.imdecodeanimation(content)
    except cv2.error as error:
        raise VideoError(VideoErrorCode.DECODE_ERROR, path, f"cannot be decoded: {error.err}") from error
    if not success or not animation.frames:
        raise VideoError(VideoErrorCode.DECODE_ERROR, path, "not one frame of the animation can be decoded")
    uses_alpha = any(frame.shape[2] == 4 and frame[..., 3].any() for frame in animation.frames)
    pts = 0
    for bgr_HWC, duration in zip(animation.frames, np.ravel(animation.durations).tolist(), strict=True):
        rgba_HWC = cv2.cvtColor(bgr_HWC, cv2.COLOR_BGRA2RGBA if bgr_HWC.shape[2] == 4 else cv2.COLOR_BGR2RGBA)
        yield composite_over_white(rgba_HWC, lambda: uses_alpha), pts
        pts += max(1, int(duration))
