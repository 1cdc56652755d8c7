"""Damage and changes within a stream."""
# PyAV's stubs know only the base class of streams and frames.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportOptionalOperand=false
# pyright: reportArgumentType=false, reportOperatorIssue=false, reportCallIssue=false

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from golden_media import NUM_FRAMES, encode, patches, picture

from video.container import open_media
from video.decode import decode
from video.errors import VideoError, VideoErrorCode
from video.frames import read_clip, read_frames

DAMAGED = 12
OPTIONS = {
    "libx264": {"bf": "0", "g": "12", "sc_threshold": "0", "crf": "10"},
    "mpeg2video": {"bf": "0", "g": "12", "b": "4M", "sc_threshold": "1000000000"},
}


def damaged(codec: str, container: str) -> bytes:
    """Return 36 noisy frames of which the second key frame is overwritten in its middle."""
    noise = np.random.default_rng(1).integers(0, 255, (36, 96, 128, 3), dtype=np.uint8)
    content = bytearray(encode(codec, container, pictures=noise, options=OPTIONS[codec]))
    with av.open(io.BytesIO(content)) as opened:
        place, size = [(p.pos, p.size) for p in opened.demux(video=0) if p.size][DAMAGED]
    content[place + size // 3 : place + size // 2] = bytes(size // 2 - size // 3)
    return bytes(content)


@pytest.mark.parametrize(
    ("codec", "container"), [("libx264", "mp4"), ("libx264", "matroska"), ("mpeg2video", "avi")]
)
def test_frames_that_refer_to_damage_are_marked(codec, container):
    frames = list(read_frames(damaged(codec, container), skip_damage=True))
    marked = [round(frame.time_s * 25) for frame in frames if frame.damaged]
    whole = [round(frame.time_s * 25) for frame in frames if not frame.damaged]
    assert whole == [*range(12), *range(24, 36)]
    assert {*marked} <= {*range(12, 24)}


def test_a_packet_that_cannot_be_decoded_is_an_error_unless_damage_is_skipped():
    content = bytearray(encode("libx264", "mp4", options={"bf": "0", "g": "2"}))
    with av.open(io.BytesIO(content)) as opened:
        place, size = [(p.pos, p.size) for p in opened.demux(video=0) if p.size][2]
    content[place : place + size] = bytes(size)
    with pytest.raises(VideoError) as caught:
        list(read_frames(bytes(content)))
    assert caught.value.code == VideoErrorCode.DECODE_ERROR
    frames = list(read_frames(bytes(content), skip_damage=True))
    assert [round(frame.time_s * 25) for frame in frames if not frame.damaged] == [0, 1, 4, 5]


def test_nothing_that_decodes_is_an_error_in_any_case():
    content = bytearray(encode("mjpeg", "avi", pixel_format="yuvj420p", full_range=True))
    with av.open(io.BytesIO(content)) as opened:
        places = [(p.pos, p.size) for p in opened.demux(video=0) if p.size]
    for place, size in places:
        content[place + 8 : place + 8 + size] = bytes(size)
    with pytest.raises(VideoError) as caught:
        list(read_frames(bytes(content), skip_damage=True))
    assert caught.value.code in (VideoErrorCode.DECODE_ERROR, VideoErrorCode.NO_FRAMES)


@pytest.mark.parametrize("b_frames", ["0", "2"])
def test_the_aspect_of_a_frame_is_the_one_of_its_own_sequence_header(b_frames):
    aspects = (Fraction(1), Fraction(4, 3))  # MPEG-2 knows 4:3 and 16:9 alone
    options = {"b": "1M", "bf": b_frames}
    parts = [
        encode("mpeg2video", "mpegts", aspect=aspect, pts=range(6 * k, 6 * k + 6), options=options)
        for k, aspect in enumerate(aspects)
    ]
    with open_media(b"".join(parts)) as opened:
        found = [decoded.aspect for decoded in decode(opened)]
    assert found == [aspects[0]] * NUM_FRAMES + [aspects[1]] * NUM_FRAMES


def test_a_frame_of_another_shape_is_fitted_into_the_first():
    raw = {"codec": "libx264", "container": "h264", "options": {"bf": "0"}}
    media = encode(**raw) + encode(**raw, pictures=[picture(0, 48, 32)] * 3)
    frames_THWC, _ = read_clip(media)
    assert frames_THWC.shape == (NUM_FRAMES + 3, 48, 64, 3)
    assert frames_THWC[-1, :, :14].max() <= 2
    assert frames_THWC[-1, :, -14:].max() <= 2
    assert np.abs(np.array(patches(frames_THWC[-1, :, 16:48])) - patches(picture(0, 48, 32))).max() <= 4
