"""Transparent videos are shown over white from their first frame to their last."""
# PyAV's stubs know only the base class of streams and frames.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportOptionalOperand=false
# pyright: reportArgumentType=false, reportOperatorIssue=false, reportCallIssue=false

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from video.frames import read_frames
from video.random_access import frames_at

RED = (220, 30, 30)
QUICK = {"auto-alt-ref": "0", "deadline": "realtime", "cpu-used": "8", "b": "1M"}


def title(number: int, opaque: int = 255) -> np.ndarray:
    """Nothing at first and at last, and a red box between."""
    rgba_HWC = np.zeros((48, 64, 4), np.uint8)
    if 2 <= number < 5:
        rgba_HWC[8:40, 8:56] = (*RED, opaque)
    return rgba_HWC


def write(codec: str, container: str, format: str, options: dict[str, str], opaque: int = 255) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        stream = out.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, format
        for number in range(7):
            frame = av.VideoFrame.from_ndarray(title(number, opaque), format="rgba")
            frame = frame if format == "rgba" else frame.reformat(format=format)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("codec", "container", "format", "options"),
    [
        ("qtrle", "mov", "argb", {}),
        ("png", "mov", "rgba", {}),
        ("prores_ks", "mov", "yuva444p10le", {"profile": "4"}),
        ("ffv1", "matroska", "bgra", {}),
        ("libvpx-vp9", "webm", "yuva420p", QUICK),
        ("libvpx", "webm", "yuva420p", QUICK),
    ],
)
def test_a_title_appears_over_white(codec, container, format, options):
    media = write(codec, container, format, options)
    frames = [frame.rgb_HWC for frame in read_frames(media)]
    for number, rgb_HWC in enumerate(frames):
        expected = RED if 2 <= number < 5 else (255, 255, 255)
        assert np.abs(rgb_HWC[24, 32].astype(int) - expected).max() <= 6
        assert rgb_HWC[2, 2].min() >= 250
    assert (frames_at(media, [0, 3]).frames_NHWC == np.stack([frames[0], frames[3]])).all()


def test_an_alpha_channel_that_is_zero_in_all_frames_is_ignored():
    media = write("qtrle", "mov", "argb", {}, opaque=0)
    assert [frame.rgb_HWC[24, 32].tolist() for frame in read_frames(media)][3] == [*RED]
