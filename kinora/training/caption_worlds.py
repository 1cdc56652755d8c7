"""Sample training examples of the captioner from simulated worlds."""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache, partial
from random import Random

import cv2
import numpy as np

from captioner.frames import sample_at_fps
from captioner.prompts import load_prompt
from captioner.train.data import IGNORED, BatchKind, Example
from worlds.palette import BACKGROUNDS, COLORS, MOTIONS, SHAPES, SPEEDS, STILL
from worlds.shapes.captions import dense_caption, short_caption
from worlds.shapes.draw import render
from worlds.shapes.family import sample_world
from worlds.shapes.truth import Thing, World, centers_px_NT2, from_time

SQUARE = ((64, 64), (80, 80), (96, 96), (128, 128))
WIDE = ((96, 54), (128, 72), (160, 90))
TALL = ((54, 96), (72, 128), (90, 160))
SIZES = (*SQUARE, *WIDE, *TALL, (80, 48), (48, 80))
"""Training frame sizes (width, height): 1:1, 16:9, 9:16 and 5:3."""
CROP_PX = 40
CROP_SIZES = ((80, 80), (100, 60), (60, 100), (80, 80))
"""Side of a square crop, and the frame sizes that it is taken from, at the scale of the model's input."""
FRAME_RATES = (8.0, 10.0, 12.0, 15.0, 24.0, 30.0)
SECONDS = (0.9, 6.0)
"""Minimum and maximum duration."""
STILL_PROB = 0.06
"""Probability of a single frame, captioned as motionless."""
COMPRESSED_PROB = 0.6
"""Probability of lossy compression with 4:2:0 chroma subsampling."""


NUM_CELL_CLASSES = (len(BACKGROUNDS), len(COLORS) + 1, len(SHAPES), len(MOTIONS), len(SPEEDS))
"""Classes of a cell: background; colour of the object there, or none; its shape, motion and speed."""


