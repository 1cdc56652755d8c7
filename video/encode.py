"""Write video files, by default H.264 in MP4, with exact timestamps and tagged colours.

Legend: T frames, H height, W width, C channels (RGB, uint8).
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import BinaryIO, Self, cast

import av
import numpy as np
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream

from video.errors import VideoError, VideoErrorCode
from video.formats import (
    B_FRAME_CODECS,
    MIN_SIDE_PX,
    MUXERS,
    codec_tag,
    encoder_name,
    encoder_options,
    split_format,
    stores_color_matrix,
    stores_timestamps,
)
from video.scheduling import keep_scheduling
from video.tags import container_options

REPRODUCIBLE = {"fflags": "+bitexact"}
"""Omit the creation time, so that equal frames give equal bytes."""
PRESET = "veryfast"
"""Of x264. For 24 frames of 64x64, `ultrafast` took 4.1 ms instead of 4.4 and made files twice as large;
`medium` took 6.2 ms for files a tenth smaller."""


class VideoWriter:
    """Write one video file; a context manager. An exception inside the block leaves the file unfinished.

    Without B-frames (the default) the first frame is at time 0 without an edit list, and all readers agree on
    timestamps. Colours are tagged BT.709, limited range; files that cannot store the tag use BT.601, which
    readers assume then.
    """

    def __init__(
        self,
        destination: str | Path | BinaryIO,
        *,
        height: int,
        width: int,
        fps: Fraction | float,
        time_base: Fraction | None = None,
        crf: int = 18,
        container: str = "mp4",
        codec: str = "h264",
        preset: str = PRESET,
        gop: int | None = None,
        max_b_frames: int = 0,
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Open the file.

        Args:
            fps: nominal frames per second.
            time_base: seconds per unit of pts; None uses 1 / fps. Matroska and WebM round timestamps to a
                millisecond. AVI stores none, so its frames must be 1 / fps apart.
            crf: constant rate factor, 0 (lossless) to 51.
            container, codec: a pair of `video.formats.CONTAINER_CODECS`.
            gop: maximum distance between key frames; None uses the codec's default (250).
            max_b_frames: maximum number of consecutive B-frames (H.264, HEVC and MPEG-4, not in AVI).
            tags: texts by name, stored in the file (`video.tags`).

        Raises:
            ValueError: for odd or too short sides, a pair that is not supported, or an encoder that this
                build of FFmpeg lacks.
        """
        if height % 2 or width % 2 or min(height, width) < 2:
            raise ValueError(
                f"frames are {width}x{height}, but 4:2:0 video needs even sides: crop or pad by a pixel"
            )
        split_format(f"{container}/{codec}")
        if max_b_frames and not (codec in B_FRAME_CODECS and stores_timestamps(container)):
            raise ValueError(f"{container}/{codec} cannot have B-frames: leave max_b_frames at 0")
        if min(height, width) < MIN_SIDE_PX.get(codec, 2):
            raise ValueError(
                f"frames are {width}x{height}, but {codec} is not safe to write below "
                f"{MIN_SIDE_PX[codec]} pixels each way: make them larger, or use h264"
            )
        encoder = encoder_name(codec)
        self.rate = exact_fps(fps)
        self.size = (height, width)
        self.time_base = time_base or 1 / self.rate
        self.num_frames = 0
        tags_color = stores_color_matrix(container, codec)
        self.matrix = Colorspace.ITU709 if tags_color else Colorspace.ITU601
        muxing = REPRODUCIBLE | container_options(container, tags)
        self.container = av.open(destination, "w", format=MUXERS[container], options=muxing)
        self.container.metadata.update(tags)
        options = encoder_options(codec, crf, preset)
        # PyAV's stubs leave the type argument of Packet and of add_stream open.
        stream = self.container.add_stream(  # pyright: ignore[reportUnknownMemberType]
            encoder, rate=self.rate, options=options
        )
        self.stream = cast(VideoStream, stream)
        context = self.stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base, context.max_b_frames, context.thread_count = self.time_base, max_b_frames, 1
        context.color_range = ColorRange.MPEG
        if tags_color:
            context.colorspace = self.matrix
            context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        if gop is not None:
            context.gop_size = gop
        if tag := codec_tag(container, codec):
            context.codec_tag = tag
        if encoder == "libsvtav1":
            with keep_scheduling():
                context.open()

    def write(self, rgb_HWC: np.ndarray, pts: int) -> None:
        """Encode an RGB frame at `pts`, in units of the time base; must increase."""
        if rgb_HWC.shape != (*self.size, 3) or rgb_HWC.dtype != np.uint8:
            raise ValueError(f"a frame is {rgb_HWC.shape} {rgb_HWC.dtype}: expected {(*self.size, 3)} uint8")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb_HWC), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=self.matrix, threads=1)
        self._write(frame, pts)

    def write_yuv(self, frame: VideoFrame, pts: int) -> None:
        """Encode a decoded 4:2:0 frame in this file's matrix and limited range, without conversion."""
        if (frame.height, frame.width, frame.format.name) != (*self.size, "yuv420p"):
            raise ValueError(
                f"a frame is {frame.width}x{frame.height} {frame.format.name}: expected "
                f"{self.size[1]}x{self.size[0]} yuv420p"
            )
        frame.pict_type = PictureType.NONE  # the key frames of its source are not this file's
        self._write(frame, pts)

    def _write(self, frame: VideoFrame, pts: int) -> None:
        frame.pts, frame.time_base = pts, self.time_base
        self._encode(frame)
        self.num_frames += 1

    def _encode(self, frame: VideoFrame | None) -> None:
        """Encode and mux a frame; None flushes the encoder."""
        packets = self.stream.encode(frame)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        self.container.mux(packets)  # pyright: ignore[reportUnknownMemberType]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self.num_frames:
            self._encode(None)
        self.container.close()


