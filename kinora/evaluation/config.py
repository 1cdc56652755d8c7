"""Settings of the evaluation of every verb. Imports nothing heavy."""

from dataclasses import dataclass

from manifests.ranges import NonNegativeFloat, PositiveInt, check_ranges
from worlds.palette import FAMILY_NAMES, MOTIONS, SPEEDS

ROWS = (
    "text",
    "animate",
    "extend",
    "loop",
    "connect",
    "edit",
    "images",
    "sizes",
    "draft",
    "dense",
    "expansion",
    "consistency",
    "permanence",
    "long",
    "acting",
    "game",
)
"""Modules of `kinora.evaluation.rows` that are rows of the table."""
COMPARED = ("framing",)
"""Further ones, which compare trainings (`kinora.training.compare`) and run only where they are named."""
SAMPLES, FEW = 512, 128
"""Cases of a group with a goal of 0.9 or more, and of another one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationConfig:
    """Which model is evaluated, on what."""

    model: str = "shipped"
    """Model folder written by `kinora train dit`; by default the weights in the package."""
    row: str | None = None
    """Row of the table, or several with commas: text, animate, extend, loop, connect, edit, images, sizes,
    draft, dense, expansion, consistency, permanence, long, acting, game. Default: all of these. `framing`
    compares trainings, and runs only where it is named."""
    samples: PositiveInt | None = None
    """Videos of each group of a row. Default: 512 where a goal is 0.9 or more, 128 elsewhere."""
    families: tuple[str, ...] = FAMILY_NAMES
    """Families of worlds that the model was trained on. Rows text and animate judge all of them; consistency
    needs rooms, permanence occlusion, acting canvas, game grid, and the other rows shapes."""
    motions: tuple[str, ...] = MOTIONS
    """Motions in the prompts: those that the model was trained on. The demo: left, right, up, down, still."""
    speeds: tuple[str, ...] = tuple(SPEEDS)
    """Speeds in the prompts: any of slow, medium, quick. The demo: medium."""
    counts: tuple[PositiveInt, ...] = (1, 2, 3)
    """Numbers of things in the prompts, each equally often."""
    styles: tuple[str, ...] = ("flat",)
    """Styles in the prompts: any of flat, outline, textured, night."""
    steps: PositiveInt = 24
    """Sampling steps."""
    guidance: NonNegativeFloat = 5.0
    """Scale of guidance by the prompt."""
    processes: PositiveInt = 2
    """Processes that sample and judge, one thread each."""
    cache: str = ".bench/sora"
    """Folder of the generated videos, by weights and conditions: a run that was ended goes on there."""

    __post_init__ = check_ranges

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the rows. Raises ValueError for an unknown one."""
        if self.row is None:
            return ROWS
        names = tuple(name.strip() for name in self.row.split(","))
        known = (*ROWS, *COMPARED)
        if unknown := [name for name in names if name not in known]:
            raise ValueError(f"no row {', '.join(unknown)}: there are {', '.join(known)}")
        return names

    @property
    def few(self) -> int:
        """Cases of a group without a goal of 0.9 or more."""
        return FEW if self.samples is None else min(FEW, self.samples)
