"""Stated colours are right to 1 of 255, or refused."""
# PyAV's stubs know only the base class of streams and frames.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportOptionalOperand=false
# pyright: reportArgumentType=false, reportOperatorIssue=false, reportCallIssue=false

import io

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange

from video.cut import cut
from video.errors import VideoError, VideoErrorCode
from video.frames import read_clip, read_frames

COLORS = ((200, 40, 40), (40, 180, 60), (40, 60, 200), (128, 128, 128), (250, 250, 250))
YCGCO, BT709 = 8, 1


def bars() -> np.ndarray:
    return np.repeat(np.array(COLORS, np.uint8), 32, axis=0)[None].repeat(64, axis=0)


def write(frame: av.VideoFrame, codec: str = "ffv1", **options: str) -> bytes:
    """Write a frame twice, with its matrix and range."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as out:
        stream = out.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, frame.format.name
        context = stream.codec_context
        context.colorspace, context.color_range = frame.colorspace, frame.color_range
        for number in range(2):
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return buffer.getvalue()


def colors_of(rgb_HWC: np.ndarray) -> np.ndarray:
    return np.array([rgb_HWC[24:40, 32 * n + 12 : 32 * n + 20].reshape(-1, 3).mean(axis=0) for n in range(5)])


def planes(yuv_CHW: np.ndarray, color_range: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.round(yuv_CHW).astype(np.uint8), format="yuv444p")
    frame.colorspace, frame.color_range = YCGCO, color_range
    return frame


@pytest.mark.parametrize("full", [True, False])
def test_ycgco(full):
    red, green, blue = bars().astype(float).transpose(2, 0, 1)
    luma = red / 4 + green / 2 + blue / 4
    chroma = np.stack([-red / 4 + green / 2 - blue / 4, red / 2 - blue / 2])
    yuv_CHW = np.stack([luma, *chroma + 128])
    if not full:
        yuv_CHW = np.stack([16 + luma * 219 / 255, *(128 + chroma * 224 / 255)])
    media = write(planes(yuv_CHW, ColorRange.JPEG if full else ColorRange.MPEG))
    found = colors_of(next(read_frames(media)).rgb_HWC)
    assert np.abs(found - COLORS).max() <= 2  # two additions of values that were rounded
    half = next(read_frames(media, size_px=(32, 80))).rgb_HWC
    assert np.abs(half[16, 6::16] - np.array(COLORS).astype(int)).max() <= 2


@pytest.mark.parametrize("matrix", [10, 14, 15, 16])
def test_a_matrix_that_cannot_be_converted_is_refused(matrix):
    frame = planes(np.full((3, 64, 160), 100.0), ColorRange.MPEG)
    frame.colorspace = matrix
    with pytest.raises(VideoError, match=rf"matrix.*\({matrix}\)") as caught:
        list(read_frames(write(frame)))
    assert caught.value.code == VideoErrorCode.UNSUPPORTED


def gray_frame(format: str, color_range: int) -> av.VideoFrame:
    """Return bars of gray levels 0, 64, 128, 192, 255, stored in the range."""
    levels = np.array([0, 64, 128, 192, 255]).repeat(32)[None].repeat(64, axis=0)
    stored = levels if color_range == ColorRange.JPEG else 16 + levels * 219 / 255
    bits = 10 if "10" in format else 8
    scale = (1023 / 255 if color_range == ColorRange.JPEG else 4) if bits == 10 else 1
    dtype = np.uint16 if bits == 10 else np.uint8
    frame = av.VideoFrame.from_ndarray(np.round(stored * scale).astype(dtype), format=format)
    frame.color_range = color_range
    return frame


@pytest.mark.parametrize("format", ["gray", "gray10le"])
@pytest.mark.parametrize("color_range", [ColorRange.MPEG, ColorRange.JPEG])
def test_gray_is_in_the_range_that_it_states(format, color_range):
    frame = next(read_frames(write(gray_frame(format, color_range), "ffv1")))
    assert np.abs(colors_of(frame.rgb_HWC)[:, 0] - [0, 64, 128, 192, 255]).max() <= 1


def test_gray_of_h264_is_limited_unless_stated():
    frame = gray_frame("gray", ColorRange.MPEG)
    frame.color_range = ColorRange.UNSPECIFIED
    found = next(read_frames(write(frame, "libx264", crf="1")))
    assert np.abs(colors_of(found.rgb_HWC)[:, 0] - [0, 64, 128, 192, 255]).max() <= 2


@pytest.mark.parametrize("format", ["yuv420p10le", "yuv422p10le", "yuv420p12le", "yuv444p10le"])
def test_deep_video_is_not_darker(format):
    read, after = [], []
    for each in ("yuv420p", format):
        frame = av.VideoFrame.from_ndarray(bars(), format="rgb24")
        frame = frame.reformat(format=each, dst_colorspace=BT709, dst_color_range=ColorRange.MPEG)
        frame.colorspace, frame.color_range = BT709, ColorRange.MPEG
        media = write(frame)
        (clip,) = cut(media, [(0, 1 << 40)])
        read.append(colors_of(next(read_frames(media)).rgb_HWC))
        after.append(colors_of(read_clip(clip.media)[0][0]))
    assert np.abs(read[1] - COLORS).max() <= 1
    assert np.abs(read[1] - read[0]).max() <= 1.5
    assert np.abs(after[1] - after[0]).max() <= 1.5
