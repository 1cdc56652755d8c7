"""Sample training examples of the captioner from simulated worlds of all families.

Combinations of attributes that `worlds.split` holds out, and worlds whose frames do not show all that their
captions state, are left out. All worlds are of the flat style.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
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
from worlds.shapes.truth import World, from_time

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
CROP_PX = 60
CROP_SIZES = ((100, 100), (140, 80), (80, 140), (100, 100))
"""Side of a square crop, and the frame sizes that it is taken from: those of the model's input."""
CROP_JITTER_PX = 12
"""How far from the middle of a crop its thing may be, along each axis."""
COMPRESSED_PROB = 0.6
"""Probability of lossy compression with 4:2:0 chroma subsampling."""
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
    """Return `count` examples of equal frame size, deterministic in seed, step and kind."""
    rng = Random(f"captioner/{seed}/{step}/{kind}")
    if kind == "crop":
        return [_crop(rng, clip) for clip in _clips(rng, CROP_SIZES, fps, frames, count)]
    prompt = load_prompt(f"worlds_{kind}").text
    caption = families.dense_caption if kind == "dense" else families.short_caption
    return [
        Example(
            frames_THWC=clip.frames_THWC,
            prompt=prompt,
            target=caption(clip.world, rng.getrandbits(32)),
            cell_classes=partial(classify_cells, clip.labels_HW, *describe(clip.world)),
        )
        for clip in _clips(rng, SIZES, fps, frames, count)
    ]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Clip:
    world: AnyWorld
    frames_THWC: np.ndarray
    """The frames that the captioner sees, some of them compressed."""
    labels_HW: np.ndarray


def _clips(rng: Random, sizes: Sequence[tuple[int, int]], fps: float, frames: int, count: int) -> list[_Clip]:
    width, height = rng.choice(sizes)
    clips: list[_Clip] = []
    while len(clips) < count:
        [family] = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))
        horizon_s = (frames - 1) / fps
        world = sample_clip(rng, family, width=width, height=height, horizon_s=horizon_s, unseen=False)
        if world is not None:
            clips.append(_render_augmented(rng, world, fps, frames))
    return clips


def _render_augmented(rng: Random, world: AnyWorld, fps: float, frames: int) -> _Clip:
    rendered = render_sampled(world, fps, frames)
    frames_THWC = rendered.frames_THWC
    if rng.random() < COMPRESSED_PROB:
        frames_THWC = compress(frames_THWC, quality=rng.randint(40, 95))
    return _Clip(world=world, frames_THWC=frames_THWC, labels_HW=labelled_frame(world, rendered))


def _crop(rng: Random, clip: _Clip) -> Example:
    """Return a crop around one thing, for the cell loss only: prompt and target are empty."""
    seen, _ = describe(clip.world)
    shown = [label for label, what in seen.items() if not what.ground and (clip.labels_HW == label).any()]
    box = (
        _box_around(rng, clip.labels_HW == rng.choice(shown))
        if shown
        else _box_around(rng, clip.labels_HW >= 0)
    )
    return Example(
        frames_THWC=clip.frames_THWC[:, *box],
        prompt="",
        target="",
        cell_classes=partial(classify_cells, clip.labels_HW[box], seen, ""),
    )


def _box_around(rng: Random, mask_HW: np.ndarray) -> tuple[slice, slice]:
    """Return a square of `CROP_PX` within the frame, near the middle of what the mask shows."""
    first = [
        int(np.clip(middle - CROP_PX / 2 + rng.uniform(-CROP_JITTER_PX, CROP_JITTER_PX), 0, length - CROP_PX))
        for middle, length in zip(np.argwhere(mask_HW).mean(axis=0), mask_HW.shape, strict=True)
    ]
    return slice(first[0], first[0] + CROP_PX), slice(first[1], first[1] + CROP_PX)


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
