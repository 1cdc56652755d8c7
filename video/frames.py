"""Decode a video from its first frame to its last, with exact timestamps and upright pictures.

Legend: T frames, H height, W width, C channels (RGB). Always in sequence: seeking fails in too many files
(Cinepak in AVI, broken indices), and every consumer here wants all frames anyway.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from video.errors import VideoError, VideoErrorCode
from video.opening import Media, is_still, name_of, open_media

Interpolation = Literal["FAST_BILINEAR", "BILINEAR", "BICUBIC", "AREA"]
UPRIGHT = (1, 0, 0, 1)
ROTATIONS = (UPRIGHT, (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))
"""Display matrices of 0, 90, 180 and 270 degrees counter-clockwise."""
DEFAULT_RATE = Fraction(25)
"""Frames per second for frames without any timestamp in a file that states no rate either."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Frame:
    """One decoded picture."""

    rgb_HWC: np.ndarray
    """uint8, upright, with square pixels."""
    pts: int
    """Presentation time in units of the stream's time base."""
    time_s: float
    """The same in seconds: `pts` times the time base."""


def read_frames(
    media: Media,
    *,
    size_px: tuple[int, int] | None = None,
    every: int = 1,
    interpolation: Interpolation = "FAST_BILINEAR",
    threads: int = 1,
) -> Iterator[Frame]:
    """Decode `media` in sequence. A still is a video of one frame.

    Args:
        size_px: (height, width) of the upright frames to give; None keeps the displayed size.
            Scaling happens inside the conversion to RGB, where FAST_BILINEAR costs next to nothing.
        every: give each `every`-th frame, beginning with the first; those between are decoded, not converted.
        interpolation: how to scale; AREA where a much smaller picture must look good.
        threads: of the decoder.

    Raises:
        VideoError: for a file that cannot be decoded to its end, after the frames before the damage.
    """
    if every < 1:
        raise ValueError(f"every is {every}: use 1 for all frames, 2 for every other one")
    with open_media(media) as (container, stream):
        stream.codec_context.thread_count = threads
        time_base = stream.time_base or 1 / DEFAULT_RATE
        for index, (frame, pts) in enumerate(decode(container, stream, name_of(media))):
            if index % every == 0:
                rgb_HWC = to_rgb(frame, pixel_aspect(stream), size_px, interpolation)
                yield Frame(rgb_HWC=rgb_HWC, pts=pts, time_s=float(pts * time_base))


