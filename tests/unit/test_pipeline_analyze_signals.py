"""Each analyzer on made frames: light, flashes, borders and the camera."""

from collections.abc import Callable, Iterable
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.analyze.signals.borders import Borders
from pipeline.analyze.signals.frame_view import Analyzer, FrameSampler, FrameView, Span
from pipeline.analyze.signals.light import Light
from pipeline.analyze.signals.motion import Motion

FPS, HEIGHT, WIDTH = 24, 90, 160


def measured(analyzer: Analyzer, frames: Iterable[np.ndarray], fps: float = FPS) -> dict[str, Any]:
    index, sampler = -1, FrameSampler(4.0)
    for index, gray_HW in enumerate(frames):
        rgb_HWC = np.repeat(gray_HW[..., None], 3, axis=2)
        time_s = index / fps
        analyzer.update(FrameView.from_rgb(rgb_HWC, index=index, time_s=time_s, sampled=sampler(time_s)))
    return analyzer.columns(Span(start=0, end=index + 1, end_s=(index + 1) / fps if index else None))


def canvas(seed: int = 0, low: int = 0, high: int = 255) -> np.ndarray:
    noise_HW = np.random.default_rng(seed).integers(0, 255, (800, 1200)).astype(np.float32)
    smooth_HW = cv2.GaussianBlur(noise_HW, (0, 0), 3)
    low_value, high_value = np.percentile(smooth_HW, (1, 99))
    return np.clip(low + (smooth_HW - low_value) / (high_value - low_value) * (high - low), low, high).astype(
        np.uint8
    )


Move = Callable[[float], tuple[float, float, float, float]]
"""Content's shift right and down in pixels, growth, and turn clockwise in degrees, at a time in seconds."""


def seen(move: Move, num_frames: int = 48, fps: float = FPS) -> list[np.ndarray]:
    texture, frames = canvas(), []
    for index in range(num_frames):
        right, down, growth, turn = move(index / fps)
        matrix = cv2.getRotationMatrix2D((600, 400), -turn, growth)
        matrix[:, 2] += WIDTH / 2 - 600 + right, HEIGHT / 2 - 400 + down
        frames.append(cv2.warpAffine(texture, matrix, (WIDTH, HEIGHT)))
    return frames


def still(value: int, num_frames: int) -> list[np.ndarray]:
    return [np.full((HEIGHT, WIDTH), value, np.uint8)] * num_frames


@pytest.mark.parametrize(
    ("move", "camera", "column", "rate"),
    [
        (lambda t: (0, 0, 1, 0), "static", "pan", 0.0),
        (lambda t: (-24 * t, 0, 1, 0), "pan_right", "pan", 0.15),
        (lambda t: (24 * t, 0, 1, 0), "pan_left", "pan", -0.15),
        (lambda t: (0, 18 * t, 1, 0), "tilt_up", "tilt", 0.2),
        (lambda t: (0, -18 * t, 1, 0), "tilt_down", "tilt", -0.2),
        (lambda t: (0, 0, 1.2**t, 0), "zoom_in", "zoom", 0.182),
        (lambda t: (0, 0, 1.2**-t, 0), "zoom_out", "zoom", -0.182),
        (lambda t: (0, 0, 1, -12 * t), "roll", "roll", 12.0),
        (lambda t: (0, 0, 1, 12 * t), "roll", "roll", -12.0),
    ],
)
def test_camera_motion_is_classified_and_its_rate_measured(move, camera, column, rate):
    found = measured(Motion(), seen(move))
    assert found["camera"] == camera
    assert found[column] == pytest.approx(rate, rel=0.25, abs=0.01)
    assert found["shake"] < 0.02


