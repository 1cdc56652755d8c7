"""What the frames around a boundary say: strobes, slides, dissolves, shots of a few frames, plain scenes."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from shot_scenes import FPS, SIZE_PX, found, picture, shot

from pipeline.analyze.shots.boundaries import Boundary, slow_candidates
from pipeline.analyze.shots.features import downscale
from pipeline.analyze.shots.refine import Evidence, refine
from pipeline.analyze.shots.structure import Picture, detail, is_blank, persists_in_part
from pipeline.analyze.signals.frame_view import half_res
from video.frames import read_frames


def evidence(frames: np.ndarray) -> Evidence:
    grays = [cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2GRAY) for frame_HWC in frames]
    return Evidence(
        grays=grays,
        small_THWC=np.stack([downscale(half_res(frame_HWC)) for frame_HWC in frames]),
        blank_T=np.array([is_blank(each) for each in grays]),
        time_T=np.arange(len(frames)) / FPS,
    )


def passed_by(frames: np.ndarray) -> np.ndarray:
    """The same with something large that passes from left to right."""
    frames = frames.copy()
    for at, frame_HWC in enumerate(frames):
        left = round(2.4 * at) - 60
        cv2.rectangle(frame_HWC, (left, 10), (left + 50, 80), (40 + at, 60, 70), -1)
    return frames


def cuts(*frames: int) -> list[Boundary]:
    return [Boundary(start=at, end=at) for at in frames]


def pan(seed: int, count: int, speed: float) -> np.ndarray:
    return np.stack([picture(seed, speed * at) for at in range(count)])


def plain(ground: tuple[int, ...], thing: tuple[int, ...], count: int) -> np.ndarray:
    """One thing that moves slowly over a ground of one colour."""
    frames = np.full((count, *SIZE_PX, 3), ground, np.uint8)
    for at, frame_HWC in enumerate(frames):
        cv2.circle(frame_HWC, (80 + at, 47), 17, thing, -1, cv2.LINE_AA)
    return frames


def text_slide(seed: int) -> np.ndarray:
    """A heading that all slides share, over lines of their own."""
    slide_HWC = np.full((*SIZE_PX, 3), 250, np.uint8)
    slide_HWC[:14] = (30, 60, 120)
    cv2.putText(slide_HWC, "The quarterly report", (4, 11), 0, 0.35, (255, 255, 255), 1, cv2.LINE_AA)
    rng = np.random.default_rng(seed)
    for line in range(5):
        words = "".join(rng.choice(list("abcdefgh ijklm"), int(rng.integers(6, 22))))
        cv2.putText(slide_HWC, words, (8, 28 + 13 * line), 0, 0.35, (20, 20, 20), 1, cv2.LINE_AA)
    return slide_HWC


def framed_photo(seed: int) -> np.ndarray:
    """Another photo in the same coarse frame."""
    tiles = np.random.default_rng(7).integers(0, 255, (9, 16, 3)).astype(np.uint8)
    frame_HWC = cv2.resize(tiles, SIZE_PX[::-1], interpolation=cv2.INTER_NEAREST)
    frame_HWC[12:78, 20:140] = picture(seed)[12:78, 20:140]
    return frame_HWC


def clouds(at: int) -> np.ndarray:
    """A landscape; clouds pass."""
    frame_HWC = picture(40)
    frame_HWC[:30] = (120, 160, 220)
    for cloud in range(5):
        cv2.ellipse(
            frame_HWC, ((cloud * 45 + at * 11) % 190 - 15, 9 + cloud * 4), (16, 4), 0, 0, 360, (240,) * 3, -1
        )
    return frame_HWC


@pytest.mark.parametrize("speed", [0.4, 1.0])
@pytest.mark.parametrize("hz", [2, 3, 5])
def test_a_strobe_over_black_is_one_shot_also_while_the_camera_moves(hz, speed):
    frames = pan(2, 125, speed)
    frames[(np.arange(125) * hz * 2 / FPS).astype(int) % 2 == 1] //= 16
    assert found(frames) == []


def test_black_between_two_shots_of_a_strobe_is_their_boundary():
    """Light that goes off hides no cut."""
    frames = np.concatenate([pan(2, 52, 0.4), pan(3, 52, 0.4)])
    frames[(np.arange(104) // 4) % 2 == 1] //= 16
    assert found(frames) == [Boundary(start=52, end=56)]


@pytest.mark.parametrize("make", [text_slide, framed_photo, picture])
def test_slides_with_much_in_common_are_shots_of_their_own(make):
    assert found(np.stack([make(seed) for seed in range(6)]), 1 / 3) == cuts(1, 2, 3, 4, 5)


def test_a_slide_that_stands_and_a_time_lapse_are_one_shot():
    noise = np.random.default_rng(0).normal(0, 2, (6, *SIZE_PX, 3))
    assert found((text_slide(1) + noise).clip(0, 255).astype(np.uint8), 1) == []
    assert found(np.stack([clouds(at) for at in range(8)]), 1) == []


@pytest.mark.parametrize("seconds", [1.5, 3])
@pytest.mark.parametrize("seed", [0, 2])
def test_a_dissolve_to_a_smooth_scene_is_no_strobe(seed, seconds):
    """The fine structure of the old scene is all that there is until the end, and contrast grows."""
    length = round(seconds * FPS)
    smooth_HWC = np.empty((*SIZE_PX, 3), np.float32)
    smooth_HWC[:] = np.linspace(0, 255, SIZE_PX[1])[:, None]
    old = (pan(seed, 40 + length, 0.1) - 128.0) * 0.5 + 128
    weight = (np.arange(1, length + 1) / (length + 1))[:, None, None, None]
    mixed = (1 - weight) * old[40:] + weight * smooth_HWC
    frames = np.concatenate([old[:40], mixed, np.repeat(smooth_HWC[None], 40, axis=0)])
    boundaries = found(frames.clip(0, 255).astype(np.uint8))
    assert len(boundaries) == 1
    assert boundaries[0].start <= 48
    assert boundaries[0].end >= 32 + length


@pytest.mark.parametrize("seed", [0, 10, 20])
@pytest.mark.parametrize("counts", [(5, 4, 5), (4, 4, 4), (24, 5, 4, 24)])
def test_each_of_three_shots_of_a_few_frames_is_one(seed, counts):
    frames = np.concatenate([shot(seed + number, count) for number, count in enumerate(counts)])
    assert found(frames, 12) == cuts(*np.cumsum(counts)[:-1].tolist())


def test_something_else_for_a_moment_ends_no_shot():
    frames = shot(0, 60)
    frames[30:33] = shot(1, 3)
    assert found(frames) == []


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_flash_right_after_a_cut_hides_no_cut(at):
    frames = np.concatenate([pan(30, 40, 1.2), pan(31, 40, 1.2)])
    frames[40 + at, 20:70, 40:120] = 255
    assert found(frames) == cuts(40)


def test_a_frame_of_its_own_between_two_shots_belongs_to_neither():
    frames = np.concatenate([pan(32, 40, 1.2), picture(33)[None], pan(34, 40, 1.2)])
    assert found(frames) == [Boundary(start=40, end=41)]


def test_two_things_in_one_place_on_plain_grounds_are_two_shots():
    """A yellow disc on gray, then a blue square on navy: edges alone say that nothing changed."""
    path = Path(__file__).parents[1] / "golden" / "legacy" / "raw" / "raw-00001.mp4"
    assert found(np.stack([frame.rgb_HWC for frame in read_frames(str(path))]), 12) == cuts(15)


def test_a_short_shot_of_a_small_thing_on_white_is_not_blank():
    small = np.full((5, *SIZE_PX, 3), 250, np.uint8)
    small[:, 40:48, 70:80] = (40, 60, 180)
    frames = np.concatenate(
        [plain((128, 128, 128), (250, 230, 40), 20), small, plain((12, 16, 80), (90, 200, 90), 20)]
    )
    assert found(frames, 12) == cuts(20, 25)


def test_light_and_a_banner_on_a_plain_ground_end_no_shot():
    lit = plain((130, 110, 90), (60, 200, 220), 60).astype(np.float32)
    lit[20:40] *= (0.3, 0.4, 1.0)
    assert found(lit.astype(np.uint8)) == []
    banner = plain((45, 50, 90), (20, 90, 150), 60)
    banner[25:, 72:] = (220, 20, 40)
    assert found(banner) == []


@pytest.mark.parametrize("seed", [1, 2])
def test_a_bar_at_a_side_ends_no_shot_in_which_something_passes(seed):
    frames = passed_by(shot(seed, 100, 0.6))
    frames[25:70, :, :40] = (20, 40, 200)
    assert found(frames) == []


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_what_passes_while_a_strobe_is_dark_begins_no_shot(seed):
    frames = pan(seed, 125, 0.3)
    for at, frame_HWC in enumerate(frames):
        for left, width, color in ((4 * at - 120, 110, (225, 215, 205)), (300 - 5 * at, 90, (35, 45, 120))):
            cv2.rectangle(frame_HWC, (left, 20), (left + width, 90), color, -1)
    frames[(np.arange(125) * 8 / FPS).astype(int) % 2 == 1] //= 16
    assert found(frames) == []


@pytest.mark.parametrize("weight", [0.3, 0.4])
@pytest.mark.parametrize("jitter_px", [8, 20])
def test_a_blended_picture_in_which_the_old_scene_outweighs_the_new_one_is_a_cut(jitter_px, weight):
    """The camera shakes, so that the picture is no mixture of its neighbours, and the new scene is smooth."""
    old = np.stack([picture(0, jitter_px * (at % 2)) for at in range(50)])
    new = plain(tuple(old.mean(axis=(0, 1, 2)).astype(int)), (10, 90, 190), 50)
    old[-1] = cv2.addWeighted(old[-1], 1 - weight, new[0], weight, 0)
    boundaries = refine(cuts(49), evidence(np.concatenate([old, new])), 0, 100)
    assert boundaries == [Boundary(start=49, end=50)]


@pytest.mark.parametrize("speed", [3, 4])
def test_things_that_enter_before_a_plain_ground_are_no_dissolve(speed):
    frames = np.full((60, *SIZE_PX, 3), 246, np.uint8)
    for at, frame_HWC in enumerate(frames):
        for number, color in enumerate(((20, 215, 230), (20, 160, 50), (140, 20, 160))):
            center = 175 + 9 * number - speed * (at - 20), 15 + 32 * number
            cv2.circle(frame_HWC, center, 10, color, -1, cv2.LINE_AA)
    assert refine([Boundary(start=20, end=40)], evidence(frames), 0, 60) == []


def test_a_slow_dissolve_is_one_where_the_network_is_sure_of_parts_only():
    gradual_T = np.full(100, 0.05, np.float32)
    gradual_T[20:70] = 0.65
    gradual_T[[25, 26, 46, 47, 61]] = 0.95
    gradual_T[50:53] = 0.1
    time_T = np.arange(100) / FPS
    assert slow_candidates(gradual_T, time_T, 0.75) == [Boundary(start=20, end=70)]
    gradual_T[28:44] = 0.3  # hardly more than nothing for most of the time
    assert slow_candidates(gradual_T, time_T, 0.75) == []


def test_a_slow_dissolve_counts_where_nothing_else_is_found():
    length = 50
    old, new = pan(1, 30 + length, 0.1), pan(2, length + 30, 0.1)
    weight_T = (np.arange(1, length + 1) / (length + 1))[:, None, None, None]
    mixed = (1 - weight_T) * old[30:] + weight_T * new[:length]
    seen = evidence(np.concatenate([old[:30], mixed, new[length:]]).astype(np.uint8))
    slow = [Boundary(start=30, end=80)]
    assert refine([], seen, 0, 110) == []
    assert refine([], seen, 0, 110, slow) == [Boundary(start=26, end=84)]
    assert refine([Boundary(start=32, end=78)], seen, 0, 110, slow) == [Boundary(start=29, end=81)]


def test_the_middle_of_a_dissolve_is_a_sum_of_both_scenes():
    old, new = picture(1), picture(2)
    half = cv2.addWeighted(old, 0.5, new, 0.5, 0)
    middles = {"dissolve": half, "fade": half // 4, "another scene": picture(3), "less light": old // 2}
    found_so = {
        name: evidence(np.stack([old, middle, new])).is_blend(0, 2) for name, middle in middles.items()
    }
    assert found_so == {"dissolve": True, "fade": True, "another scene": False, "less light": False}


def test_beside_a_banner_the_structure_persists():
    old, new = (
        Picture(detail(cv2.cvtColor(each, cv2.COLOR_RGB2GRAY)), downscale(half_res(each)))
        for each in (picture(1), picture(2))
    )
    named_HWC = picture(1, 2.0)
    named_HWC[62:] = 10
    named = Picture(detail(cv2.cvtColor(named_HWC, cv2.COLOR_RGB2GRAY)), downscale(half_res(named_HWC)))
    assert persists_in_part(old, named)
    assert not persists_in_part(old, new)
