"""Read the properties of a media file from its header and its first frame."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from video import hdr
from video.animation import TIME_BASE, is_animated_webp, webp_frames
from video.container import Media, Opened, local_path, open_media, reopen
from video.convert import pose_of
from video.decode import decode
from video.packets import DEFAULT_RATE, is_raw

_ANIMATIONS = ("gif", "apng")
"""Formats whose average rate FFmpeg guesses from rounded delays; their packets are few and small."""


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
    stream_index: int = 0
    """Which of the video streams of the file is shown, counted without cover art."""
    container: str
    """FFmpeg's name of the format; with `joined` before it, of several Matroska files in one."""
    codec: str
    pixel_format: str
    transfer: Literal["sdr", "pq", "hlg"]
    """Transfer function; `read_frames` tone-maps `pq` and `hlg`."""
    interlaced: bool
    """Whether the first frame is flagged as interlaced; `read_frames` deinterlaces flagged frames."""
    has_audio: bool
    num_bytes: int


def probe(media: Media, *, skip_damage: bool = False) -> Probe:
    """Open `media` (a path, or bytes) and decode its first frame; with `skip_damage`, the first that decodes.

    Raises:
        VideoError: if the file cannot be used. A truncated file may probe without an error; reading its
            frames raises.
    """
    if is_animated_webp(media):
        return _probe_webp(media)
    with open_media(media) as opened:
        container, stream, still = opened.container, opened.stream, opened.is_still
        stream.codec_context.thread_count = 1
        first = next(decode(opened, skip_damage=skip_damage))
        height, width = pose_of(first.frame, first.aspect).display_px(first.frame)
        return Probe(
            kind="image" if still else "video",
            width=width,
            height=height,
            rotation_deg=first.frame.rotation,
            duration_s=0.0 if still else _duration_s(container, stream),
            fps=Fraction(0) if still else _fps(opened),
            time_base=stream.time_base or 1 / DEFAULT_RATE,
            start_pts=first.pts,
            stream_index=opened.stream_index,
            container=f"joined {container.format.name}" if opened.is_joined else container.format.name,
            codec=stream.codec_context.name,
            pixel_format=first.frame.format.name,
            transfer=_transfer(first.frame),
            interlaced=first.interlaced,
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


def _fps(opened: Opened) -> Fraction:
    """Return the average frame rate; of a raw stream without timestamps, the rate that it states."""
    container, stream = opened.container, opened.stream
    if container.format.name in _ANIMATIONS:
        return _counted_fps(opened)
    rates = (stream.average_rate, stream.guessed_rate)
    return next((rate for rate in (rates[::-1] if is_raw(container) else rates) if rate), Fraction(0))


def _counted_fps(opened: Opened) -> Fraction:
    """Return the number of frames over their time, from all packets of a file."""
    with reopen(opened.media) as container:
        stream = container.streams[opened.stream.index]
        times = [(p.pts, p.pts + (p.duration or 0)) for p in container.demux(stream) if p.pts is not None]
    if not times or times[-1][1] <= times[0][0] or stream.time_base is None:
        return Fraction(0)
    return len(times) / ((times[-1][1] - times[0][0]) * stream.time_base)


def _transfer(frame: VideoFrame) -> Literal["sdr", "pq", "hlg"]:
    if frame.color_trc == hdr.PQ:
        return "pq"
    return "hlg" if frame.color_trc == hdr.HLG else "sdr"


def _duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / 1_000_000