@pytest.mark.parametrize(("fps", "hold"), [(12, 1), (24, 2), (24, 3), (30, 1), (60, 3), (120, 1), (240, 1)])
@pytest.mark.parametrize("speed", [3.0, 24.0])
def test_a_pan_is_the_same_at_every_frame_rate_and_on_twos_and_threes(fps, hold, speed):
    drawings = seen(lambda t: (-speed * t, 0, 1, 0), round(2 * fps / hold), fps / hold)
    frames = [drawings[index // hold] for index in range(len(drawings) * hold)]
    motion, light = measured(Motion(), frames, fps), measured(Light(), frames, fps)
    usual = measured(Motion(), seen(lambda t: (-speed * t, 0, 1, 0)))
    assert motion["camera"] == "pan_right"
    assert motion["pan"] == pytest.approx(speed / WIDTH, rel=0.25)
    assert motion["pan"] == pytest.approx(usual["pan"], rel=0.1)
    assert motion["motion"] == pytest.approx(usual["motion"], rel=0.1)
    assert motion["shake"] < 0.05
    assert (light["static"], light["frozen_s"], light["flashes"]) == (0.0, 0.0, 0)


@pytest.mark.parametrize("fps", [24, 60, 240])
def test_what_stands_stands_at_every_frame_rate(fps):
    moving = seen(lambda t: (30 * t, 0, 1, 0), fps, fps)
    light = measured(Light(), [*moving, *[moving[-1]] * fps], fps)
    assert light["static"] == pytest.approx(0.5, abs=0.03)
    assert light["frozen_s"] == pytest.approx(1.0, abs=0.05)
    motion = measured(Motion(), [*moving, *[moving[-1]] * fps], fps)
    assert motion["motion"] == pytest.approx(0.5 * 30 / HEIGHT, rel=0.3)


@pytest.mark.parametrize("fps", [24, 60, 240])
def test_a_flash_counts_once_at_every_frame_rate(fps):
    lasts = max(1, round(fps / 24))
    levels = [100.0] * fps + [240.0] * 2 * lasts + [100.0] * fps
    ramp = np.ones(lasts) / lasts  # a shutter that is open for a 24th of a second
    soft = np.convolve(np.pad(levels, lasts, mode="edge"), ramp, mode="same")[lasts:-lasts]
    assert measured(Light(), [still(round(level), 1)[0] for level in soft], fps)["flashes"] == 1


def test_a_slide_of_one_frame_stands_as_long_as_it_is_shown():
    light = Light()
    for index in range(2):
        rgb_HWC = np.repeat(canvas(index)[:HEIGHT, :WIDTH, None], 3, axis=2)
        light.update(FrameView.from_rgb(rgb_HWC, index=index, time_s=3.0 * index, sampled=True))
    found = light.columns(Span(start=1, end=2, end_s=6.0))
    assert (found["static"], found["frozen_s"], found["flashes"]) == (1.0, 3.0, 0)


def test_a_camera_held_by_hand_shakes():
    steps = np.cumsum(np.random.default_rng(1).normal(0, 1, (48, 2)), axis=0)
    found = measured(Motion(), seen(lambda t: (*steps[round(t * FPS)], 1, 0)))
    assert found["camera"] == "handheld"
    assert found["shake"] > 0.1


def test_one_object_on_a_plain_background_gives_no_camera_motion():
    frames = still(90, 48)
    frames = [cv2.circle(f.copy(), (20 + 2 * i, 45), 8, 220, -1) for i, f in enumerate(frames)]
    found = measured(Motion(), frames)
    assert found["motion"] > 0
    assert (found["camera"], found["pan"]) == (None, None)


def test_a_thing_that_passes_is_no_pan():
    thing, ground = canvas(seed=5)[:40, :40], canvas()[:HEIGHT, :WIDTH]
    frames = []
    for index in range(48):
        frame = ground.copy()
        frame[25:65, 2 * index : 2 * index + 40] = thing
        frames.append(frame)
    found = measured(Motion(), frames)
    assert found["camera"] == "static"
    assert found["object_motion"] > 0.03


def test_the_longest_frozen_run_is_measured_in_seconds():
    moving = seen(lambda t: (40 * t, 0, 1, 0), 24)
    found = measured(Light(), [*moving, *[moving[-1]] * 36, *moving[:12], *[moving[11]] * 6])
    assert found["frozen_s"] == pytest.approx(37 / FPS)
    assert measured(Light(), moving)["frozen_s"] == 0
    assert measured(Light(), moving[:1])["frozen_s"] is None


def test_blank_is_any_flat_colour_and_black_only_black():
    flat = measured(Light(), still(180, 12))
    assert (flat["blank"], flat["black"]) == (1.0, 0.0)
    assert measured(Light(), still(4, 12))["blank"] == 1.0
    assert measured(Light(), seen(lambda t: (0, 0, 1, 0), 12))["blank"] == 0.0


@pytest.mark.parametrize(("dark_frames", "share"), [(3, 0.0), (6, 0.0), (12, 0.5)])
def test_the_dark_moments_of_a_strobe_are_no_black_frames(dark_frames, share):
    lit = seen(lambda t: (12 * t, 0, 1, 0), dark_frames)
    frames = [*lit, *still(2, dark_frames)] * 3 + lit
    columns = measured(Light(), frames[:-dark_frames] if share else frames)
    assert (columns["black"], columns["blank"]) == (share, share)


def test_black_frames_at_an_end_of_a_clip_count():
    columns = measured(Light(), [*still(2, 4), *seen(lambda t: (0, 0, 1, 0), 16), *still(2, 4)])
    assert (columns["black"], columns["blank"]) == (pytest.approx(8 / 24), pytest.approx(8 / 24))


def test_two_colours_that_are_equally_light_are_not_blank():
    rgb_HWC = np.full((HEIGHT, WIDTH, 3), (101, 60, 25), np.uint8)  # brown, and on it
    rgb_HWC[30:60, 50:80] = (140, 20, 165)  # purple of about the same luma
    light = Light()
    light.update(FrameView.from_rgb(rgb_HWC, index=0, time_s=0, sampled=True))
    assert light.columns(Span(start=0, end=1))["blank"] == 0.0


@pytest.mark.parametrize(
    ("levels", "flashes"),
    [
        ([100] * 30, 0),
        ([100] * 10 + [240] * 2 + [100] * 18, 1),
        ([100] * 8 + [250] + [100] * 8 + [170, 230] + [100] * 9, 2),
        ([100] * 10 + [240] * 20, 0),
        ([100] * 10 + [240] * 12 + [100] * 10, 0),
        (list(range(60, 240, 6)), 0),
        ([240] * 10 + [253] * 2 + [240] * 10, 1),
        ([5] * 10 + [5 + 25 * step for step in range(10)] + [225] * 10, 0),
    ],
)
def test_a_flash_rises_and_falls_within_a_few_frames(levels, flashes):
    assert measured(Light(), [still(level, 1)[0] for level in levels])["flashes"] == flashes


def test_exposure_is_the_share_of_pixels_without_detail():
    frame = np.full((HEIGHT, WIDTH), 120, np.uint8)
    frame[:45, :80], frame[45:, :40] = 255, 0
    found = measured(Light(), [frame] * 6)
    assert (found["overexposed"], found["underexposed"]) == (0.25, 0.125)


def framed(sides: tuple[int, int, int, int], border: int) -> list[np.ndarray]:
    """Moving frames with `border` in so many lines at the top, bottom, left and right."""
    top, bottom, left, right = sides
    frames = []
    for frame in seen(lambda t: (30 * t, 0, 1, 0), 24):
        bordered = np.full_like(frame, border)
        inside = slice(top, HEIGHT - bottom), slice(left, WIDTH - right)
        bordered[inside] = frame[inside]
        frames.append(bordered)
    return frames


def lines_of(frames: list[np.ndarray]) -> list[int]:
    found = measured(Borders(0), frames)
    sizes = {"top": HEIGHT, "bottom": HEIGHT, "left": WIDTH, "right": WIDTH}
    return [round(found[f"border_{side}"] * size) for side, size in sizes.items()]


@pytest.mark.parametrize(
    "sides",
    [(11, 11, 0, 0), (0, 0, 20, 20), (9, 14, 0, 0), (8, 8, 12, 12), (1, 1, 0, 0), (0, 0, 0, 2), (2, 0, 3, 1)],
)
def test_black_borders_are_found_to_the_line(sides):
    assert lines_of(framed(sides, 0)) == list(sides)


def test_a_border_with_a_subtitle_in_it_is_one():
    frames = framed((12, 12, 0, 0), 4)
    for frame in frames[8:18]:
        frame[82:86, 50:110] = 230
    assert lines_of(frames) == [12, 12, 0, 0]


@pytest.mark.parametrize(("sides", "luma"), [((20, 0, 0, 0), 0), ((0, 14, 0, 0), 10), ((11, 11, 0, 0), 200)])
def test_a_night_sky_a_table_and_a_bright_frame_are_picture(sides, luma):
    assert lines_of(framed(sides, luma)) == [0, 0, 0, 0]


def test_a_border_that_comes_and_goes_is_picture():
    assert lines_of([*framed((11, 11, 0, 0), 0), *framed((0, 0, 0, 0), 0)]) == [0, 0, 0, 0]


def test_a_dark_scene_and_a_flat_sky_are_no_border():
    night = [cv2.circle(f.copy(), (30 + 2 * i, 45), 12, 200, -1) for i, f in enumerate(still(3, 24))]
    assert set(measured(Borders(0), night).values()) == {0.0}
    hills = still(180, 1)[0].copy()
    points = [(0, 60), (50, 30), (100, 55), (159, 35), (159, 89), (0, 89)]
    cv2.fillPoly(hills, [np.array(points, np.int32)], 60)
    assert measured(Borders(0), [hills] * 12)["border_top"] == 0
    assert set(measured(Borders(0), still(0, 12)).values()) == {0.0}