def sample_examples(
    seed: int, fps: float, frames: int, step: int, count: int, kind: BatchKind
) -> list[Example]:
    """Return `count` examples of equal frame size, deterministic in seed and step; two steps share clips."""
    rng = Random(f"captioner/{seed}/{step}/{kind}")
    if kind == "crop":
        return [_crop_example(rng, fps, frames) for _ in range(count)]
    prompt = load_prompt(f"worlds_{kind}").text
    caption = dense_caption if kind == "dense" else short_caption
    return [
        Example(
            frames_THWC=frames_THWC,
            prompt=prompt,
            target=caption(world, rng.getrandbits(32)),
            cell_classes=partial(classify_cells, world, (0.0, 0.0, world.width, world.height)),
        )
        for world, frames_THWC in _clips(seed, fps, frames, step // 2, count)
    ]


@lru_cache(maxsize=1)
def _clips(
    seed: int, fps: float, frames: int, index: int, count: int
) -> tuple[tuple[World, np.ndarray], ...]:
    rng = Random(f"captioner/clips/{seed}/{index}")
    width, height = rng.choice(SIZES)
    worlds = [sample_clip(rng, width=width, height=height) for _ in range(count)]
    return tuple((world, _render_augmented(rng, world, fps, frames)) for world in worlds)


def _render_augmented(rng: Random, world: World, fps: float, frames: int) -> np.ndarray:
    frames_THWC = render_sampled(world, fps, frames)
    return (
        compress(frames_THWC, quality=rng.randint(40, 95)) if rng.random() < COMPRESSED_PROB else frames_THWC
    )


def _crop_example(rng: Random, fps: float, frames: int) -> Example:
    """Return a crop around one object, for the cell loss only: prompt and target are empty."""
    width, height = rng.choice(CROP_SIZES)
    world = sample_clip(rng, width=width, height=height)
    x, y = centers_px_NT2(world)[rng.randrange(len(world.things)), 0]
    left = int(np.clip(x - CROP_PX / 2 + rng.uniform(-8, 8), 0, width - CROP_PX))
    top = int(np.clip(y - CROP_PX / 2 + rng.uniform(-8, 8), 0, height - CROP_PX))
    box = (left, top, left + CROP_PX, top + CROP_PX)
    full_THWC = _render_augmented(rng, world, fps, frames)
    crop_THWC = full_THWC[:, top : box[3], left : box[2]]
    return Example(
        frames_THWC=crop_THWC, prompt="", target="", cell_classes=partial(classify_cells, world, box)
    )


def classify_cells(
    world: World, box: tuple[float, float, float, float], rows: int, columns: int
) -> np.ndarray:
    """Return classes_RSA, the attribute classes of each cell of a region of the first frame.

    A cell has the classes of the nearest object whose circle, extended by a quarter of a cell, covers its
    center.

    Args:
        box: the region (x0, y0, x1, y1), in pixels.
    """
    centers_N2 = centers_px_NT2(world)[:, 0]
    size_2 = np.array([world.width, world.height], float)
    cell_2 = np.array([(box[2] - box[0]) / columns, (box[3] - box[1]) / rows])
    grid = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    offset_NRS2 = centers_N2[:, None, None] - np.array(box[:2]) - np.stack(grid, axis=-1) * cell_2
    offset_NRS2 = (offset_NRS2 + size_2 / 2) % size_2 - size_2 / 2  # objects wrap around the edges
    radius_N = np.array([t.size for t in world.things]) * world.short_side_px / 2 + cell_2.max() / 4
    distance_NRS = np.linalg.norm(offset_NRS2, axis=-1) - radius_N[:, None, None]
    things_NA = np.array([_classes(t) for t in world.things])
    covered_RS1 = distance_NRS.min(axis=0)[..., None] <= 0
    classes_RSA = np.where(
        covered_RS1, things_NA[distance_NRS.argmin(axis=0)], [0, IGNORED, IGNORED, IGNORED]
    )
    background_RS1 = np.full((rows, columns, 1), list(BACKGROUNDS).index(world.background))
    return np.concatenate([background_RS1, classes_RSA], axis=-1)


def _classes(thing: Thing) -> tuple[int, int, int, int]:
    speed = IGNORED if thing.speed is None else list(SPEEDS).index(thing.speed)
    return (
        list(COLORS).index(thing.color) + 1,
        SHAPES.index(thing.shape),
        MOTIONS.index(thing.direction),
        speed,
    )


def sample_clip(rng: Random, *, width: int, height: int) -> World:
    """Sample a world of random frame rate and duration, or a still."""
    fps, seconds = rng.choice(FRAME_RATES), rng.uniform(*SECONDS)
    still = rng.random() < STILL_PROB
    num_frames = 1 if still else max(2, round(fps * seconds))
    world = sample_world(rng.getrandbits(48), width=width, height=height, fps=fps, num_frames=num_frames)
    if not still:
        return world
    return replace(world, things=tuple(replace(t, direction=STILL, speed=None) for t in world.things))


def render_sampled(world: World, fps: float, frames: int) -> np.ndarray:
    """Render only the frames that the captioner samples, as frames_THWC (uint8)."""
    indices = sample_at_fps([k / world.fps for k in range(world.num_frames)], fps, frames)
    rendered = {k: render(from_time(world, k / world.fps, 1))[0] for k in set(indices)}
    return np.stack([rendered[k] for k in indices])


def compress(frames_THWC: np.ndarray, quality: int) -> np.ndarray:
    """Compress and decompress frames as JPEG at `quality` (0 to 100), with artifacts like those of H.264."""
    decoded = []
    for frame_HWC in frames_THWC:
        _, data = cv2.imencode(".jpg", frame_HWC[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        decoded.append(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB))
    return np.stack(decoded)


def vocabulary_texts(samples: int = 4000) -> Iterator[str]:
    """Yield captions that cover the vocabulary of the `shapes` family."""
    rng = Random("captioner/words")
    for _ in range(samples):
        world = sample_world(rng.getrandbits(48), width=64, height=64, fps=8.0, num_frames=8)
        yield short_caption(world, rng.getrandbits(32))
        yield dense_caption(world, rng.getrandbits(32))
    for name in ("worlds_dense", "worlds_short"):
        yield load_prompt(name).text
