"""Logos, subtitles and borders over moving and plain pictures, and small things that are none of these."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from shot_scenes import picture, shot
from test_pipeline_dedup import Frames, clip, print_of, run

from pipeline.analyze.signals.borders import frame_borders_of, sides_of
from pipeline.dedup.align import clip_frames
from pipeline.dedup.overlays import ranges
from pipeline.fingerprint_format import HASHES, views_of

NAVY = (20, 24, 90)


def plain(count: int = 50, *, horizon: bool = False) -> list[np.ndarray]:
    """A ball that rolls over plain ground, 90 x 160 pixels."""
    frames = []
    for at in range(count):
        frame_HWC = np.full((90, 160, 3), NAVY, np.uint8)
        if horizon:
            frame_HWC[76:] = (90, 90, 96)
        frames.append(cv2.circle(frame_HWC, (40 + at, 52), 9, (180, 60, 60), -1))
    return frames


def badge(rgb_HWC: np.ndarray) -> np.ndarray:
    """Draw a disc in the lower left corner, the color of some of what passes under it."""
    return cv2.circle(rgb_HWC.copy(), (14, 78), 8, (110, 105, 120), -1, cv2.LINE_AA)


def in_a_box(rgb_HWC: np.ndarray) -> np.ndarray:
    boxed_HWC = cv2.rectangle(rgb_HWC.copy(), (14, 73), (120, 86), (0, 0, 0), -1)
    return cv2.putText(boxed_HWC, "Nobody told me", (18, 83), 0, 0.4, (255, 255, 255), 1, cv2.LINE_AA)


def bordered(rgb_HWC: np.ndarray, wide: int, luma: int) -> np.ndarray:
    framed_HWC = cv2.copyMakeBorder(
        rgb_HWC, wide, wide, 2 * wide, 2 * wide, cv2.BORDER_CONSTANT, value=(luma, luma, luma)
    )
    return cv2.resize(framed_HWC, (160, 100), interpolation=cv2.INTER_AREA)


def copied(original: Frames, change: Callable[[np.ndarray], np.ndarray]) -> str:
    other = [np.ascontiguousarray(change(frame)) for frame in original]
    rows = run([clip("a", original, fps=25), clip("b", other, fps=25, width=32)])
    return rows["b"]["kind"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_logo_may_look_like_what_passes_under_it(seed):
    assert copied(shot(seed, 60, speed=2.0), badge) == "near"


@pytest.mark.parametrize("horizon", [False, True])
def test_a_logo_over_plain_ground_is_one_if_something_else_moves(horizon):
    assert copied(plain(horizon=horizon), badge) == "near"


def test_a_faint_logo_in_a_bright_sky_is_one():
    """In a file that conversions made darker by two steps."""
    frames = list(shot(1, 50))
    for rgb_HWC in frames:
        rgb_HWC[:30] = 222
        np.clip(rgb_HWC, 2, 255, out=rgb_HWC)

    def change(rgb_HWC: np.ndarray) -> np.ndarray:
        return cv2.putText(rgb_HWC - 2, "TV5", (130, 13), 0, 0.4, (255, 255, 255), 1, cv2.LINE_AA)

    assert copied(frames, change) == "near"


def test_a_short_line_is_a_subtitle_where_longer_ones_are():
    frames = list(shot(2, 75))
    other = []
    for at, rgb_HWC in enumerate(frames):
        text = "Nobody told me" if at < 40 else "Go"
        other.append(cv2.putText(rgb_HWC.copy(), text, (62, 84), 0, 0.4, (255, 255, 255), 1, cv2.LINE_AA))
    rows = run([clip("a", frames, fps=25), clip("b", other, fps=25, width=32)])
    assert rows["b"]["kind"] == "near"
    short = run([clip("a", frames[40:], fps=25), clip("b", other[40:], fps=25, width=32)])
    assert short["b"]["kind"] == "none"  # without them it may be a thing


def walled(count: int = 50) -> list[np.ndarray]:
    """A bright pillar between dark walls, which look like borders, and a ball that rolls before it."""
    frames = []
    for at in range(count):
        frame_HWC = np.full((90, 160, 3), NAVY, np.uint8)
        frame_HWC[:, 55:105] = picture(5)[:, 55:105]
        frames.append(cv2.circle(frame_HWC, (66 + at // 2, 50), 6, (180, 60, 60), -1))
    return frames


def test_what_moves_where_a_border_seems_to_be_makes_another_clip():
    frames = walled()
    assert len(views_of(np.frombuffer(print_of(frames, 25)["frame_hashes"], HASHES))) == 2
    visited = [frame.copy() for frame in frames]
    for at, rgb_HWC in enumerate(visited):
        rgb_HWC[50:58, 118 + at // 2 : 122 + at // 2] = 230
    rows = run([clip("a", frames, fps=25), clip("b", visited, fps=25, width=32)])
    assert {row["kind"] for row in rows.values()} == {"none"}


def test_black_bars_end_where_a_nearly_black_picture_begins():
    frames = []
    for at in range(50):
        frame_HWC = np.full((90, 160, 3), 8, np.uint8)
        frames.append(cv2.rectangle(frame_HWC, (20 + at, 36), (44 + at, 56), (40, 180, 200), -1))
    barred = [cv2.copyMakeBorder(frame, 14, 14, 0, 0, cv2.BORDER_CONSTANT) for frame in frames]
    assert len(views_of(np.frombuffer(print_of(barred, 25)["frame_hashes"], HASHES))) == 2
    rows = run([clip("a", frames, fps=25), clip("b", barred, fps=25, width=32)])
    assert (rows["b"]["kind"], rows["b"]["keeper"]) == ("near", "a")


@pytest.mark.parametrize("side", [8, 16])
def test_ranges_are_those_of_the_cells_around(side):
    values_NHW = np.random.default_rng(0).uniform(0, 255, (5, side, side)).astype(np.float32)
    cells = np.ones((3, 3), np.uint8)
    expected = [cv2.dilate(each, cells) - cv2.erode(each, cells) for each in values_NHW]
    assert (ranges(values_NHW) == np.stack(expected)).all()


@pytest.mark.parametrize("make", [lambda: shot(2, 50), plain])
def test_a_line_in_a_black_box_is_a_subtitle(make):
    assert copied(make(), in_a_box) == "near"


@pytest.mark.parametrize("luma", [0, 128, 255])
@pytest.mark.parametrize("wide", [4, 8])
def test_a_textured_clip_in_a_frame_is_a_copy(wide, luma):
    assert copied(shot(0, 50), lambda rgb_HWC: bordered(rgb_HWC, wide, luma)) == "near"


def test_what_looks_like_a_border_in_one_copy_alone_is_compared_as_it_is():
    """Walls of one color at both sides, a little brighter above in the copy."""
    shade_H11 = np.linspace(-10, 10, 90).round()[:, None, None]
    walled, shaded = [], []
    for frame_HWC in shot(4, 50):
        frame_HWC[:, :10] = frame_HWC[:, -10:] = 60
        walled.append(frame_HWC.copy())
        frame_HWC[:, :10] = frame_HWC[:, -10:] = 60 + shade_H11
        shaded.append(frame_HWC)
    for frames, num_views in ((walled, 2), (shaded, 1)):
        assert len(views_of(np.frombuffer(print_of(frames, 25)["frame_hashes"], HASHES))) == num_views
    rows = run([clip("a", walled, fps=25), clip("b", shaded, fps=25, width=32)])
    assert (rows["b"]["kind"], rows["b"]["keeper"]) == ("near", "a")


@pytest.mark.parametrize(
    ("x", "y", "across", "down"), [(30, 70, 0.24, 0), (5, 30, 0, 0.2), (150, 10, 0, 0.3)]
)
def test_a_person_who_walks_near_an_edge_is_no_logo(x, y, across, down):
    original = [picture(1, 0.3 * at) for at in range(60)]
    other = [frame.copy() for frame in original]
    for at, frame_HWC in enumerate(other):
        left, top = round(x + across * at), round(y + down * at)
        frame_HWC[top : top + 8, left : left + 4] = (15, 15, 20)
    rows = run([clip("a", original, fps=25), clip("b", other, fps=25, width=32)])
    assert {row["kind"] for row in rows.values()} == {"none"}


def test_a_border_is_found_in_spite_of_what_compression_leaves_in_it():
    rng = np.random.default_rng(0)
    gray_HW = np.full((90, 160), 255, np.uint8)
    gray_HW[8:-8, 16:-16] = rng.integers(20, 90, (74, 128))
    gray_HW[6, 20:-20:7], gray_HW[8:30, 14] = 230, 240
    assert frame_borders_of(sides_of(gray_HW), scaled=False) == [8 / 90, 8 / 90, 16 / 160, 16 / 160]
    gray_HW[30:70, 120:] = 255  # a white window beside the frame
    assert frame_borders_of(sides_of(gray_HW), scaled=False)[3] == 16 / 160


def test_subtitles_in_the_bar_below_leave_it_a_border():
    def change(rgb_HWC: np.ndarray) -> np.ndarray:
        boxed_HWC = cv2.copyMakeBorder(rgb_HWC, 20, 20, 0, 0, cv2.BORDER_CONSTANT)
        return cv2.putText(boxed_HWC, "Nobody told me", (18, 124), 0, 0.4, (255, 255, 255), 1, cv2.LINE_AA)

    assert copied(shot(2, 50), change) == "near"


def test_a_clip_with_a_border_is_seen_in_two_ways():
    frames = [cv2.copyMakeBorder(f, 12, 12, 0, 0, cv2.BORDER_CONSTANT) for f in plain(25)]
    found = print_of(frames, 25)
    clip_in_bars = clip_frames(found["frame_hashes"], found["frame_looks"], 1.0)
    assert clip_in_bars.untrimmed is not None
    whole, inside = clip_in_bars.untrimmed, clip_in_bars
    assert (whole.time_N == inside.time_N).all()
    assert (whole.picture_ND[:, :16] == 0).all()
    assert (inside.picture_ND[:, :16] > 20).all()
    assert inside.contrast == whole.contrast
