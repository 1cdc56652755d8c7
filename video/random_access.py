"""Read frames of a short video by index: with decord if it yields the same frames as `read_frames`, otherwise
with PyAV from the nearest entry point. See docs/adr/0009-decoders.md.

Legend: N requested frames, H height, W width, C channels (RGB).
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import decord  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
from av.video.reformatter import ColorRange

from video import hdr
from video.animation import is_animated_webp
from video.chosen_frames import Timeline, read_chosen, read_timeline
from video.container import Media, Opened, display_name, local_path, open_media
from video.convert import UPRIGHT, has_alpha, orientation
from video.decode import decode
from video.interlace import DecodedFrame
from video.matrices import KNOWN_MATRICES, NOT_STATED, is_large

DECORD_CODECS = ("h264", "hevc", "vp8", "vp9", "libdav1d", "av1", "mpeg4", "mjpeg")
"""PyAV's names of the codecs for which decord's frames are byte-identical, in the containers below."""
DECORD_CONTAINERS = ("mov,mp4", "matroska")
"""Prefixes of FFmpeg's names. decord returns wrong frames of AVI with B-frames; MPEG-TS does not seek."""
MULTI_GOP_CODECS = ("h264", "hevc")
"""Codecs for which decord is used in files of several key frames; VP8, VP9 and AV1 may change their size at
one, and decord scales by another filter."""
_ALIGNMENT = 32
"""Where decord reads, FFmpeg rounds the columns to leave out on the left down to this many bytes."""
DECORD_PIXEL_FORMATS = ("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "gbrp")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FramesAt:
    """The requested frames, in the order of the request."""

    frames_NHWC: np.ndarray
    """uint8, upright, with square pixels."""
    reader: Literal["decord", "pyav"]
    reason: str | None
    """Why decord was not used; None if it was."""


def frames_at(media: Media, indices: Sequence[int]) -> FramesAt:
    """Return the frames of `read_frames` at `indices`, which start at 0, in any order, with repeats.

    Raises:
        VideoError: for a file that cannot be read.
        IndexError: for a frame that the file does not have.
    """
    if not indices or min(indices) < 0:
        raise IndexError(f"{display_name(media)}: indices are {list(indices)}: name at least one, all from 0")
    num_frames, size_px, reason = inspect_for_decord(media)
    if reason is None and max(indices) >= num_frames:
        raise IndexError(
            f"{display_name(media)}: frame {max(indices)} was asked for, but there are {num_frames}"
        )
    if reason is None:
        try:
            return FramesAt(
                frames_NHWC=_read_with_decord(media, indices, num_frames, size_px),
                reader="decord",
                reason=None,
            )
        except (decord.DECORDError, _Mismatch) as error:
            reason = f"decord failed: {str(error).splitlines()[0]}"
    return FramesAt(frames_NHWC=_read_with_pyav(media, indices), reader="pyav", reason=reason)


def _read_with_pyav(media: Media, indices: Sequence[int]) -> np.ndarray:
    def choose(times_T: np.ndarray) -> Sequence[int]:
        if max(indices) >= len(times_T):
            raise IndexError(
                f"{display_name(media)}: frame {max(indices)} was asked for, but there are {len(times_T)}"
            )
        return indices

    return read_chosen(media, choose)


def inspect_for_decord(media: Media) -> tuple[int, tuple[int, int], str | None]:
    """Return the number of frames, their (height, width), and why decord's would differ (None if not).

    Demuxes the file once and decodes only its first frame.
    """
    if is_animated_webp(media):
        return 0, (0, 0), "an animated WebP"
    with open_media(media) as opened:
        opened.stream.codec_context.thread_count = 1
        first = next(decode(opened))
        size_px = first.frame.height, first.frame.width
        reason = _reason_against_decord(opened, first)
    if reason is not None:
        return 0, size_px, reason
    with open_media(media) as opened:
        timeline = read_timeline(opened)
        if isinstance(timeline, str):
            return 0, size_px, timeline
        codec = opened.stream.codec_context.name
    return len(timeline.pts_T), size_px, _reason_against_seeking(timeline, codec)


def _reason_against_seeking(timeline: Timeline, codec: str) -> str | None:
    """Return why decord would count frames wrongly, or scale them, after a seek; None if it would not.

    decord seeks to any packet that the container marks as a key frame, and counts the frames that come out.
    """
    if timeline.has_new_parameter_sets:
        return "parameter sets that change"
    if timeline.num_key_frames > len(timeline.entry_points):
        return "key frames at which decoding cannot begin (an open GOP or intra refresh)"
    if timeline.num_key_frames > 1 and codec not in MULTI_GOP_CODECS:
        return f"several key frames of {codec}, whose size may change"
    return None


def _reason_against_decord(opened: Opened, first: DecodedFrame) -> str | None:
    """Return the first property of the file that decord handles differently; None if there is none."""
    frame, container, stream = first.frame, opened.container, opened.stream
    codec, pixel_format = stream.codec_context.name, frame.format.name
    reasons = {
        "a still": opened.is_still,
        "interlaced": first.interlaced,
        "not upright": orientation(frame) != UPRIGHT,
        "pixels that are not square": first.aspect != 1,
        "high dynamic range": frame.color_trc in (hdr.PQ, hdr.HLG),
        "transparency": has_alpha(frame),
        "a stream that is not the first": stream.index != container.streams.video[0].index,
        "columns to leave out on the left": frame.planes[0].buffer_ptr % _ALIGNMENT != 0,
        f"the container {container.format.name}": not container.format.name.startswith(DECORD_CONTAINERS),
        f"the codec {codec}": codec not in DECORD_CODECS,
        f"the pixel format {pixel_format}": pixel_format not in DECORD_PIXEL_FORMATS,
        "a matrix that decord does not know": frame.colorspace not in KNOWN_MATRICES,
        "a matrix that is taken by size": frame.colorspace == NOT_STATED and is_large(frame),
        "RGB in limited range": frame.format.is_rgb and frame.color_range == ColorRange.MPEG,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


class _Mismatch(Exception):
    """decord and PyAV give frames of different number or size."""


def _read_with_decord(
    media: Media, indices: Sequence[int], num_frames: int, size_px: tuple[int, int]
) -> np.ndarray:
    source = io.BytesIO(media) if isinstance(media, bytes) else str(local_path(media))
    reader: Any = decord.VideoReader(source, num_threads=1)
    if len(reader) != num_frames:
        raise _Mismatch(f"it counts {len(reader)} frames, not {num_frames}")
    rgb_HWC = {index: _unpad_rows(reader[index].asnumpy()) for index in sorted(set(indices))}
    height, width = rgb_HWC[indices[0]].shape[:2]
    if (height, width) != size_px:
        raise _Mismatch(f"its frames are {width}x{height}, not {size_px[1]}x{size_px[0]}")
    return np.stack([rgb_HWC[index] for index in indices])


def _unpad_rows(frame_HWX: np.ndarray) -> np.ndarray:
    """Return rgb_HWC of a decord frame without the padding of its rows.

    decord 3.4 pads rows to 64 pixels and takes bytes per row over width as the number of channels, so for
    widths such as 8, 32, 48 and 96 it reports more than 3, and `get_batch` raises.
    """
    height, width, channels = frame_HWX.shape
    if channels == 3:
        return frame_HWX
    return frame_HWX.reshape(height, width * channels)[:, : width * 3].reshape(height, width, 3)
