"""Times, ends and empty packets: what is in a file counts, not what its header says."""
# PyAV's stubs know only the base class of streams and frames.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportOptionalOperand=false
# pyright: reportArgumentType=false, reportOperatorIssue=false, reportCallIssue=false

from fractions import Fraction

import numpy as np
import pytest
from file_edits import with_matroska_duration
from golden_kinds import (
    NOISE,
    animated_png_with_long_text,
    asf_that_states,
    avi_of,
    jpegs,
    subtitles_last_longer,
)
from golden_media import NUM_FRAMES, encode, expected_patches, patches, picture

from video.errors import VideoError, VideoErrorCode
from video.frames import read_frames
from video.probe import probe
from video.random_access import frames_at
from video.seek import is_seekable


def times_of(media: bytes) -> list[float]:
    frames = list(read_frames(media))
    return [frame.time_s - frames[0].time_s for frame in frames]


@pytest.mark.parametrize(
    ("codec", "container", "options", "skip"),
    [
        ("libx264", "mpegts", {"bf": "0"}, 0),
        ("libx264", "mpegts", {"bf": "2"}, 0),
        ("mpeg2video", "mpeg", {"b": "4M"}, 0),
        ("mpeg2video", "vob", {"b": "4M", "bf": "2"}, 0),
        ("libx264", "flv", {"bf": "0"}, 13),
        ("libx264", "matroska", {"bf": "2"}, 0),
        ("libvpx", "webm", {"deadline": "realtime", "cpu-used": "8"}, 0),
    ],
)
def test_times_go_on_where_files_were_joined(codec, container, options, skip):
    parts = [encode(codec, container, options=options, pictures=NOISE[: 5 + k]) for k in (0, 1)]
    frames = list(read_frames(parts[0] + parts[1][skip:]))
    assert np.diff([frame.time_s for frame in frames]) == pytest.approx([0.04] * 10, abs=0.0015)
    assert not any(frame.damaged for frame in frames)


def test_a_joined_matroska_file_is_read_from_its_start():
    parts = [encode("libx264", "matroska", options={"bf": "0"}, pictures=NOISE[: 5 + k]) for k in (0, 1)]
    frames = list(read_frames(b"".join(parts)))
    assert not is_seekable(probe(b"".join(parts)).container, "h264")
    found = frames_at(b"".join(parts), [10, 3])
    assert (found.frames_NHWC[0] == frames[10].rgb_HWC).all()
    assert found.reason == "files that were joined"


def test_three_parts_and_one_that_is_short():
    part = encode("libx264", "mpegts", options={"bf": "0"}, pictures=NOISE)
    short = encode("libx264", "mpegts", options={"bf": "0"}, pictures=NOISE[:4])
    assert np.diff(times_of(part + short + part)) == pytest.approx([0.04] * 15)


def test_subtitles_that_last_longer_than_the_pictures():
    assert len(times_of(subtitles_last_longer())) == NUM_FRAMES


@pytest.mark.parametrize(
    "make",
    [
        lambda: with_matroska_duration(encode("libvpx", "webm", options={"deadline": "realtime"}), 6500.0),
        lambda: avi_of(jpegs(NUM_FRAMES), stated=90),
        lambda: asf_that_states(60),
    ],
    ids=["webm", "avi", "asf"],
)
def test_a_duration_that_is_too_long_is_no_missing_end(make):
    media = make()
    assert len(times_of(media)) == NUM_FRAMES
    with pytest.raises(VideoError) as caught:
        times_of(media[: len(media) * 3 // 4])
    assert caught.value.code == VideoErrorCode.TRUNCATED


def test_an_empty_packet_keeps_the_picture():
    made = jpegs(5)
    media = avi_of([*made[:2], b"", *made[2:]], stated=6)
    assert times_of(media) == pytest.approx([0, 0.04, 0.12, 0.16, 0.2])
    shown = [patches(frame.rgb_HWC)[0][0] for frame in read_frames(media)]
    assert np.abs(np.array(shown) - [expected_patches(number)[0][0] for number in range(5)]).max() <= 3


@pytest.mark.parametrize("rate", [8, 12, 24, 30])
def test_the_rate_of_a_gif_is_its_frames_over_their_time(rate):
    media = encode("gif", "gif", pixel_format="rgb8", rate=rate, pictures=[picture(i) for i in range(24)])
    assert probe(media).fps == pytest.approx(rate, rel=0.02)


def test_an_animated_png_with_a_long_text_is_a_video():
    media = animated_png_with_long_text()
    found = probe(media)
    assert (found.kind, found.fps) == ("video", Fraction(10))
    assert len(times_of(media)) == 5
    with pytest.raises(VideoError):
        times_of(media[:-60])
