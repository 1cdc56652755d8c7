"""Worlds as examples for the captioner: the glue between `worlds` and `captioner.train`, which do not know each other."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import cv2
import numpy as np

from captioner.frames import at_rate
from captioner.prompts import load_prompt
from captioner.train.data import Example
from worlds.captions import dense_caption, short_caption
from worlds.palette import STILL
from worlds.shapes import render, sample_world
from worlds.truth import World, from_time

SIZES = ((64, 64), (80, 80), (96, 96), (128, 128), (96, 54), (128, 72), (160, 90), (54, 96), (72, 128), (90, 160), (80, 48), (48, 80))  # fmt: skip
"""Width and height of the frames trained on: 1:1, 16:9, 9:16 and 5:3."""
RATES = (8.0, 10.0, 12.0, 15.0, 24.0, 30.0)
SECONDS = (0.9, 6.0)
STILLS = 0.06
"""Share of stills: one frame, in which nothing moves, so that the caption says so."""
COMPRESSED = 0.6
"""Share that went through a lossy codec with chroma at half the resolution."""


def draw_worlds(seed: int, rate_hz: float, frames: int, step: int, count: int, dense: bool) -> list[Example]:
    """Return `count` examples of one frame size, by seed and step alone."""
    rng = Random(f"captioner/{seed}/{step}/{dense}")
    width, height = rng.choice(SIZES)
    prompt = load_prompt("worlds_dense" if dense else "worlds_short").text
    write = dense_caption if dense else short_caption
    examples = []
    for _ in range(count):
        world = sample_clip(rng, width=width, height=height)
        shown_THWC = show(world, rate_hz, frames)
        if rng.random() < COMPRESSED:
            shown_THWC = compress(shown_THWC, quality=rng.randint(40, 95))
        target = write(world, rng.getrandbits(32))
        examples.append(Example(frames_THWC=shown_THWC, prompt=prompt, target=target))
    return examples


def sample_clip(rng: Random, *, width: int, height: int) -> World:
    """Return a world of a random rate and duration; a still now and then."""
    fps, seconds = rng.choice(RATES), rng.uniform(*SECONDS)
    still = rng.random() < STILLS
    num_frames = 1 if still else max(2, round(fps * seconds))
    world = sample_world(rng.getrandbits(48), width=width, height=height, fps=fps, num_frames=num_frames)
    if not still:
        return world
    return replace(world, things=tuple(replace(t, direction=STILL, speed=None) for t in world.things))


def show(world: World, rate_hz: float, frames: int) -> np.ndarray:
    """Render only the frames that the captioner is shown, as frames_THWC (uint8)."""
    shown = at_rate([k / world.fps for k in range(world.num_frames)], rate_hz, frames)
    once = {k: render(from_time(world, k / world.fps, 1))[0] for k in set(shown)}
    return np.stack([once[k] for k in shown])


def compress(frames_THWC: np.ndarray, quality: int) -> np.ndarray:
    """Return the frames after JPEG at `quality` (0 to 100): 4:2:0 chroma and blocks, as in H.264, and far cheaper."""
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