def read_clip(media: Media, *, size_px: tuple[int, int] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Decode a whole short clip: return frames_THWC (RGB, uint8) and times_T (seconds from its first
    frame)."""
    frames = list(read_frames(media, size_px=size_px))
    if not frames:
        raise VideoError(VideoErrorCode.NO_FRAMES, name_of(media), "not one frame could be decoded")
    times_T = np.array([frame.time_s for frame in frames])
    return np.stack([frame.rgb_HWC for frame in frames]), times_T - times_T[0]


def decode(container: InputContainer, stream: VideoStream, path: str) -> Iterator[tuple[VideoFrame, int]]:
    """Yield each frame with its pts, strictly increasing; then raise if the file's end is missing or broken.

    A frame without a timestamp comes one frame period after the one before.
    """
    time_base = stream.time_base or 1 / DEFAULT_RATE
    period = max(1, round(1 / ((stream.guessed_rate or DEFAULT_RATE) * time_base)))
    last_pts: int | None = None
    packets = _Packets(container, stream)
    damage: av.error.FFmpegError | None = None
    try:
        for frame in itertools.chain.from_iterable(packet.decode() for packet in packets):
            pts = frame.pts if frame.pts is not None else frame.dts
            if pts is None:
                pts = 0 if last_pts is None else last_pts + period
            last_pts = pts if last_pts is None else max(pts, last_pts + 1)
            yield frame, last_pts
    except av.error.FFmpegError as error:
        damage = error
    for _ in packets:  # after an error: what else is there?
        pass
    if packets.missing_s > 0 and not is_still(container):
        problem = f"the last {packets.missing_s:.2f} s of {packets.stated_end_s:.2f} s are missing"
        raise VideoError(VideoErrorCode.TRUNCATED, path, problem) from damage
    if damage is not None and is_still(container):
        raise VideoError(VideoErrorCode.TRUNCATED, path, "the picture is cut short or broken") from damage
    if damage is not None:
        at = "at its start" if last_pts is None else f"after {float(last_pts * time_base):.2f} s"
        raise VideoError(
            VideoErrorCode.DECODE_ERROR, path, f"cannot be decoded {at}: {damage.strerror}"
        ) from damage
    if last_pts is None:
        raise VideoError(VideoErrorCode.NO_FRAMES, path, "not one frame could be decoded")


class _Packets:
    """The whole packets of one stream, and how far they reach beside what the header states."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self.packets = container.demux(stream)
        self.time_base = stream.time_base or 1 / DEFAULT_RATE
        self.period = 1 / (stream.guessed_rate or DEFAULT_RATE)
        self.stated_end_s = _stated_end_s(container, stream)
        self.end_s: float | None = None
        self.torn = False

    def __iter__(self) -> Iterator[av.Packet]:
        for packet in self.packets:
            if packet.is_corrupt and packet.size:  # the file ends within it
                self.torn = True
                continue
            time = packet.pts if packet.pts is not None else packet.dts
            if time is not None:
                end_s = float((time + (packet.duration or 0)) * self.time_base)
                self.end_s = end_s if self.end_s is None else max(end_s, self.end_s)
            yield packet

    @property
    def missing_s(self) -> float:
        """Seconds stated but not there; 0 if all are, give or take two frames of rounding in the
        container."""
        if self.stated_end_s is None:
            return float(self.period) if self.torn else 0.0
        missing_s = self.stated_end_s - (self.end_s or 0.0)
        return missing_s if missing_s > 2 * self.period or self.torn else 0.0


def _stated_end_s(container: InputContainer, stream: VideoStream) -> float | None:
    """Return when the header says that the pictures end; None where it does not say, or guesses."""
    if stream.duration is not None and stream.time_base is not None and container.format.name != "mpeg":
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    if container.duration is not None and "matroska" in container.format.name and not container.streams.audio:
        return ((container.start_time or 0) + container.duration) / av.time_base
    return None


def pixel_aspect(stream: VideoStream) -> Fraction:
    """Return the width of a pixel over its height."""
    return stream.sample_aspect_ratio or Fraction(1)


def display_size(frame: VideoFrame, aspect: Fraction) -> tuple[int, int]:
    """Return (height, width) as a person sees the frame: turned upright, with square pixels."""
    height, width = frame.height, max(1, round(frame.width * aspect))
    return (width, height) if _turns_sideways(orientation(frame)) else (height, width)


def to_rgb(
    frame: VideoFrame, aspect: Fraction, size_px: tuple[int, int] | None, interpolation: Interpolation
) -> np.ndarray:
    """Return the upright frame as rgb_HWC, scaled to `size_px` (height, width) or to its displayed size."""
    turn = orientation(frame)
    height, width = size_px or display_size(frame, aspect)
    if _turns_sideways(turn):
        height, width = width, height
    scaled = frame.reformat(
        width=width, height=height, format="rgb24", interpolation=interpolation, threads=1
    )
    return np.ascontiguousarray(_turn_upright(scaled.to_ndarray(), turn))


def orientation(frame: VideoFrame) -> tuple[int, int, int, int]:
    """Return the display matrix (a, b, c, d), each -1, 0 or 1: pixel (x, y) is shown at (a x + c y, b x + d
    y).

    PyAV cannot list the side data of photos that carry EXIF (its type is unknown to it); of those only the
    rotation is known, so a photo that EXIF calls mirrored stays mirrored.
    """
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        return ROTATIONS[round(frame.rotation / 90) % 4]
    if matrix is None:
        return UPRIGHT
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    straight = abs(a) + abs(d) >= abs(b) + abs(c)
    sign_a, sign_b, sign_c, sign_d = (1 if v > 0 else -1 for v in (a, b, c, d))
    return (sign_a, 0, 0, sign_d) if straight else (0, sign_b, sign_c, 0)


def _turns_sideways(turn: tuple[int, int, int, int]) -> bool:
    return turn[0] == 0


def _turn_upright(rgb_HWC: np.ndarray, turn: tuple[int, int, int, int]) -> np.ndarray:
    a, b, c, d = turn
    if _turns_sideways(turn):
        rgb_HWC = rgb_HWC.swapaxes(0, 1)
        a, d = c, b
    return rgb_HWC[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
