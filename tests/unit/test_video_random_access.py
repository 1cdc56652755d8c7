"""Random access returns the frames of sequential decoding, and falls back if decord would differ."""
# PyAV's stubs know only the base class of streams and frames.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportOptionalOperand=false
# pyright: reportArgumentType=false, reportOperatorIssue=false, reportCallIssue=false

from fractions import Fraction

import numpy as np
import pytest
from av.video.reformatter import Colorspace
from golden_contents import h264, hdr, moving, still
from golden_media import NUM_FRAMES, encode, picture

from video.encode import mp4_bytes
from video.errors import VideoError, VideoErrorCode
from video.frames import read_frames
from video.random_access import frames_at

ORDER = [5, 0, 3, 3, 1, 4, 2]
FAST = {"preset": "ultrafast", "x265-params": "log-level=none"}


def in_sequence(media):
    return np.stack([frame.rgb_HWC for frame in read_frames(media)])


@pytest.mark.parametrize(
    ("codec", "container", "options"),
    [
        ("libx264", "mp4", {"bf": "2"}),
        ("libx264", "matroska", {"bf": "2"}),
        ("libx264", "mov", {"bf": "0"}),
        ("libx265", "mp4", FAST),
        ("libx265", "matroska", FAST),
        ("libvpx", "webm", {"deadline": "realtime"}),
        ("libvpx-vp9", "webm", {"deadline": "realtime", "cpu-used": "8"}),
        ("libvpx-vp9", "mp4", {"deadline": "realtime", "cpu-used": "8"}),
        ("libsvtav1", "mp4", {"preset": "12"}),
        ("libsvtav1", "matroska", {"preset": "12"}),
        ("mpeg4", "mp4", {}),
    ],
)
def test_decord_gives_the_same_bytes(codec, container, options):
    media = encode(codec, container, options=options)
    found = frames_at(media, ORDER)
    assert (found.reader, found.reason) == ("decord", None)
    assert (found.frames_NHWC == in_sequence(media)[ORDER]).all()


@pytest.mark.parametrize("width", [2, 8, 32, 48, 62, 64, 66, 96, 128, 720, 854])
def test_widths_whose_rows_decord_miscounts(tmp_path, width):
    path = tmp_path / "clip.mp4"
    path.write_bytes(mp4_bytes(np.stack([picture(n, 96, width) for n in range(NUM_FRAMES)]), 12))
    found = frames_at(path, ORDER)
    assert found.reader == "decord"
    assert (found.frames_NHWC == in_sequence(path)[ORDER]).all()


@pytest.mark.parametrize(
    ("media", "reason"),
    [
        (lambda: h264(rotation=90), "not upright"),
        (lambda: h264(aspect=Fraction(4, 3)), "pixels that are not square"),
        (lambda: hdr(16), "high dynamic range"),
        (lambda: h264(options={"x264-params": "tff=1:interlaced=1", "bf": "0"}), "interlaced"),
        (lambda: h264(container="avi"), "the container avi"),
        (lambda: h264(container="mpegts"), "the container mpegts"),
        (lambda: encode("prores_ks", "mov", pixel_format="yuv422p10le"), "the codec prores"),
        (
            lambda: h264(
                tag=False, matrix=Colorspace.ITU709, pictures=[picture(n, 48, 1280) for n in range(6)]
            ),
            "a matrix that is taken by size",
        ),
        (lambda: moving(".webp"), "an animated WebP"),
        (
            lambda: h264(options={"x264-params": "intra-refresh=1:keyint=3:bframes=0"}),
            "key frames at which decoding cannot begin (an open GOP or intra refresh)",
        ),
        (
            lambda: encode("libx265", "mp4", options={"x265-params": "log-level=none:keyint=3:open-gop=1"}),
            "key frames at which decoding cannot begin (an open GOP or intra refresh)",
        ),
        (
            lambda: encode("libvpx", "webm", options={"deadline": "realtime", "g": "3"}),
            "several key frames of vp8, whose size may change",
        ),
        (
            lambda: encode("mjpeg", "mov", pixel_format="yuvj420p", full_range=True),
            "several key frames of mjpeg, whose size may change",
        ),
    ],
)
def test_what_decord_would_show_otherwise_is_read_in_sequence(media, reason):
    content = media()
    found = frames_at(content, ORDER)
    assert (found.reader, found.reason) == ("pyav", reason)
    assert (found.frames_NHWC == in_sequence(content)[ORDER]).all()


def test_an_edit_list_that_leaves_out_frames():
    media = h264(container="mov", pts=range(-3, 3), container_options={"avoid_negative_ts": "disabled"})
    expected = in_sequence(media)
    assert len(expected) == 3
    found = frames_at(media, [2, 0])
    assert (found.reader, found.reason) == ("pyav", "an edit list leaves out some frames")
    assert (found.frames_NHWC == expected[[2, 0]]).all()


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [Colorspace.ITU601, Colorspace.ITU709])
def test_matrix_and_range_agree(matrix, full):
    media = h264(matrix=matrix, full_range=full)
    found = frames_at(media, ORDER)
    assert np.abs(found.frames_NHWC.astype(int) - in_sequence(media)[ORDER]).max() == 0
    assert found.reader == "decord"


def test_frames_that_are_not_there():
    for media in (h264(), h264(rotation=90), still(".png")):
        with pytest.raises(IndexError, match="frame 99"):
            frames_at(media, [0, 99])
    with pytest.raises(IndexError, match="name at least one"):
        frames_at(h264(), [])


def test_a_file_without_its_end_is_no_video_of_fewer_frames():
    media = h264(container_options={"movflags": "faststart"})
    with pytest.raises(VideoError) as caught:
        frames_at(media[: len(media) * 9 // 10], [0, 5])
    assert caught.value.code == VideoErrorCode.TRUNCATED


def test_cropping_that_decord_scales_away():
    media = h264(
        options={"x264-params": "crop-rect=34,0,0,0", "bf": "0"},
        pictures=[picture(n, 96, 160) for n in range(6)],
    )
    found = frames_at(media, ORDER)
    assert found.reader == "pyav"
    assert found.reason == "columns to leave out on the left"
    assert found.frames_NHWC.shape[1:3] == (96, 126)
    assert (found.frames_NHWC == in_sequence(media)[ORDER]).all()
