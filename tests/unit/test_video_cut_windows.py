"""Windows of a span hold every frame of it exactly once, with its pixels, from one decode."""

import io
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

import video.cut
from video.cut import CutClip, cut
from video.encode import VideoWriter
from video.errors import VideoError
from video.frames import read_frames

BASE = Fraction(1, 16000)
"""The time base of MP4 files with 1000 units a second."""
MS = 16


def film(pts: Sequence[int]) -> bytes:
    """A film, with frames at `pts` milliseconds, whose frame `n` holds its number in two gray levels."""
    buffer = io.BytesIO()
    with VideoWriter(buffer, height=32, width=48, fps=25, time_base=BASE, crf=0) as out:
        for number, at in enumerate(pts):
            rgb_HWC = np.full((32, 48, 3), 8 * (number % 20) + 20, np.uint8)
            rgb_HWC[:, 24:] = 8 * (number // 20) + 20
            out.write(rgb_HWC, at * MS)
    return buffer.getvalue()


def numbers(clip: CutClip) -> list[int]:
    frames = [*read_frames(clip.media)]
    assert len(frames) == clip.num_frames
    assert frames[0].time_s == 0
    digits = [[(half.mean() - 20) / 8 for half in np.split(frame.rgb_HWC, 2, axis=1)] for frame in frames]
    return [round(low) + 20 * round(high) for low, high in digits]


def spans_of(clips: list[CutClip]) -> list[tuple[int, int]]:
    return [(clip.start_pts // MS, clip.end_pts // MS) for clip in clips]


def ms(*spans: tuple[int, int]) -> list[tuple[int, int]]:
    return [(start * MS, end * MS) for start, end in spans]


def test_windows_tile_a_span(monkeypatch):
    """No frame is lost or doubled where the length is no multiple of the windows; other spans stay whole."""
    media = film([40 * n for n in range(100)])
    opened = []
    read = video.cut.read_lazy_frames
    monkeypatch.setattr(video.cut, "read_lazy_frames", lambda *a, **k: opened.append(1) or read(*a, **k))
    clips = [*cut(media, ms((400, 2800), (3000, 3400)), windows=[7, 1], crf=0)]
    assert len(opened) == 1
    assert [(clip.span, clip.window) for clip in clips] == [*((0, n) for n in range(7)), (1, 0)]
    assert [n for clip in clips[:7] for n in numbers(clip)] == [*range(10, 70)]
    assert {clip.num_frames for clip in clips[:7]} == {8, 9}
    assert numbers(clips[7]) == [*range(75, 85)]
    spans = spans_of(clips[:7])
    assert (spans[0][0], spans[6][1]) == (400, 2800)
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    assert all(clip.start_pts == clip.first_pts for clip in clips[1:7])
    whole = [*cut(media, ms((400, 2800), (3000, 3400)), crf=0)]
    assert [clip.num_frames for clip in whole] == [60, 10]
    assert whole[1] == clips[7]
    assert Fraction(whole[0].fps) == clips[0].fps == 25


def test_pixels_are_those_of_the_film():
    media = film([40 * n for n in range(50)])
    source = [frame.rgb_HWC for frame in read_frames(media)]
    clips = [*cut(media, ms((0, 2000)), windows=[3], crf=0)]
    ours = [frame.rgb_HWC for clip in clips for frame in read_frames(clip.media)]
    assert len(ours) == 50
    assert all(np.array_equal(a, b) for a, b in zip(ours, source, strict=True))


@pytest.mark.parametrize(
    ("pts", "windows", "spans"),
    [
        ([0, 40, 80, 120, 1000, 1040], 4, [(0, 1000), (1000, 1080)]),  # two windows without a frame
        ([0, 900], 3, [(0, 900), (900, 1080)]),
        ([0], 5, [(0, 1080)]),
        ([0, 539, 540, 541], 2, [(0, 540), (540, 1080)]),
    ],
)
def test_a_window_without_a_frame_belongs_to_the_one_before(pts, windows, spans):
    clips = [*cut(film(pts), ms((0, 1080)), windows=[windows], crf=0)]
    assert spans_of(clips) == spans
    assert [n for clip in clips for n in numbers(clip)] == [*range(len(pts))]


def test_an_empty_span_among_windows_is_named():
    clips = cut(film([0, 40, 80]), ms((0, 100), (200, 300)), windows=[2, 2])
    assert [next(clips).window, next(clips).window] == [0, 1]
    with pytest.raises(VideoError, match=r"no frame lies in the span \[3200, 4800\)"):
        next(clips)


@pytest.mark.parametrize("windows", [[1], [1, 2, 3], [0, 1], [2, -1]])
def test_wrong_numbers_of_windows_are_refused(windows):
    with pytest.raises(ValueError, match="give one number, at least 1, a span"):
        next(cut(film([0, 40]), [(0, 20), (20, 80)], windows=windows))
