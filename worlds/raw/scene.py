"""The one place where raw videos sample, render and tell what a shot shows: another family of worlds plugs
in here.

Legend: T frames, H height, W width, C channels (RGB).
"""

from random import Random

import numpy as np

from worlds.raw.config import RawConfig
from worlds.shapes.captions import dense_caption, short_caption
from worlds.shapes.draw import render
from worlds.shapes.family import sample_world
from worlds.shapes.truth import World

SLATE_BACKGROUND = "black"


def sample_scene(
    rng: Random, config: RawConfig, *, width: int, height: int, fps: float, num_frames: int, avoid: set[str]
) -> World:
    """Draw what a shot shows.

    Args:
        avoid: backgrounds of the neighbouring shots, not to be used, so that a cut can be seen.
    """
    return sample_world(
        rng.getrandbits(48),
        width=width,
        height=height,
        fps=fps,
        num_frames=num_frames,
        num_things=2 if rng.random() < config.two_things_share else 1,
        distinct_from=avoid,
        motions=config.motions,
        speeds=config.speeds,
    )


def slate(*, width: int, height: int, fps: float, num_frames: int) -> World:
    """Return a black scene that holds nothing."""
    return World(
        seed=0,
        things=(),
        background=SLATE_BACKGROUND,
        width=width,
        height=height,
        fps=fps,
        num_frames=num_frames,
    )


def is_slate(world: World) -> bool:
    return not world.things


def render_scene(world: World) -> np.ndarray:
    """Return a scene as frames_THWC (RGB, uint8)."""
    return render(world)


def tell_scene(world: World, seed: int) -> tuple[str, str | None]:
    """Return the short and the dense caption of a scene; a slate has no dense one."""
    return short_caption(world, seed), None if is_slate(world) else dense_caption(world, seed)