def encode_mp4(
    frames_THWC: np.ndarray | Iterable[np.ndarray],
    fps: Fraction | float,
    destination: str | Path | BinaryIO,
    *,
    crf: int = 18,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    preset: str = PRESET,
    gop: int | None = None,
) -> int:
    """Write frames as an MP4 file and return their number.

    Args:
        frames_THWC: an array, or an iterable of rgb_HWC; even sides.
        fps: frames per second; nominal if `pts` are given.
        destination: a path, or a seekable binary file.
        pts: timestamps in units of `time_base`; None spaces the frames 1 / fps apart.
        time_base: seconds per unit of `pts`.
    """
    if (pts is None) != (time_base is None):
        raise ValueError("pts and time_base go together: give both for a variable frame rate, or neither")
    frames = iter(frames_THWC)
    first = next(frames, None)
    if first is None:
        raise VideoError(VideoErrorCode.NO_FRAMES, str(destination), "no frames were given to encode")
    height, width = first.shape[:2]
    with VideoWriter(
        destination,
        height=height,
        width=width,
        fps=fps,
        time_base=time_base,
        crf=crf,
        preset=preset,
        gop=gop,
    ) as writer:
        writer.write(first, pts[0] if pts is not None else 0)
        for index, frame_HWC in enumerate(frames, start=1):
            writer.write(frame_HWC, pts[index] if pts is not None else index)
    return writer.num_frames


def mp4_bytes(
    frames_THWC: np.ndarray,
    fps: Fraction | float,
    *,
    crf: int = 18,
    preset: str = PRESET,
    gop: int | None = None,
) -> bytes:
    """Encode frames and return the content of an MP4 file."""
    buffer = io.BytesIO()
    encode_mp4(frames_THWC, fps, buffer, crf=crf, preset=preset, gop=gop)
    return buffer.getvalue()


def exact_fps(fps: Fraction | float) -> Fraction:
    """Return a frame rate as a fraction, such as 30000/1001 for 29.97003."""
    rate = fps if isinstance(fps, Fraction) else Fraction(fps).limit_denominator(1001)
    if rate <= 0:
        raise ValueError(f"fps is {fps}: a video needs more than 0 frames per second")
    return rate


def even_side(side: float | Fraction) -> int:
    """Round `side` down to an even number of pixels, at least 2."""
    return max(2, int(side) // 2 * 2)
