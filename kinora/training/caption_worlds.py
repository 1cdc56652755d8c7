"""Sample training examples of the captioner from simulated worlds of all families.

Combinations of attributes that `worlds.split` holds out, and worlds whose frames do not show all that their
captions state, are left out. All worlds are of the flat style.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from random import Random

import cv2
import numpy as np

from captioner.frames import sample_at_fps
from captioner.prompts import load_prompt
from captioner.train.data import BatchKind, Example
from kinora.training.caption_cells import NUM_CELL_CLASSES, classify_cells, describe, labelled_frame
from worlds import families
from worlds.family import AnyWorld, Rendered
from worlds.palette import STILL
from worlds.shapes.family import sample_world
from worlds.shapes.truth import World, centers_px_NT2, from_time

__all__ = [
    "NUM_CELL_CLASSES",
    "WEIGHTS",
    "compress",
    "render_sampled",
    "sample_clip",
    "sample_examples",
    "vocabulary_texts",
]

SQUARE = ((64, 64), (80, 80), (96, 96), (128, 128))
WIDE = ((96, 54), (128, 72), (160, 90))
TALL = ((54, 96), (72, 128), (90, 160))
SIZES = (*SQUARE, *WIDE, *TALL, (80, 48), (48, 80))
"""Training frame sizes (width, height): 1:1, 16:9, 9:16 and 5:3."""
CROP_PX = 40
CROP_SIZES = ((80, 80), (100, 60), (60, 100), (80, 80))
"""Side of a square crop, and the frame sizes that it is taken from, at the scale of the model's input."""
COMPRESSED_PROB = 0.6
"""Probability of lossy compression with 4:2:0 chroma subsampling."""
SHARED, TURNS = 7, 2
"""So many batches of clips are shown so often, with other captions, before new ones are rendered."""
TRIES = 50
"""Worlds that are drawn of a family before another one is drawn."""
WEIGHTS = {"shapes": 0.24, "occlusion": 0.14, "physics": 0.12, "rooms": 0.16, "canvas": 0.17, "grid": 0.17}
"""Share of each family in training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Timing:
    """How long the clips of a family are, and their frame rates."""

    rates: tuple[float, ...]
    seconds: tuple[float, float]
    """Minimum and maximum duration."""
    still_prob: float = 0.0
    """Probability of a single frame, captioned as motionless."""


_TIMES = {
    "shapes": _Timing(rates=(8.0, 10.0, 12.0, 15.0, 24.0, 30.0), seconds=(0.9, 6.0), still_prob=0.06),
    "occlusion": _Timing(rates=(8.0, 8.0, 10.0, 12.0, 16.0), seconds=(1.6, 4.4)),
    "physics": _Timing(rates=(8.0, 8.0, 10.0, 12.0), seconds=(1.4, 4.4)),
    # frames of these two depend on the time alone, so that others than the sampled ones need no drawing
    "rooms": _Timing(rates=(4.0,), seconds=(1.5, 5.0)),
    "canvas": _Timing(rates=(4.0,), seconds=(1.6, 4.4), still_prob=0.06),
    "grid": _Timing(rates=(8.0, 8.0, 8.0, 10.0, 12.0), seconds=(1.6, 4.4), still_prob=0.06),
}


def sample_examples(
    seed: int, fps: float, frames: int, step: int, count: int, kind: BatchKind
) -> list[Example]:
    """Return `count` examples of equal frame size, deterministic in seed and step; two steps share clips."""
    rng = Random(f"captioner/{seed}/{step}/{kind}")
    if kind == "crop":
        return [_crop_example(rng, fps, frames) for _ in range(count)]
    prompt = load_prompt(f"worlds_{kind}").text
    caption = families.dense_caption if kind == "dense" else families.short_caption
    return [
        Example(
            frames_THWC=clip.frames_THWC,
            prompt=prompt,
            target=caption(clip.world, rng.getrandbits(32)),
            cell_classes=partial(classify_cells, clip.labels_HW, *describe(clip.world)),
        )
        for clip in _clips(seed, fps, frames, _clips_of_step(step), count)
    ]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Clip:
    world: AnyWorld
    frames_THWC: np.ndarray
    """The frames that the captioner sees, some of them compressed."""
    labels_HW: np.ndarray


def _clips_of_step(step: int) -> int:
    """Return the index of the clips of a step: the same `SHARED` batches come `TURNS` times, one by one."""
    block, place = divmod(step, SHARED * TURNS)
    return block * SHARED + place % SHARED


@lru_cache(maxsize=SHARED)
def _clips(seed: int, fps: float, frames: int, index: int, count: int) -> tuple[_Clip, ...]:
    rng = Random(f"captioner/clips/{seed}/{index}")
    width, height = rng.choice(SIZES)
    clips: list[_Clip] = []
    while len(clips) < count:
        [family] = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))
        horizon_s = (frames - 1) / fps
        world = sample_clip(rng, family, width=width, height=height, horizon_s=horizon_s, unseen=False)
        if world is not None:
            clips.append(_render_augmented(rng, world, fps, frames))
    return tuple(clips)


def _render_augmented(rng: Random, world: AnyWorld, fps: float, frames: int) -> _Clip:
    rendered = render_sampled(world, fps, frames)
    frames_THWC = rendered.frames_THWC
    if rng.random() < COMPRESSED_PROB:
        frames_THWC = compress(frames_THWC, quality=rng.randint(40, 95))
    return _Clip(world=world, frames_THWC=frames_THWC, labels_HW=labelled_frame(world, rendered))


def _crop_example(rng: Random, fps: float, frames: int) -> Example:
    """Return a crop around one shape, for the cell loss only: prompt and target are empty."""
    width, height = rng.choice(CROP_SIZES)
    world = sample_clip(rng, "shapes", width=width, height=height, unseen=False)
    assert isinstance(world, World)
    x, y = centers_px_NT2(world)[rng.randrange(len(world.things)), 0]
    left = int(np.clip(x - CROP_PX / 2 + rng.uniform(-8, 8), 0, width - CROP_PX))
    top = int(np.clip(y - CROP_PX / 2 + rng.uniform(-8, 8), 0, height - CROP_PX))
    box = (slice(top, top + CROP_PX), slice(left, left + CROP_PX))
    clip = _render_augmented(rng, world, fps, frames)
    return Example(
        frames_THWC=clip.frames_THWC[:, *box],
        prompt="",
        target="",
        cell_classes=partial(classify_cells, clip.labels_HW[box], *describe(world)),
    )


def sample_clip(
    rng: Random,
    family: str,
    *,
    width: int,
    height: int,
    horizon_s: float = float("inf"),
    unseen: bool | None = None,
    rates: Sequence[float] | None = None,
) -> AnyWorld | None:
    """Sample a world of random frame rate and duration, or a still; None where none fits the frame.

    Args:
        horizon_s: all that captions state is seen in the frames up to this time.
        unseen: sample held-out combinations (True), training combinations (False) or any (None).
        rates: frame rates to choose from; by default those of training.
    """
    timing, things = _TIMES[family], rng.choices((1, 2, 3), (4, 4, 2))[0]
    for _ in range(TRIES):
        fps, seconds = rng.choice(rates or timing.rates), rng.uniform(*timing.seconds)
        still = rng.random() < timing.still_prob
        num_frames = 1 if still else max(2, round(fps * seconds))
        size = {"width": width, "height": height, "fps": fps, "num_frames": num_frames}
        try:
            if family == "shapes":
                world = _shapes(rng, num_things=things, still=still, **size)
            else:
                world = families.sample(family, rng.getrandbits(48), **size)
        except ValueError:  # too short for the family, or too narrow
            continue
        shown = min(num_frames, int(horizon_s * fps + 1e-6) + 1) if horizon_s < float("inf") else num_frames
        if unseen in (None, families.is_held_out(world)) and not families.unobservable(world, 0, shown):
            return world
    return None


def _shapes(rng: Random, *, still: bool, **size) -> World:
    world = sample_world(rng.getrandbits(48), **size)
    if not still:
        return world
    return replace(world, things=tuple(replace(t, direction=STILL, speed=None) for t in world.things))


def render_sampled(world: AnyWorld, fps: float, frames: int) -> Rendered:
    """Render the frames that the captioner samples, and their labels."""
    indices = sample_at_fps([k / world.fps for k in range(world.num_frames)], fps, frames)
    draw = families.family_of(world.family).draw
    if isinstance(world, World):  # drawn at any time
        drawn = {k: draw(from_time(world, k / world.fps, 1)) for k in set(indices)}
        return Rendered(*(np.concatenate([drawn[k][part] for k in indices]) for part in range(2)))
    every = draw(world)
    return Rendered(every.frames_THWC[list(indices)], every.labels_THW[list(indices)])


def compress(frames_THWC: np.ndarray, quality: int) -> np.ndarray:
    """Compress and decompress frames as JPEG at `quality` (0 to 100), with artifacts like those of H.264."""
    decoded = []
    for frame_HWC in frames_THWC:
        _, data = cv2.imencode(".jpg", frame_HWC[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        decoded.append(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB))
    return np.stack(decoded)


def vocabulary_texts(samples: int = 6000) -> Iterator[str]:
    """Yield captions that cover the vocabulary of all families."""
    rng = Random("captioner/words")
    for number in range(samples):
        family = list(WEIGHTS)[number % len(WEIGHTS)]
        width, height = rng.choice(SIZES)
        world = sample_clip(rng, family, width=width, height=height)
        if world is not None:
            yield families.short_caption(world, rng.getrandbits(32))
            yield families.dense_caption(world, rng.getrandbits(32))
    yield from (f"goes {count} cells forward, turns" for count in range(2, 12))
    for name in ("worlds_dense", "worlds_short"):
        yield load_prompt(name).text
