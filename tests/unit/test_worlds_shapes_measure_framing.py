"""Whether all things are wholly in frame: in renders that they are in, and partly out of, at any edge."""

import cv2
import numpy as np
import pytest

from worlds.palette import BACKGROUNDS, COLORS, SHAPES, STYLES
from worlds.rasterize import blank, outline_P2, paint
from worlds.shapes.draw import render
from worlds.shapes.judge import without_style
from worlds.shapes.measure import wholly_in_frame
from worlds.shapes.truth import Thing, World

WIDTH, HEIGHT, SIZE_PX = 80, 48, 18.0
COLOR_C = np.array(COLORS["red"], np.float32)


def blurred(frames_THWC):
    return np.stack([cv2.GaussianBlur(frame_HWC, (0, 0), 1.0) for frame_HWC in frames_THWC])


def reaching(shape, edge, beyond_px):
    """Render a thing at rest that reaches `beyond_px` beyond an edge of the frame, clipped there."""
    low_2, high_2 = (
        end * SIZE_PX / 2 for end in (outline_P2(shape).min(axis=0), outline_P2(shape).max(axis=0))
    )
    x, y = {
        "left": (-low_2[0] - beyond_px, HEIGHT / 2),
        "right": (WIDTH - high_2[0] + beyond_px, HEIGHT / 2),
        "top": (WIDTH / 2, -low_2[1] - beyond_px),
        "bottom": (WIDTH / 2, HEIGHT - high_2[1] + beyond_px),
    }[edge]
    rendered = blank(3, HEIGHT, WIDTH, BACKGROUNDS["gray"])
    for frame in range(3):
        paint(rendered, frame, 1, shape, SIZE_PX, (x, y), COLOR_C)
    return rendered.frames_THWC


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("edge", ["left", "right", "top", "bottom"])
def test_a_thing_is_in_frame_until_it_is_cut(shape, edge):
    assert wholly_in_frame(reaching(shape, edge, -1.0))
    assert wholly_in_frame(blurred(reaching(shape, edge, -2.0)))
    for beyond_px in (3.0, 6.0, 9.0):
        assert not wholly_in_frame(reaching(shape, edge, beyond_px))
        assert not wholly_in_frame(blurred(reaching(shape, edge, beyond_px)))


def thing(color="red", direction="still", start=(0.5, 0.5)):
    speed = None if direction == "still" else "quick"
    return Thing(color=color, shape="circle", direction=direction, speed=speed, size=0.3, start=start)


def world(*things, **fields):
    known = {"background": "gray", "width": WIDTH, "height": HEIGHT, "fps": 8.0, "num_frames": 9}
    return World(seed=0, things=things, **known | fields)


def test_one_frame_or_one_thing_is_enough_to_fail():
    assert wholly_in_frame(render(world(thing(), thing("blue", start=(1.2, 0.5)))))
    assert not wholly_in_frame(render(world(thing(), thing("blue", start=(1.6, 0.5)))))
    frames_THWC = render(world(thing(direction="right", start=(1.28, 0.5))))  # 2 pixels beyond at last
    assert wholly_in_frame(frames_THWC[:7])
    assert not wholly_in_frame(frames_THWC)


def test_a_thing_that_comes_late_or_goes_counts_and_a_video_of_nothing_is_not_in_frame():
    whole_THWC = render(world(thing()))
    empty_THWC = render(world())
    assert not wholly_in_frame(empty_THWC)
    assert wholly_in_frame(np.concatenate([whole_THWC[:6], empty_THWC[:3]]))
    assert not wholly_in_frame(np.concatenate([whole_THWC[:3], empty_THWC[:6]]))
    both_THWC = render(world(thing(), thing("blue", start=(1.6, 0.5))))
    assert not wholly_in_frame(np.concatenate([whole_THWC[:8], both_THWC[:1]]))


@pytest.mark.parametrize("style", STYLES)
def test_styles_do_not_matter(style):
    assert wholly_in_frame(without_style(render(world(thing(), style=style))))
    assert not wholly_in_frame(without_style(render(world(thing(start=(0.05, 0.5)), style=style))))
    with pytest.raises(ValueError, match="frames are"):
        wholly_in_frame(np.zeros((4, 48, 80), np.uint8))
