"""What a container says beside the frames is obeyed."""
# PyAV's stubs know only the base class of streams and frames.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportOptionalOperand=false
# pyright: reportArgumentType=false, reportOperatorIssue=false, reportCallIssue=false

import struct

import cv2
import numpy as np
import pytest
from av.stream import Disposition
from file_edits import box, clap, with_matroska_crop, with_sample_entry_box
from golden_kinds import two_streams
from golden_media import encode

from video.chosen_frames import read_chosen
from video.cut import cut
from video.errors import VideoError, VideoErrorCode
from video.frames import read_clip, read_frames
from video.probe import probe
from video.random_access import frames_at


def bordered() -> list[np.ndarray]:
    """Frames of 96x160 with green rows at the top and bottom, which nobody is to see."""
    frame_HWC = np.full((96, 160, 3), 90, np.uint8)
    frame_HWC[16:-16, 20:40], frame_HWC[:16], frame_HWC[-16:] = (200, 40, 40), (0, 210, 0), (0, 210, 0)
    return [frame_HWC] * 4


def x264(container: str, **options: str) -> bytes:
    return encode("libx264", container, pictures=bordered(), options={"bf": "0", "crf": "4", **options})


@pytest.mark.parametrize(
    ("media", "shown"),
    [
        (lambda: with_sample_entry_box(x264("mp4"), b"avc1", clap(160, 64)), (slice(16, 80), slice(0, 160))),
        (
            lambda: with_sample_entry_box(x264("mov"), b"avc1", clap(64, 64, left_of_middle=40)),
            (slice(16, 80), slice(8, 72)),
        ),
        (lambda: with_matroska_crop(x264("matroska"), 16, 16), (slice(16, 80), slice(0, 160))),
        (lambda: x264("mp4", **{"x264-params": "crop-rect=10,16,6,16"}), (slice(16, 80), slice(10, 154))),
        (
            lambda: x264("matroska", **{"x264-params": "crop-rect=34,16,0,16"}),
            (slice(16, 80), slice(34, 160)),
        ),
    ],
    ids=["clap.mp4", "clap.mov", "PixelCrop", "H.264 left and right", "H.264 left"],
)
def test_what_is_to_be_cropped_is_not_shown(media, shown):
    content = media()
    expected_HWC = bordered()[0][shown]
    found = probe(content)
    assert (found.height, found.width) == expected_HWC.shape[:2]
    (clip,) = cut(content, [(0, 1 << 40)])
    readings = [
        next(read_frames(content)).rgb_HWC,
        frames_at(content, [2]).frames_NHWC[0],
        read_chosen(content, lambda times_T: [3])[0],
        read_clip(clip.media)[0][0],
    ]
    for rgb_HWC in readings:
        assert rgb_HWC.shape == expected_HWC.shape
        assert np.abs(rgb_HWC.astype(int) - expected_HWC).mean() < 4


@pytest.mark.parametrize("numbers", [(0, 1, 64, 1), (1000, 1, 64, 1), (160, 0, 64, 1)])
def test_an_aperture_that_cannot_be_is_ignored(numbers):
    box_bytes = box(b"clap", struct.pack(">8i", *numbers, 0, 1, 0, 1))
    media = with_sample_entry_box(x264("mp4"), b"avc1", box_bytes)
    assert (probe(media).height, probe(media).width) == (96, 160)


@pytest.mark.parametrize(("profile", "compatible", "is_shown"), [(5, 0, False), (8, 1, True), (10, 0, False)])
def test_dolby_vision_without_a_base_layer_is_refused(profile, compatible, is_shown):
    configuration = bytes([1, 0, profile << 1, 0x0D, compatible << 4]) + bytes(19)
    media = with_sample_entry_box(x264("mp4"), b"avc1", box(b"dvvC", configuration))
    if is_shown:
        assert len(list(read_frames(media))) == 4
        return
    with pytest.raises(VideoError, match="base layer") as caught:
        probe(media)
    assert caught.value.code == VideoErrorCode.UNSUPPORTED


@pytest.mark.parametrize(
    ("container", "first", "first_frames", "flags", "width"),
    [
        ("mp4", "mjpeg", 1, (0, 0), 64),
        ("matroska", "mjpeg", 1, (Disposition.default, 0), 64),
        ("mpegts", "libx264", 1, (0, 0), 64),
        ("matroska", "libx264", 6, (0, Disposition.default), 64),
        ("matroska", "libx264", 6, (Disposition.default, Disposition.default), 32),
        ("mp4", "libx264", 6, (0, 0), 32),
    ],
)
def test_the_stream_is_the_one_that_a_player_shows(container, first, first_frames, flags, width):
    media = two_streams(container, first, first_frames, flags)
    found = probe(media)
    assert (found.width, found.stream_index) == (width, int(width == 64))
    assert len(list(read_frames(media))) == 6
    assert frames_at(media, [5]).frames_NHWC.shape == (1, width, width, 3)


def test_cover_art_is_not_counted():
    media = x264("mp4")
    assert probe(media).stream_index == 0
    still = cv2.imencode(".png", bordered()[0])[1].tobytes()
    assert probe(still).stream_index == 0
