"""Frames, timestamps and colours survive a round trip through every container and codec."""

import io
import os
from fractions import Fraction
from math import floor

import av
import numpy as np
import pytest

from video import formats
from video.encode import VideoWriter
from video.formats import B_FRAME_CODECS, FORMATS, split_format, stores_timestamps
from video.frames import read_frames
from video.probe import probe

UNEVEN = [0, 2000, 5000, 6600, 11000, 12345, 15000, 18000, 21999, 25000]
"""In 1 / 60,000 s."""
COLORS = ((216, 180, 124), (225, 25, 30), (25, 165, 50), (20, 105, 240))


def picture(number, height=64, width=96):
    """Frames of three flat shapes on a background; one shape moves."""
    rgb_HWC = np.full((height, width, 3), COLORS[0], np.uint8)
    rgb_HWC[4:28, number * 4 : number * 4 + 24] = COLORS[1]
    rgb_HWC[36:60, 8:40], rgb_HWC[36:60, 56:88] = COLORS[2], COLORS[3]
    return rgb_HWC


def written(name, *, fps=Fraction(30000, 1001), pts=range(12), **options):
    container, codec = split_format(name)
    file = io.BytesIO()
    with VideoWriter(
        file, height=64, width=96, fps=fps, container=container, codec=codec, **options
    ) as writer:
        for number, at in enumerate(pts):
            writer.write(picture(number), at)
    return file.getvalue()


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="only Linux tells a thread's scheduling")
@pytest.mark.parametrize("name", FORMATS)
def test_an_encoder_leaves_the_scheduling_of_threads_alone(name):
    def scheduling():
        return {os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task")}

    before = scheduling()
    container, codec = split_format(name)
    with VideoWriter(io.BytesIO(), height=64, width=96, fps=24, container=container, codec=codec) as writer:
        for number in range(3):
            writer.write(picture(number), number)
            assert scheduling() == before
    assert scheduling() == before


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("max_b_frames", [0, 2])
def test_a_file_gives_back_its_frames(name, max_b_frames):
    container, codec = split_format(name)
    if max_b_frames and not (codec in B_FRAME_CODECS and stores_timestamps(container)):
        with pytest.raises(ValueError, match="B-frames"):
            written(name, max_b_frames=max_b_frames)
        return
    media = written(name, max_b_frames=max_b_frames)
    found, frames = probe(media), list(read_frames(media))
    expected = [floor(i * Fraction(1001, 30000) / found.time_base + Fraction(1, 2)) for i in range(12)]
    first = frames[0].pts if name == "avi/h264" else 0  # AVI has no times: its first is as the reader counts
    assert [frame.pts - first for frame in frames] == expected
    for number, frame in enumerate(frames):
        assert np.abs(frame.rgb_HWC.astype(int) - picture(number)).mean() < 5
        for color, (y, x) in zip(COLORS, [(32, 48), (16, number * 4 + 12), (48, 24), (48, 72)], strict=True):
            assert np.abs(frame.rgb_HWC[y, x].astype(int) - color).max() <= 8
    with av.open(io.BytesIO(media)) as container:
        kinds = {frame.pict_type for frame in container.decode(video=0)}
    assert (av.video.frame.PictureType.B in kinds) == (max_b_frames > 0)


@pytest.mark.parametrize("name", [name for name in FORMATS if stores_timestamps(split_format(name)[0])])
def test_uneven_times_are_kept(name):
    tick = Fraction(1, 60_000)
    container, codec = split_format(name)
    media = written(name, pts=UNEVEN, time_base=tick, max_b_frames=2 if codec in B_FRAME_CODECS else 0)
    time_base = probe(media).time_base
    assert [frame.pts for frame in read_frames(media)] == [
        floor(pts * tick / time_base + Fraction(1, 2)) for pts in UNEVEN
    ]
    assert time_base == (Fraction(1, 1000) if container in ("mkv", "webm") else tick)


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_frames_give_the_same_bytes(name):
    assert written(name) == written(name)


@pytest.mark.parametrize("name", ["webm/h264", "avi/hevc", "mov/vp9", "mkv", "ogg/theora"])
def test_pairs_that_are_not_legal(name):
    with pytest.raises(ValueError, match=r"use one of mp4/h264"):
        split_format(name)


def test_an_encoder_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(formats.ENCODERS, "av1", "libaom-of-another-build")
    with pytest.raises(ValueError, match=r"av1 cannot be written.*encoder libaom-of-another-build"):
        written("mkv/av1")


def test_pictures_that_would_crash_an_encoder_are_refused():
    with pytest.raises(ValueError, match="hevc is not safe"):
        VideoWriter(io.BytesIO(), height=32, width=48, fps=24, codec="hevc")
