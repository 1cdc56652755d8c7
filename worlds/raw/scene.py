"""The one place where raw videos sample, render and tell what a shot shows, of any family and style.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, cast

import cv2
import numpy as np

from worlds import families
from worlds.family import AnyWorld
from worlds.raw.config import RawConfig
from worlds.shapes.family import sample_world
from worlds.shapes.truth import World

SHAPES = "shapes"
"""The family that can be shown in every size and length."""
SLATE_BACKGROUND = "black"
CUT_CONTRAST = 34.0
"""Pictures of neighbouring shots differ at least by so many levels (of 255), in the mean over hue, saturation
and value: PySceneDetect's ContentDetector finds a cut from 27 on."""
TRIES = 24
"""Worlds drawn of one family until one differs enough from its neighbours; else the best of them is taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """The frame that all shots of a file fill."""

    width: int
    height: int
    fps: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """What a shot shows, through the transitions on either side of it."""

    world: AnyWorld
    held: tuple[int, int] = (0, 0)
    """Frames for which the first picture stands before the world begins, and the last one after it has
    ended. `shapes` go on through transitions; a family that tells a story waits, so that all of it is told
    where the shot is seen alone."""

    @property
    def num_frames(self) -> int:
        return self.world.num_frames + sum(self.held)

    @property
    def is_slate(self) -> bool:
        return isinstance(self.world, World) and not self.world.things


def draw_scene(
    rng: Random,
    look_rng: Random,
    config: RawConfig,
    place: Place,
    *,
    alone: int,
    overlaps: tuple[int, int] = (0, 0),
    neighbours: Sequence[Scene] = (),
) -> Scene:
    """Draw what a shot shows, so that it differs from its neighbours.

    The same draws are taken from `rng` whatever the families and styles.

    Args:
        look_rng: draws family and style, and everything of a world that is no first choice of `shapes`.
        alone: frames in which the shot is seen alone; 1 for a still.
        overlaps: frames of the transitions before and after it.
        neighbours: the shots beside it that are known.
    """
    avoid = {_ground(scene.world) for scene in neighbours}
    first = sample_scene(rng, config, place, num_frames=alone + sum(overlaps), avoid=avoid)
    family, style = look_rng.choice(config.families), look_rng.choice(config.styles)
    others = look_rng.sample(config.families, len(config.families))
    for name in dict.fromkeys((family, *others)):
        if name == SHAPES:
            break
        told = _stories(look_rng, name, style, place, alone, overlaps)
        if (scene := _clearest(told, neighbours)) is not None:
            return scene
    plain = _plain(first, look_rng, config, place, avoid, style)
    return _clearest(plain, neighbours) or Scene(world=first)


def sample_scene(rng: Random, config: RawConfig, place: Place, *, num_frames: int, avoid: set[str]) -> World:
    """Draw a flat world of `shapes`.

    Args:
        avoid: colours of the neighbouring shots, not to be used for the background.
    """
    return sample_world(
        rng.getrandbits(48),
        width=place.width,
        height=place.height,
        fps=place.fps,
        num_frames=num_frames,
        num_things=2 if rng.random() < config.two_objects_prob else 1,
        distinct_from=avoid,
        motions=config.motions,
        speeds=config.speeds,
    )


def _plain(
    first: World, look_rng: Random, config: RawConfig, place: Place, avoid: set[str], style: str
) -> Iterator[Scene]:
    """Yield scenes of `shapes`, the given one first."""
    yield Scene(world=replace(first, style=style))
    for _ in range(TRIES - 1):
        world = sample_scene(look_rng, config, place, num_frames=first.num_frames, avoid=avoid)
        yield Scene(world=replace(world, style=style))


def _stories(
    look_rng: Random, family: str, style: str, place: Place, alone: int, overlaps: tuple[int, int]
) -> Iterator[Scene]:
    """Yield scenes of another family; none if it cannot be shown in so small a frame, or so short a shot."""
    for _ in range(TRIES):
        try:
            world = families.sample(
                family,
                look_rng.getrandbits(48),
                width=place.width,
                height=place.height,
                fps=place.fps,
                num_frames=alone,
                style=style,
            )
        except ValueError:
            continue
        yield Scene(world=world, held=overlaps)


def _clearest(scenes: Iterator[Scene], neighbours: Sequence[Scene]) -> Scene | None:
    """Return the first scene that differs enough from its neighbours, else the one that differs most."""
    best, most = None, -1.0
    for scene in scenes:
        least = min((_contrast(scene.world, other.world) for other in neighbours), default=CUT_CONTRAST)
        if least >= CUT_CONTRAST:
            return scene
        if least > most:
            best, most = scene, least
    return best


def _contrast(one: AnyWorld, other: AnyWorld) -> float:
    """Return how much two worlds differ: by their backgrounds, where both are flat `shapes`, whose
    backgrounds all differ enough; else by the mean difference of two pictures in hue, saturation, value."""
    if all(world.family == SHAPES and world.style == "flat" for world in (one, other)):
        return 0.0 if _ground(one) == _ground(other) else CUT_CONTRAST
    first, second = (cv2.cvtColor(_picture_HWC(world), cv2.COLOR_RGB2HSV) for world in (one, other))
    return float(cv2.absdiff(first, second).mean())


def _picture_HWC(world: AnyWorld) -> np.ndarray:
    """Return what a world looks like, as a still."""
    return families.render(replace(cast(Any, world), num_frames=1))[0]


def _ground(world: AnyWorld) -> str:
    """Return the name of the colour that most of a picture has."""
    fields = world.to_json()
    return fields["background"] if "background" in fields else fields["floor"]


def slate(place: Place, num_frames: int) -> Scene:
    """Return a black scene that holds nothing."""
    world = World(
        seed=0,
        things=(),
        background=SLATE_BACKGROUND,
        width=place.width,
        height=place.height,
        fps=place.fps,
        num_frames=num_frames,
    )
    return Scene(world=world)


def render_scene(scene: Scene) -> np.ndarray:
    """Return a scene as frames_THWC (RGB, uint8)."""
    frames_THWC = families.render(scene.world)
    if not any(scene.held):
        return frames_THWC
    return np.pad(frames_THWC, (scene.held, (0, 0), (0, 0), (0, 0)), mode="edge")


def tell_scene(scene: Scene, seed: int) -> tuple[str, str | None]:
    """Return the short and the dense caption of a scene; a slate has no dense one."""
    short = families.short_caption(scene.world, seed)
    return short, None if scene.is_slate else families.dense_caption(scene.world, seed)
