"""What every family of worlds can do, and one way to each: sample a world, render it, tell it, judge it.

A family is a folder whose module `family` has the functions of `Family`; they come from `truth`, `draw`,
`captions` and `judge` beside it. Its world is a frozen dataclass that has the fields of `AnyWorld`.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any, NamedTuple, Protocol, cast

import numpy as np


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Claim:
    """One atomic statement, such as (`red circle`, `direction`, `left`).

    The subject is a thing by name, or `background`, `scene`, `camera` and the like.
    """

    subject: str
    attribute: str
    value: str

    def to_json(self) -> list[str]:
        return [self.subject, self.attribute, self.value]


class AnyWorld(Protocol):
    """The fields that the world of every family has; the same world renders to the same pixels."""

    @property
    def family(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def style(self) -> str:
        """One of `worlds.styles.STYLES`."""
        ...

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def fps(self) -> float: ...
    @property
    def num_frames(self) -> int: ...

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, strings and numbers; `family` is among them."""
        ...


class Shot:
    """What the world of every family can tell from its size, frame rate and number of frames."""

    __slots__ = ()
    width: int
    height: int
    fps: float
    num_frames: int

    @property
    def short_side_px(self) -> int:
        return min(self.width, self.height)

    @property
    def moves(self) -> bool:
        """Whether motion can be seen: not in a single frame."""
        return self.num_frames > 1

    @property
    def duration_s(self) -> float:
        return self.num_frames / self.fps

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, strings and numbers."""
        return asdict(cast(Any, self))


def check_not_empty(*, width: int, height: int, fps: float, num_frames: int) -> None:
    """Raise ValueError for a world without pixels, frames or time."""
    if min(width, height, num_frames) < 1 or fps <= 0:
        raise ValueError(
            f"a world of {width}x{height}, {num_frames} frames at {fps} fps is empty: give each more than 0"
        )


class Rendered(NamedTuple):
    """A world in its plain style, and what each pixel belongs to."""

    frames_THWC: np.ndarray
    """RGB, uint8."""
    labels_THW: np.ndarray
    """uint8: 0 for the background (floor, sky), then one number for each thing, the same in every frame."""


class Family(Protocol):
    """The functions of a family's module."""

    def sample(
        self, seed: int, *, width: int, height: int, fps: float, num_frames: int, style: str = "flat"
    ) -> AnyWorld:
        """Draw one world; the same arguments give the same world. Raises ValueError for an empty one."""
        ...

    def draw(self, world: AnyWorld) -> Rendered:
        """Render in the plain style. `worlds.families.render` puts the style on."""
        ...

    def short_caption(self, world: AnyWorld, seed: int) -> str:
        """Say what happens in about 8 words."""
        ...

    def dense_caption(self, world: AnyWorld, seed: int) -> str:
        """Say all that can be seen in 60 to 135 words of natural sentences, from several templates."""
        ...

    def claims(self, world: AnyWorld) -> frozenset[Claim]:
        """Return the atomic claims behind the dense caption."""
        ...

    def parse_claims(self, text: str) -> frozenset[Claim]:
        """Return the claims that a caption makes: those of `claims`, for one of this family's dense captions.
        Wrong words make wrong claims; words that no caption of the family holds make none."""
        ...

    def untold(self, world: AnyWorld, first: int, end: int) -> str:
        """Say why frames [first, end) alone do not show what captions tell; empty where they do.

        Such as a fall that is over when the clip begins. Frames may lie a little outside of the world.
        """
        ...

    def judge(self, frames_THWC: np.ndarray, fps: float, world: AnyWorld) -> dict[str, bool]:
        """Measure a video by its pixels and say, for each attribute, whether it shows what `world` asks.

        Only what a person could see without the truth may be used to find the verdict; the truth is what
        the measurement is compared with.
        """
        ...

    def combination(self, world: AnyWorld) -> str:
        """Name the attributes that are held out together, such as `red circle left`."""
        ...

    def from_json(self, fields: Mapping[str, Any]) -> AnyWorld:
        """Undo `to_json`, also after a trip through a JSON file (tuples came back as lists)."""
        ...


def as_family(module: ModuleType) -> Family:
    """See a module as the family that it is."""
    return cast(Family, module)
