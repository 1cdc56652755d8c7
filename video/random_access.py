"""Read any frames of a short video by their numbers: by decord where it gives the very frames that
`read_frames` gives, else by decoding in sequence, with the reason told. See docs/adr/0009-decoders.md.

Legend: N frames asked for, H height, W width, C channels (RGB).
"""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import decord
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from video import hdr
from video.animation import is_animated_webp
from video.container import Media, display_name, is_still, local_path, open_media
from video.convert import UPRIGHT, assumed_matrix, has_alpha, orientation
from video.decode import Packets, decode
from video.frames import pixel_aspect, read_frames

EQUAL_CODECS = ("h264", "hevc", "vp8", "vp9", "libdav1d", "av1", "mpeg4", "mjpeg")
"""PyAV's names of the codecs whose frames were equal, byte by byte, in the containers below."""
EQUAL_CONTAINERS = ("mov,mp4", "matroska")
"""Beginnings of FFmpeg's names. AVI with B-frames gave wrong frames, MPEG-TS did not seek."""
EQUAL_FORMATS = ("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "gbrp")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FramesAt:
    """The frames asked for, in the order of asking."""

    frames_NHWC: np.ndarray
    """uint8, upright, with square pixels."""
    reader: Literal["decord", "pyav"]
    reason: str | None
    """Why decord was not used; None where it was."""


def frames_at(media: Media, indices: Sequence[int]) -> FramesAt:
    """Return the frames that `read_frames` gives at `indices` (from 0; in any order, more than once).

    Raises:
        VideoError: for a file that cannot be read.
        IndexError: for a frame that the file does not have.
    """
    if not indices or min(indices) < 0:
        raise IndexError(f"{display_name(media)}: indices are {list(indices)}: name at least one, all from 0")
    num_frames, reason = look(media)
    if reason is None and max(indices) >= num_frames:
        raise IndexError(
            f"{display_name(media)}: frame {max(indices)} was asked for, but there are {num_frames}"
        )
    if reason is None:
        try:
            return FramesAt(frames_NHWC=_by_decord(media, indices, num_frames), reader="decord", reason=None)
        except (decord.DECORDError, _Unlike) as error:
            reason = f"decord failed: {str(error).splitlines()[0]}"
    return FramesAt(frames_NHWC=_in_sequence(media, indices), reader="pyav", reason=reason)


def look(media: Media) -> tuple[int, str | None]:
    """Return how many packets the video has, and why decord would not give its frames as they should be.

    Reads the file once without decoding more than its first frame.
    """
    if is_animated_webp(media):
        return 0, "an animated WebP"
    with open_media(media) as (container, stream):
        stream.codec_context.thread_count = 1
        frame, _, interlaced = next(decode(container, stream, display_name(media)))
        reason = _why_not(container, stream, frame, interlaced)
    if reason is not None:
        return 0, reason
    with open_media(media) as (container, stream):
        packets = Packets(container, stream)
        for packet in packets:
            if packet.is_discard:
                return 0, "an edit list leaves out some frames"
        if packets.torn or packets.missing_s > 0:
            return 0, "its end is missing"
        return packets.count, None


def _why_not(
    container: InputContainer, stream: VideoStream, frame: VideoFrame, interlaced: bool
) -> str | None:
    """Return the first thing about a file that decord does otherwise."""
    still = is_still(container, stream)
    reasons = {
        "a still": still,
        "interlaced": interlaced,
        "not upright": orientation(frame) != UPRIGHT,
        "pixels that are not square": pixel_aspect(stream) != 1,
        "high dynamic range": frame.color_trc in (hdr.PQ, hdr.HLG),
        "transparency": has_alpha(frame),
        "a matrix that is taken by size": assumed_matrix(frame, still) is not None and _is_large(frame),
        f"the container {container.format.name}": not container.format.name.startswith(EQUAL_CONTAINERS),
        f"the codec {stream.codec_context.name}": stream.codec_context.name not in EQUAL_CODECS,
        f"the pixel format {frame.format.name}": frame.format.name not in EQUAL_FORMATS,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _is_large(frame: VideoFrame) -> bool:
    return frame.width >= 1280 or frame.height > 576


class _Unlike(Exception):
    """decord sees another video than PyAV."""


def _by_decord(media: Media, indices: Sequence[int], num_frames: int) -> np.ndarray:
    source = io.BytesIO(media) if isinstance(media, bytes) else str(local_path(media))
    reader = decord.VideoReader(source, num_threads=1)
    if len(reader) != num_frames:
        raise _Unlike(f"it counts {len(reader)} frames, not {num_frames}")
    rgb_HWC = {index: _repaired(reader[index].asnumpy()) for index in sorted(set(indices))}
    return np.stack([rgb_HWC[index] for index in indices])


def _repaired(frame_HWX: np.ndarray) -> np.ndarray:
    """Return rgb_HWC of decord's frame.

    decord 3.4 takes the bytes of a row over its width for the number of channels. Rows are padded to 64
    pixels, so for a width that divides the padded row (8, 32, 48, 96, ...) there are too many, and
    `get_batch` raises. The pixels are all there, at the beginning of each row.
    """
    height, width, channels = frame_HWX.shape
    if channels == 3:
        return frame_HWX
    return frame_HWX.reshape(height, width * channels)[:, : width * 3].reshape(height, width, 3)


def _in_sequence(media: Media, indices: Iterable[int]) -> np.ndarray:
    wanted = set(indices)
    found: dict[int, np.ndarray] = {}
    index = -1
    for index, frame in enumerate(read_frames(media)):
        if index in wanted:
            found[index] = frame.rgb_HWC
            if len(found) == len(wanted):
                return np.stack([found[number] for number in indices])
    raise IndexError(f"{display_name(media)}: frame {max(wanted)} was asked for, but there are {index + 1}")
