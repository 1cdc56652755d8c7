"""Worlds as examples for the captioner: `worlds` and `captioner.train` do not know each other."""

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
"""Width and height of the frames trained on: 1:1, 16:9, 9:16 and 5:3."""
PIECE_PX = 40
PIECE_SIZES = ((80, 80), (100, 60), (60, 100), (80, 80))
"""Frames at the scale at which the model sees whole ones, and the side of a square cut out of them."""
RATES = (8.0, 10.0, 12.0, 15.0, 24.0, 30.0)
SECONDS = (0.9, 6.0)
STILLS = 0.06
"""Share of stills: one frame, in which nothing moves, so that the caption says so."""
COMPRESSED = 0.6
"""Share that went through a lossy codec with chroma at half the resolution."""


NUM_CELL_CLASSES = (len(BACKGROUNDS), len(COLORS) + 1, len(SHAPES), len(MOTIONS), len(SPEEDS))
"""Number of classes of what a part of a frame shows: background; colour of the thing there, or none;
its shape; its motion; its speed."""


def draw_worlds(seed: int, fps: float, frames: int, step: int, count: int, kind: BatchKind) -> list[Example]:
    """Return `count` examples of one frame size, by seed and step alone; pairs of steps share their clips."""
    rng = Random(f"captioner/{seed}/{step}/{kind}")
    if kind == "crop":
        return [_piece(rng, fps, frames) for _ in range(count)]
    prompt = load_prompt(f"worlds_{kind}").text
    write = dense_caption if kind == "dense" else short_caption
    return [
        Example(
            frames_THWC=shown_THWC,
            prompt=prompt,
            target=write(world, rng.getrandbits(32)),
            cell_classes=partial(classify_cells, world, (0.0, 0.0, world.width, world.height)),
        )
        for world, shown_THWC in _clips(seed, fps, frames, step // 2, count)
    ]


@lru_cache(maxsize=1)
def _clips(
    seed: int, fps: float, frames: int, index: int, count: int
) -> tuple[tuple[World, np.ndarray], ...]:
    rng = Random(f"captioner/clips/{seed}/{index}")
    width, height = rng.choice(SIZES)
    worlds = [sample_clip(rng, width=width, height=height) for _ in range(count)]
    return tuple((world, _shown(rng, world, fps, frames)) for world in worlds)


def _shown(rng: Random, world: World, fps: float, frames: int) -> np.ndarray:
    shown_THWC = show(world, fps, frames)
    return compress(shown_THWC, quality=rng.randint(40, 95)) if rng.random() < COMPRESSED else shown_THWC


def _piece(rng: Random, fps: float, frames: int) -> Example:
    """Cut a square round one thing out of a small clip; nothing is asked about it but what its cells show."""
    width, height = rng.choice(PIECE_SIZES)
    world = sample_clip(rng, width=width, height=height)
    x, y = centers_px_NT2(world)[rng.randrange(len(world.things)), 0]
    left = int(np.clip(x - PIECE_PX / 2 + rng.uniform(-8, 8), 0, width - PIECE_PX))
    top = int(np.clip(y - PIECE_PX / 2 + rng.uniform(-8, 8), 0, height - PIECE_PX))
    box = (left, top, left + PIECE_PX, top + PIECE_PX)
    whole_THWC = _shown(rng, world, fps, frames)
    piece_THWC = whole_THWC[:, top : box[3], left : box[2]]
    return Example(
        frames_THWC=piece_THWC, prompt="", target="", cell_classes=partial(classify_cells, world, box)
    )


def classify_cells(
    world: World, box: tuple[float, float, float, float], rows: int, columns: int
) -> np.ndarray:
    """Return classes_RSA of NUM_CELL_CLASSES: what each cell of a part of the first frame shows.

    A cell shows the nearest thing, if its middle lies within that thing's circle and a quarter of a cell.

    Args:
        box: the part (x0, y0, x1, y1), in pixels of the frame.
    """
    centers_N2 = centers_px_NT2(world)[:, 0]
    size_2 = np.array([world.width, world.height], float)
    cell_2 = np.array([(box[2] - box[0]) / columns, (box[3] - box[1]) / rows])
    grid = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    away_NRS2 = centers_N2[:, None, None] - np.array(box[:2]) - np.stack(grid, axis=-1) * cell_2
    away_NRS2 = (away_NRS2 + size_2 / 2) % size_2 - size_2 / 2  # things wrap round the edges
    reach_N = np.array([t.size for t in world.things]) * world.short_side_px / 2 + cell_2.max() / 4
    over_NRS = np.linalg.norm(away_NRS2, axis=-1) - reach_N[:, None, None]
    things_NA = np.array([_classes(t) for t in world.things])
    covered_RS1 = over_NRS.min(axis=0)[..., None] <= 0
    classes_RSA = np.where(covered_RS1, things_NA[over_NRS.argmin(axis=0)], [0, IGNORED, IGNORED, IGNORED])
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
    """Return a world of a random rate and duration; a still now and then."""
    fps, seconds = rng.choice(RATES), rng.uniform(*SECONDS)
    still = rng.random() < STILLS
    num_frames = 1 if still else max(2, round(fps * seconds))
    world = sample_world(rng.getrandbits(48), width=width, height=height, fps=fps, num_frames=num_frames)
    if not still:
        return world
    return replace(world, things=tuple(replace(t, direction=STILL, speed=None) for t in world.things))


def show(world: World, fps: float, frames: int) -> np.ndarray:
    """Render only the frames that the captioner is shown, as frames_THWC (uint8)."""
    shown = sample_at_fps([k / world.fps for k in range(world.num_frames)], fps, frames)
    once = {k: render(from_time(world, k / world.fps, 1))[0] for k in set(shown)}
    return np.stack([once[k] for k in shown])


def compress(frames_THWC: np.ndarray, quality: int) -> np.ndarray:
    """Return the frames after JPEG at `quality` (0 to 100): 4:2:0 chroma and blocks, as in H.264."""
    out = []
    for frame_HWC in frames_THWC:
        _, data = cv2.imencode(".jpg", frame_HWC[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        out.append(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB))
    return np.stack(out)


def every_sentence(draws: int = 4000) -> Iterator[str]:
    """Return captions enough to hold every word, as it is written, of this family."""
    rng = Random("captioner/words")
    for _ in range(draws):
        world = sample_world(rng.getrandbits(48), width=64, height=64, fps=8.0, num_frames=8)
        yield short_caption(world, rng.getrandbits(32))
        yield dense_caption(world, rng.getrandbits(32))
    for name in ("worlds_dense", "worlds_short"):
        yield load_prompt(name).text
