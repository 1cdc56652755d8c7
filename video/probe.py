"""Read the properties of a media file from its header and its first frame."""

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
    """Properties of a media file."""

    kind: Literal["video", "image"]
    width: int
    """Display width in pixels: upright, with square pixels."""
    height: int
    rotation_deg: int
    """Counter-clockwise rotation from the stored to the upright frame."""
    duration_s: float | None
    """Duration from the header; None if it is not stated, 0 for a still image."""
    fps: Fraction
    """Average frames per second from the header; 0 for a still image."""
    time_base: Fraction
    """Seconds per unit of pts."""
    start_pts: int
    """Timestamp of the first frame."""
    container: str
    """FFmpeg's name of the format."""
    codec: str
    pixel_format: str
    transfer: Literal["sdr", "pq", "hlg"]
    """Transfer function; `read_frames` tone-maps `pq` and `hlg`."""
    interlaced: bool
    """Whether the first frame is flagged as interlaced; `read_frames` deinterlaces flagged frames."""
    has_audio: bool
    num_bytes: int


def probe(media: Media) -> Probe:
    """Open `media` (a path, or bytes) and decode its first frame.

    Raises:
        VideoError: if the file cannot be used. A truncated file may probe without an error; reading its
            frames raises.
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
    """Probe an animated WebP by decoding it, since its header has neither a frame count nor a duration."""
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
    """Return the average frame rate; of a raw stream without timestamps, the rate that it states."""
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
