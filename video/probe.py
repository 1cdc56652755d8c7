"""Say what a media file holds, from its header and its first frame."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from av.container import InputContainer
from av.video.stream import VideoStream

from video.frames import decode, display_size, pixel_aspect
from video.opening import Media, is_still, name_of, open_media


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """What a media file holds."""

    kind: Literal["video", "image"]
    width: int
    """Pixels, as displayed: turned upright, with square pixels."""
    height: int
    rotation_deg: int
    """By how much the stored picture is turned counter-clockwise to be upright."""
    duration_s: float | None
    """As the header states it; None where it does not. A still lasts 0 s."""
    fps: Fraction
    """Average frames per second as the header states it; 0 for a still."""
    time_base: Fraction
    """Seconds in one unit of pts."""
    start_pts: int
    """Time of the first frame."""
    codec: str
    pixel_format: str
    has_audio: bool
    num_bytes: int


def probe(media: Media) -> Probe:
    """Open `media` (a path, or bytes) and decode its first frame.

    Raises:
        VideoError: with a code that says why it cannot be used. A file whose end is missing may still probe
        well:
            reading its frames tells.
    """
    with open_media(media) as (container, stream):
        stream.codec_context.thread_count = 1
        frame, start_pts = next(decode(container, stream, name_of(media)))
        height, width = display_size(frame, pixel_aspect(stream))
        still = is_still(container)
        return Probe(
            kind="image" if still else "video",
            width=width,
            height=height,
            rotation_deg=frame.rotation,
            duration_s=0.0 if still else _duration_s(container, stream),
            fps=Fraction(0) if still else stream.average_rate or stream.guessed_rate or Fraction(0),
            time_base=Fraction(1, 25) if stream.time_base is None else stream.time_base,
            start_pts=start_pts,
            codec=stream.codec_context.name,
            pixel_format=frame.format.name,
            has_audio=bool(container.streams.audio),
            num_bytes=len(media) if isinstance(media, bytes) else Path(media).stat().st_size,
        )


def _duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / 1_000_000
