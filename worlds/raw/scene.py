"""Sample, render and caption the shots of raw videos, of any family and style.

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
"""The family that fits every size and length."""
SLATE_BACKGROUND = "black"
CUT_CONTRAST = 34.0
"""Minimum mean difference of neighbouring shots over hue, saturation and value (of 255). PySceneDetect's
ContentDetector finds cuts above 27."""
TRIES = 24
"""Maximum number of worlds sampled per family for one that differs enough from its neighbours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameSpec:
    """Size and rate of the frames that all shots of a file fill."""

    width: int
    height: int
    fps: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """The content of a shot, including the transitions on both sides."""

    world: AnyWorld
    padding: tuple[int, int] = (0, 0)
    """Number of repetitions of the first frame before the world and of the last frame after it. `shapes` move
    during transitions; other families are padded, so that all action is in the span without transitions."""

    @property
    def num_frames(self) -> int:
        return self.world.num_frames + sum(self.padding)

    @property
    def is_slate(self) -> bool:
        return isinstance(self.world, World) and not self.world.things


def sample_scene(
    rng: Random,
    style_rng: Random,
    config: RawConfig,
    frame_spec: FrameSpec,
    *,
    alone: int,
    overlaps: tuple[int, int] = (0, 0),
    neighbours: Sequence[Scene] = (),
) -> Scene:
    """Sample the content of a shot that differs from its neighbours.

    The draws from `rng` do not depend on the families and styles.

    Args:
        style_rng: samples family and style, and all worlds but the first of `shapes`.
        alone: number of frames without transitions; 1 for a still.
        overlaps: number of frames of the transitions before and after the shot.
        neighbours: adjacent shots that are already sampled.
    """
    avoid = {_ground(scene.world) for scene in neighbours}
    first = sample_shapes(rng, config, frame_spec, num_frames=alone + sum(overlaps), avoid=avoid)
    family, style = style_rng.choice(config.families), style_rng.choice(config.styles)
    others = style_rng.sample(config.families, len(config.families))
    for name in dict.fromkeys((family, *others)):
        if name == SHAPES:
            break
        candidates = _other_family_scenes(style_rng, name, style, frame_spec, alone, overlaps)
        if config.hold_out_pairs:
            candidates = (scene for scene in candidates if not families.has_unseen_pair(scene.world))
        if (scene := _most_distinct(candidates, neighbours)) is not None:
            return scene
    plain = _shapes_scenes(first, style_rng, config, frame_spec, avoid, style)
    return _most_distinct(plain, neighbours) or Scene(world=first)


def sample_shapes(
    rng: Random, config: RawConfig, frame_spec: FrameSpec, *, num_frames: int, avoid: set[str]
) -> World:
    """Sample a flat world of `shapes`.

    Args:
        avoid: colours not to use for the background.
    """
    while True:
        world = sample_world(
            rng.getrandbits(48),
            width=frame_spec.width,
            height=frame_spec.height,
            fps=frame_spec.fps,
            num_frames=num_frames,
            num_things=2 if rng.random() < config.two_objects_prob else 1,
            distinct_from=avoid,
            motions=config.motions,
            speeds=config.speeds,
        )
        if not (config.hold_out_pairs and families.has_unseen_pair(world)):
            return world


def _shapes_scenes(
    first: World, style_rng: Random, config: RawConfig, frame_spec: FrameSpec, avoid: set[str], style: str
) -> Iterator[Scene]:
    """Yield scenes of `shapes`, the given one first."""
    yield Scene(world=replace(first, style=style))
    for _ in range(TRIES - 1):
        world = sample_shapes(style_rng, config, frame_spec, num_frames=first.num_frames, avoid=avoid)
        yield Scene(world=replace(world, style=style))


def _other_family_scenes(
    style_rng: Random, family: str, style: str, frame_spec: FrameSpec, alone: int, overlaps: tuple[int, int]
) -> Iterator[Scene]:
    """Yield scenes of another family; none if it does not fit the frame or the length."""
    for _ in range(TRIES):
        try:
            world = families.sample(
                family,
                style_rng.getrandbits(48),
                width=frame_spec.width,
                height=frame_spec.height,
                fps=frame_spec.fps,
                num_frames=alone,
                style=style,
            )
        except ValueError:
            continue
        yield Scene(world=world, padding=overlaps)


def _most_distinct(scenes: Iterator[Scene], neighbours: Sequence[Scene]) -> Scene | None:
    """Return the first scene that differs enough from its neighbours, or the one that differs most."""
    best, best_contrast = None, -1.0
    for scene in scenes:
        contrast = min((_contrast(scene.world, other.world) for other in neighbours), default=CUT_CONTRAST)
        if contrast >= CUT_CONTRAST:
            return scene
        if contrast > best_contrast:
            best, best_contrast = scene, contrast
    return best


def _contrast(first: AnyWorld, second: AnyWorld) -> float:
    """Return the mean difference of two stills in hue, saturation and value.

    For two flat `shapes`, comparing the names of their backgrounds is enough.
    """
    if all(world.family == SHAPES and world.style == "flat" for world in (first, second)):
        return 0.0 if _ground(first) == _ground(second) else CUT_CONTRAST
    first_HWC, second_HWC = (
        cv2.cvtColor(_first_frame(world), cv2.COLOR_RGB2HSV) for world in (first, second)
    )
    return float(cv2.absdiff(first_HWC, second_HWC).mean())


def _first_frame(world: AnyWorld) -> np.ndarray:
    """Render the first frame of a world."""
    return families.render(replace(cast(Any, world), num_frames=1))[0]


def _ground(world: AnyWorld) -> str:
    """Return the name of the dominant colour."""
    fields = world.to_json()
    return fields["background"] if "background" in fields else fields["floor"]


def slate(frame_spec: FrameSpec, num_frames: int) -> Scene:
    """Return an empty black scene."""
    world = World(
        seed=0,
        things=(),
        background=SLATE_BACKGROUND,
        width=frame_spec.width,
        height=frame_spec.height,
        fps=frame_spec.fps,
        num_frames=num_frames,
    )
    return Scene(world=world)


def render_scene(scene: Scene) -> np.ndarray:
    """Render a scene as frames_THWC (RGB, uint8)."""
    frames_THWC = families.render(scene.world)
    if not any(scene.padding):
        return frames_THWC
    return np.pad(frames_THWC, (scene.padding, (0, 0), (0, 0), (0, 0)), mode="edge")


def caption_scene(scene: Scene, seed: int) -> tuple[str, str | None]:
    """Return the short and the dense caption of a scene; a slate has no dense caption."""
    short = families.short_caption(scene.world, seed)
    return short, None if scene.is_slate else families.dense_caption(scene.world, seed)
