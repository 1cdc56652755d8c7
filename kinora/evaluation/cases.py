"""What a row of the evaluation generates and judges.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from kinora.evaluation.balanced import Kind, Vocabulary, balanced_worlds
from kinora.evaluation.figures import Figure
from trainer.config import SampleConfig
from trainer.sample.conditions import Conditions
from trainer.sample.model import TextToVideo
from worlds import families
from worlds.family import AnyWorld
from worlds.shapes.truth import World

FIRST_SEED = 1_000_000_007
"""Seeds of evaluated worlds of other families begin here; those of training are below."""
TRIES = 40
"""Worlds sampled for each that is needed, before a row gives up."""
Verdict = Mapping[str, bool | float]
"""What was judged or measured of one video, by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """What the cases of a row are made for."""

    samples: int
    """Cases of a group whose goal is 0.9 or more."""
    few: int
    """Cases of each other group."""
    seed: int
    families: tuple[str, ...]
    vocabulary: Vocabulary
    sizes: tuple[tuple[int, int], ...]
    """(width, height) of the model's training clips."""
    num_frames: int
    """Frames of its longest training clips."""
    fps: float
    time_factor: int

    def worlds(
        self,
        n: int,
        *,
        num_frames: int | None = None,
        sizes: Sequence[tuple[int, int]] | None = None,
        vocabulary: Vocabulary | None = None,
        kind: Kind = "seen",
    ) -> list[World]:
        """Return balanced worlds of `shapes`, by default of the model's own lengths and sizes."""
        return balanced_worlds(
            n,
            seed=self.seed,
            sizes=sizes or self.sizes,
            num_frames=num_frames or self.num_frames,
            fps=self.fps,
            vocabulary=vocabulary or self.vocabulary,
            kind=kind,
        )

    def worlds_of_family(
        self, family: str, n: int, fits: Callable[[AnyWorld], bool] = lambda world: True
    ) -> list[AnyWorld]:
        """Return worlds of another family that fit, else as the family samples them, without held-out pairs.

        Raises:
            ValueError: where the model was not trained on the family, or hardly a world fits.
        """
        if family not in self.families:
            raise ValueError(
                f"families: the model was trained on {', '.join(self.families)}, not on {family}"
            )
        worlds: list[AnyWorld] = []
        first = seed = FIRST_SEED + 1_000_003 * self.seed
        while len(worlds) < n:
            if seed - first >= TRIES * max(n, 10):
                raise ValueError(
                    f"{family}: {len(worlds)} of {seed - first} worlds of {self.num_frames} frames at "
                    f"{self.fps:g} fps fit; {n} are needed"
                )
            width, height = self.sizes[len(worlds) % len(self.sizes)]
            style = self.vocabulary.styles[len(worlds) % len(self.vocabulary.styles)]
            size = {"width": width, "height": height, "fps": self.fps, "num_frames": self.num_frames}
            world = families.sample(family, seed, **size, style=style)
            seed += 1
            if not families.has_unseen_pair(world) and fits(world):
                worlds.append(world)
        return worlds


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One video to generate and to judge."""

    row: str
    group: str
    """Cases of a group are scored together; chance compares cases of one group."""
    index: int
    """Place in the group."""
    prompt: str
    world: AnyWorld
    """What the whole result should show."""
    seed: int
    source: World | None = None
    """A second world: what is edited, or what is to be reached."""
    given: int = 0
    """Frames that are given, of each video."""
    strength: float | None = None

    @property
    def name(self) -> str:
        """Name of the case in files."""
        return f"{self.group.replace(' ', '-')}-{self.index:04d}"


def number(
    row: str,
    group: str,
    worlds: Sequence[AnyWorld],
    seed: int,
    caption: Callable[[AnyWorld, int], str] = families.short_caption,
    **fields: Any,
) -> list[Case]:
    """Return a case for each world, prompted with its caption."""
    return [
        Case(
            row=row,
            group=group,
            index=index,
            prompt=caption(world, world.seed),
            world=world,
            seed=10_007 * seed + index,
            **fields,
        )
        for index, world in enumerate(worlds)
    ]


class Given(NamedTuple):
    """Frames that a case is prompted with, and the flag of `kinora generate` that takes them."""

    flag: str
    frames_THWC: np.ndarray


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What was judged of one case."""

    case: Case
    verdict: Verdict
    chance: Verdict
    """The verdict against another case's prompt; empty where there is none."""
    ceiling: Verdict
    """The verdict on the true video after a round trip through the VAE; empty where there is none."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Processor time of each video that was made, by its name: `video`, and `draft` where there is one."""


class Maker(Protocol):
    """Samples videos and keeps the time."""

    model: TextToVideo
    config: SampleConfig

    def __call__(self, conditions: Sequence[Conditions], *, name: str = "video") -> list[np.ndarray]:
        """Return frames_THWC (uint8) of each."""
        ...


class Row(Protocol):
    """The functions of a row's module."""

    NAME: str
    GOAL: float
    """Highest share among its goals; 0.9 or more asks for more samples."""
    CHANCE: bool
    """Whether a verdict depends on the prompt, so that another case's tells what chance is."""

    def cases(self, setup: Setup) -> list[Case]:
        """Return what to generate."""
        ...

    def make(self, cases: Sequence[Case], maker: Maker) -> list[np.ndarray]:
        """Return frames_THWC (uint8) of each case; cases are of one group and shape."""
        ...

    def judge(self, case: Case, frames_THWC: np.ndarray) -> Verdict:
        """Judge a video against a case, which need not be the one that it was made for."""
        ...

    def truth(self, case: Case) -> np.ndarray | None:
        """Return what a perfect model would make, before the VAE; None where nobody knows."""
        ...

    def with_given(self, case: Case, frames_THWC: np.ndarray) -> np.ndarray:
        """Return frames with the given ones in their places."""
        ...

    def given(self, case: Case) -> list[Given]:
        """Return the frames that the case is prompted with."""
        ...

    def flags(self, case: Case) -> list[str]:
        """Return flags of `kinora generate`, besides prompt, model, seed and given files."""
        ...

    def figures(self, outcomes: Sequence[Outcome]) -> list[Figure]:
        """Return the figures of the row."""
        ...


def column(outcomes: Sequence[Outcome], name: str, of: str = "verdict") -> list[Any]:
    """Return one verdict of each outcome that has it."""
    return [verdict[name] for outcome in outcomes if name in (verdict := getattr(outcome, of))]


def in_group(outcomes: Sequence[Outcome], *groups: str) -> list[Outcome]:
    """Return the outcomes of groups."""
    return [outcome for outcome in outcomes if outcome.case.group in groups]
