"""Copies whose pictures lie elsewhere by part of a cell, and have borders trimmed by a line less or more."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from shot_scenes import picture, shot
from test_pipeline_dedup import clip, edged, run, softened

from pipeline.dedup.overlays import edge_cells
from pipeline.dedup.placement import moved, placement
from pipeline.fingerprint_format import CHROMA_SIDE, LOOK_BYTES, SIDE

Change = Callable[[np.ndarray], np.ndarray]
CHANGES: dict[str, Change] = {
    "letterboxed": lambda rgb_HWC: softened(rgb_HWC, 12, 0, 0),
    "in a white frame": lambda rgb_HWC: softened(rgb_HWC, 10, 16, 255),
    "with thin edges over it": edged,
    "cropped": lambda rgb_HWC: np.ascontiguousarray(rgb_HWC[1:-1, 2:-2]),
}


def seen(scene_HWC: np.ndarray, left: float, width: float, top: float, height: float) -> np.ndarray:
    """Return small pictures, 3 frames, of a part of a scene."""
    scale = np.array([[SIDE / width, 0, -left * SIDE / width], [0, SIDE / height, -top * SIDE / height]])
    fine = np.diag([8.0, 8.0]) @ scale
    view = cv2.warpAffine(scene_HWC, fine, (8 * SIDE, 8 * SIDE), flags=cv2.INTER_CUBIC)
    luma = cv2.resize(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    look_D = np.full(LOOK_BYTES, 128, np.float32)
    look_D[: SIDE * SIDE] = luma.ravel()
    return np.repeat(look_D[None], 3, axis=0)


@pytest.mark.parametrize(
    ("left", "width", "top", "height"), [(21, 120, 10, 66), (20, 124, 11, 64), (18, 120, 9, 68)]
)
def test_a_picture_is_moved_and_scaled_by_part_of_a_cell(left, width, top, height):
    scene_HWC = picture(3)
    first_ND, other_ND = seen(scene_HWC, 20, 120, 10, 66), seen(scene_HWC, left, width, top, height)
    move_4 = placement(first_ND, other_ND)
    assert move_4 is not None
    before, after = np.abs(first_ND - other_ND).mean(), np.abs(moved(first_ND, move_4) - other_ND).mean()
    assert before > 1
    assert after < 0.6 * before


def test_a_picture_of_another_view_and_one_in_place_are_not_moved():
    first_ND, other_ND = seen(picture(3), 20, 120, 10, 66), seen(picture(3), 40, 120, 10, 66)
    assert placement(first_ND, other_ND) is None
    assert placement(first_ND, first_ND) is None
    plain_ND = np.full((3, LOOK_BYTES), 90, np.float32)
    assert placement(plain_ND, plain_ND + 4) is None


def test_an_edge_differs_as_a_whole():
    """A line of one sign is a border; one in which something stands is not."""
    difference_NHW = np.zeros((4, SIDE, SIDE), np.float32)
    difference_NHW[:, 0], difference_NHW[:, 4:9, -1] = -20, 30
    chroma_ND = np.zeros((4, 2 * CHROMA_SIDE**2), np.float32)
    edge_HW = edge_cells(np.hstack([difference_NHW.reshape(4, -1), chroma_ND]))
    assert edge_HW[0].all()
    assert edge_HW.sum() == SIDE


@pytest.mark.parametrize(("kind", "seed"), [*zip(CHANGES, (1, 0, 1, 2), strict=True)])
def test_a_textured_copy_with_a_border_is_found(kind, seed):
    frames = list(shot(seed, 50, speed=0.5))
    rows = run([clip("a", frames, fps=25), clip("b", [CHANGES[kind](f) for f in frames], fps=25, width=32)])
    assert (rows["b"]["kind"], rows["b"]["keeper"]) == ("near", "a")


@pytest.mark.parametrize("kind", CHANGES)
def test_something_small_that_moves_in_a_copy_with_a_border_makes_another_clip(kind):
    frames = [picture(1)] * 50
    other = []
    for at, rgb_HWC in enumerate(frames):
        visited_HWC = rgb_HWC.copy()
        visited_HWC[40:50, 40 + at : 44 + at] = (240, 240, 235)
        other.append(CHANGES[kind](visited_HWC))
    rows = run([clip("a", frames, fps=25), clip("b", other, fps=25, width=32)])
    assert {row["kind"] for row in rows.values()} == {"none"}
