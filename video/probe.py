"""Say what a media file holds, from its header and its first frame."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from video import hdr
from video.animation import TIME_BASE, is_animated_webp, webp_frames
from video.container import Media, display_name, is_still, local_path, open_media
from video.convert import display_size
from video.decode import DEFAULT_RATE, decode, is_raw
from video.frames import pixel_aspect


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
    container: str
    """FFmpeg's name of the format."""
    codec: str
    pixel_format: str
    transfer: Literal["sdr", "pq", "hlg"]
    """How light is coded; all but `sdr` is high dynamic range, and `read_frames` tone-maps it."""
    interlaced: bool
    """Whether the first frame is flagged so; `read_frames` deinterlaces such frames."""
    has_audio: bool
    num_bytes: int


def probe(media: Media) -> Probe:
    """Open `media` (a path, or bytes) and decode its first frame.

    Raises:
        VideoError: with a code that says why it cannot be used. A file whose end is missing may still probe
        well:
            reading its frames tells.
    """
    if is_animated_webp(media):
        return _probe_webp(media)
    with open_media(media) as (container, stream):
        stream.codec_context.thread_count = 1
        frame, start_pts, interlaced = next(decode(container, stream, display_name(media)))
        height, width = display_size(frame, pixel_aspect(stream))
        still = is_still(container, stream)
        return Probe(
            kind="image" if still else "video",
            width=width,
            height=height,
            rotation_deg=frame.rotation,
            duration_s=0.0 if still else _duration_s(container, stream),
            fps=Fraction(0) if still else _fps(container, stream),
            time_base=stream.time_base or 1 / DEFAULT_RATE,
            start_pts=start_pts,
            container=container.format.name,
            codec=stream.codec_context.name,
            pixel_format=frame.format.name,
            transfer=_transfer(frame),
            interlaced=interlaced,
            has_audio=bool(container.streams.audio),
            num_bytes=_num_bytes(media),
        )


def _probe_webp(media: Media) -> Probe:
    """Probe an animated WebP, whose header counts neither frames nor time: that takes decoding it."""
    frames = list(webp_frames(media))
    (rgb_HWC, _), (_, last_pts) = frames[0], frames[-1]
    gaps = len(frames) - 1
    return Probe(
        kind="video" if gaps else "image",
        width=rgb_HWC.shape[1],
        height=rgb_HWC.shape[0],
        rotation_deg=0,
        duration_s=None if gaps else 0.0,
        fps=Fraction(gaps) / (last_pts * TIME_BASE) if gaps else Fraction(0),
        time_base=TIME_BASE,
        start_pts=0,
        container="webp",
        codec="webp",
        pixel_format="rgb24",
        transfer="sdr",
        interlaced=False,
        has_audio=False,
        num_bytes=_num_bytes(media),
    )


def _num_bytes(media: Media) -> int:
    return len(media) if isinstance(media, bytes) else local_path(media).stat().st_size


def _fps(container: InputContainer, stream: VideoStream) -> Fraction:
    """Return the average rate; of a raw stream, which has no times to average, the one it states."""
    rates = (stream.average_rate, stream.guessed_rate)
    return next((rate for rate in (rates[::-1] if is_raw(container) else rates) if rate), Fraction(0))


def _transfer(frame: VideoFrame) -> Literal["sdr", "pq", "hlg"]:
    if frame.color_trc == hdr.PQ:
        return "pq"
    return "hlg" if frame.color_trc == hdr.HLG else "sdr"


def _duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / 1_000_000
