"""Find the things of a video by their named colours, whatever the style: what all judges look through.

The colours of things and those of grounds (backgrounds, walls, floors, lines) share no name, so a pixel is
part of a thing when the nearest name is that of a thing.

Legend: T frames, H height, W width, C channels (RGB), L channels of CIELAB.
"""

import cv2
import numpy as np

from worlds.measure import to_lab
from worlds.palette import BACKGROUNDS, COLORS
from worlds.styles import DARK_INK, LIGHT_INK

BINS = 32
"""Values of a channel that are told apart when a pixel is named."""


def named_THW(frames_THWC: np.ndarray) -> np.ndarray:
    """Return, for each pixel, the number of the thing's colour (from 1, in the order of COLORS) that is
    nearest in CIELAB, or 0 where the colour of a ground or a line is nearer."""
    step = 256 // BINS
    levels_B = np.arange(BINS) * step + step // 2
    grid_N3 = np.stack(np.meshgrid(levels_B, levels_B, levels_B, indexing="ij"), axis=-1).reshape(-1, 3)
    palette = [*COLORS.values(), *BACKGROUNDS.values(), DARK_INK, LIGHT_INK]
    distance_NP = np.linalg.norm(
        to_lab(grid_N3.astype(np.uint8))[:, None] - to_lab(np.array(palette, np.uint8)), axis=-1
    )
    nearest_N = distance_NP.argmin(axis=1) + 1
    nearest_N[nearest_N > len(COLORS)] = 0
    bin_THWC = frames_THWC // step
    index_THW = bin_THWC[..., 0].astype(np.int32) * BINS * BINS
    index_THW += bin_THWC[..., 1].astype(np.int32) * BINS + bin_THWC[..., 2]
    return nearest_N.astype(np.uint8)[index_THW]


def only_things(frames_THWC: np.ndarray) -> np.ndarray:
    """Return frames in which all that has no thing's colour is the plain background."""
    thing_THW = named_THW(frames_THWC) > 0
    if thing_THW.all() or not frames_THWC.size:
        return frames_THWC
    background_C = np.median(frames_THWC[~thing_THW], axis=0)
    return np.where(thing_THW[..., None], frames_THWC, background_C.astype(np.uint8))
