"""All families of worlds by name, and the functions of `worlds.family.Family` for any of them.

Legend: T frames, H height, W width, C channels (RGB).
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from worlds.canvas import family as canvas
from worlds.family import AnyWorld, Claim, Family, as_family
from worlds.grid import family as grid
from worlds.occlusion import family as occlusion
from worlds.physics import family as physics
from worlds.rooms import family as rooms
from worlds.shapes import family as shapes
from worlds.split import UNSEEN_PAIRS, is_unseen
from worlds.styles import apply_style

FAMILIES: dict[str, Family] = {
    "shapes": as_family(shapes),
    "occlusion": as_family(occlusion),
    "physics": as_family(physics),
    "rooms": as_family(rooms),
    "canvas": as_family(canvas),
    "grid": as_family(grid),
}
_UNSEEN_NAMES = {f"{color} {shape}" for color, shape in UNSEEN_PAIRS}
MAX_TRIES = 1000
"""Maximum number of worlds sampled until one is in the requested part of the split."""


def family_of(name: str) -> Family:
    """Return a family by name."""
    if name not in FAMILIES:
        raise ValueError(f"unknown family {name!r}: use one of {', '.join(FAMILIES)}")
    return FAMILIES[name]


def sample(
    family: str,
    seed: int,
    *,
    width: int,
    height: int,
    fps: float,
    num_frames: int,
    style: str = "flat",
    unseen: bool | None = None,
) -> AnyWorld:
    """Sample a world, deterministically.

    Args:
        unseen: sample held-out combinations (True), training combinations (False) or any (None).
    """
    module = family_of(family)
    for index in range(MAX_TRIES):
        try_seed = seed if unseen is None else _seed_of_try(family, seed, index)
        world = module.sample(
            try_seed, width=width, height=height, fps=fps, num_frames=num_frames, style=style
        )
        if unseen is None or is_unseen(family, module.combination(world)) is unseen:
            return world
    raise ValueError(
        f"no {'unseen' if unseen else 'seen'} world of {family} in {MAX_TRIES} tries: give a new seed"
    )


def _seed_of_try(family: str, seed: int, index: int) -> int:
    digest = hashlib.sha256(f"worlds/part/{family}/{seed}/{index}".encode()).digest()
    return int.from_bytes(digest[:6])


def render(world: AnyWorld) -> np.ndarray:
    """Return a world in its style as frames_THWC (RGB, uint8)."""
    return apply_style(family_of(world.family).draw(world), world.style, world.seed)


def short_caption(world: AnyWorld, seed: int) -> str:
    """Return a caption of about 8 words."""
    return family_of(world.family).short_caption(world, seed)


def dense_caption(world: AnyWorld, seed: int) -> str:
    """Return a complete caption of 60 to 135 words."""
    return family_of(world.family).dense_caption(world, seed)


def claims(world: AnyWorld) -> frozenset[Claim]:
    """Return the atomic claims behind the dense caption."""
    return family_of(world.family).claims(world)


def parse_claims(family: str, text: str) -> frozenset[Claim]:
    """Return the claims of a caption in the words of a family."""
    return family_of(family).parse_claims(text)


def unobservable(world: AnyWorld, first: int, end: int) -> str:
    """Return why frames [first, end) do not show everything that captions state; empty if they do."""
    return family_of(world.family).unobservable(world, first, end)


def judge(frames_THWC: np.ndarray, fps: float, world: AnyWorld) -> dict[str, bool]:
    """Return, for each attribute of the family, whether a video (RGB, uint8) agrees with the world."""
    return family_of(world.family).judge(frames_THWC, fps, world)


def is_held_out(world: AnyWorld) -> bool:
    """Return whether the combination of a world is held out of training."""
    return is_unseen(world.family, family_of(world.family).combination(world))


def has_unseen_pair(world: AnyWorld) -> bool:
    """Return whether a thing of a world has a colour and shape of `worlds.split.UNSEEN_PAIRS`."""
    return bool(_UNSEEN_NAMES & {claim.subject for claim in claims(world)})


def from_json(fields: Mapping[str, Any]) -> AnyWorld:
    """Return the world of a `to_json` result; the family defaults to `shapes`."""
    return family_of(fields.get("family", "shapes")).from_json(fields)
