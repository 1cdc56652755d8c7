"""The interface of a family of worlds: sample, render, caption and judge.

A family is a folder whose module `family` exports the functions of `Family` from the modules `truth`, `draw`,
`captions` and `judge` beside it. Its world is a frozen dataclass with the fields of `AnyWorld`.

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

    The subject is the name of a thing, or one of `worlds.claims.NO_THINGS`.
    """

    subject: str
    attribute: str
    value: str

    def to_json(self) -> list[str]:
        return [self.subject, self.attribute, self.value]


class AnyWorld(Protocol):
    """Fields of the worlds of all families. Equal worlds render to equal pixels."""

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
        """Return plain lists, strings and numbers, including `family`."""
        ...


class Shot:
    """Properties derived from the size, frame rate and number of frames of a world."""

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
        """Whether the world has more than one frame."""
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
    """A world in the flat style, and the label of each pixel."""

    frames_THWC: np.ndarray
    """RGB, uint8."""
    labels_THW: np.ndarray
    """uint8: 0 for the background (floor, sky), then one number per thing, constant over time."""


class Family(Protocol):
    """The functions of a family's module."""

    def sample(
        self, seed: int, *, width: int, height: int, fps: float, num_frames: int, style: str = "flat"
    ) -> AnyWorld:
        """Sample a world, deterministically. Raises ValueError for an empty one."""
        ...

    def draw(self, world: AnyWorld) -> Rendered:
        """Render in the flat style. `worlds.families.render` applies the style."""
        ...

    def short_caption(self, world: AnyWorld, seed: int) -> str:
        """Return a caption of about 8 words."""
        ...

    def dense_caption(self, world: AnyWorld, seed: int) -> str:
        """Return a complete caption of 60 to 135 words."""
        ...

    def claims(self, world: AnyWorld) -> frozenset[Claim]:
        """Return the atomic claims behind the dense caption."""
        ...

    def parse_claims(self, text: str) -> frozenset[Claim]:
        """Return the claims of a caption; for a dense caption, those of `claims`."""
        ...

    def unobservable(self, world: AnyWorld, first: int, end: int) -> str:
        """Return why frames [first, end) do not show everything that captions state; empty if they do.

        For example a fall that ends before the clip begins. The range may exceed the world slightly.
        """
        ...

    def judge(self, frames_THWC: np.ndarray, fps: float, world: AnyWorld) -> dict[str, bool]:
        """Measure a video and return, for each attribute, whether it agrees with `world`.

        The measurement may use only the pixels; `world` serves only for the comparison.
        """
        ...

    def combination(self, world: AnyWorld) -> str:
        """Return the combination of attributes by which worlds are held out, such as `red circle left`."""
        ...

    def from_json(self, fields: Mapping[str, Any]) -> AnyWorld:
        """Return the world of a `to_json` result, also after JSON turned tuples into lists."""
        ...


def as_family(module: ModuleType) -> Family:
    """Cast a module to `Family`."""
    return cast(Family, module)
