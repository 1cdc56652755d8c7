"""Judge a video or a caption against what should be in it.

A video is measured by its pixels (`worlds.shapes.measure`), a caption by the claims it makes
(`worlds.shapes.grammar`).
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from worlds.family import Claim
from worlds.shapes.captions import claims
from worlds.shapes.grammar import parse_claims
from worlds.shapes.measure import Measured, MeasuredThing, measure
from worlds.shapes.truth import Wanted, World, wanted
from worlds.sight import without_outlines
from worlds.styles import undo_night

ATTRIBUTES = ("color", "shape", "direction", "speed", "background", "count", "binding")
BOUND = ("color", "shape", "direction")
"""What must belong to one and the same thing for `binding`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Whether a video shows what was wanted; None for what was not stated or cannot be seen (motion in one
    frame)."""

    color: bool | None
    """All wanted colours are there, whichever thing has them. `shape`, `direction` and `speed` alike."""
    shape: bool | None
    direction: bool | None
    speed: bool | None
    background: bool | None
    count: bool | None
    binding: bool | None
    """Every thing has its own colour, shape and direction together; None unless two or more things are
    wanted."""
    measured: Measured

    def checks(self) -> dict[str, bool]:
        """Return the attributes that were judged."""
        found = {name: getattr(self, name) for name in ATTRIBUTES}
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionScore:
    """How many of a caption's claims are true, and how many of the true ones it makes."""

    num_claims: int
    num_true: int
    """Claims that could truly be made."""
    supported: int
    """Claims made that are true."""
    unsupported: tuple[Claim, ...]
    """Claims made that are not, as the caption words them."""
    missed: tuple[Claim, ...]
    """True claims not made."""

    @property
    def precision(self) -> float | None:
        """Share of the claims made that are true; None for a caption that makes none."""
        return self.supported / self.num_claims if self.num_claims else None

    @property
    def recall(self) -> float:
        """Share of the true claims that are made."""
        return self.supported / self.num_true


def judge(frames_THWC: np.ndarray, fps: float, world: World) -> dict[str, bool]:
    """Say for each attribute of `ATTRIBUTES` that applies whether a video shows it."""
    return judge_video(without_outlines(undo_night(frames_THWC)), fps, world).checks()


def judge_video(frames_THWC: np.ndarray, fps: float, truth: Wanted | World) -> Verdict:
    """Measure a video (RGB, uint8) and compare it with a world, or with what a prompt asks for."""
    return compare(measure(frames_THWC, fps), truth)


def compare(measured: Measured, truth: Wanted | World) -> Verdict:
    """Compare what was found with what was wanted."""
    asked = wanted(truth) if isinstance(truth, World) else truth
    moves = measured.num_frames > 1
    return Verdict(
        color=_agree(asked, measured, ("color",)),
        shape=_agree(asked, measured, ("shape",)),
        direction=_agree(asked, measured, ("direction",)) if moves else None,
        speed=_agree(asked, measured, ("speed",)) if moves else None,
        background=None if asked.background is None else asked.background == measured.background,
        count=None if asked.count is None else asked.count == measured.count,
        binding=_agree(asked, measured, BOUND if moves else BOUND[:2]) if len(asked.things) > 1 else None,
        measured=measured,
    )


def _agree(asked: Wanted, measured: Measured, attributes: tuple[str, ...]) -> bool | None:
    """Return whether each wanted thing can be given a found one of its own that has all it states."""
    stated = [
        {name: value for name in attributes if (value := getattr(thing, name)) is not None}
        for thing in asked.things
    ]
    if not any(stated):
        return None
    orders = itertools.permutations(measured.things, len(stated))
    return any(all(map(_has_all, order, stated)) for order in orders)


def _has_all(found: MeasuredThing, stated: Mapping[str, str]) -> bool:
    return all(getattr(found, name) == value for name, value in stated.items())


def judge_caption(text: str, world: World) -> CaptionScore:
    """Score a caption's claims against `world`.

    The things that a caption names are matched with those of the world so that most claims hold; so `a red
    square moves left` about a red circle makes one false claim (its shape), not three.
    """
    said, true = parse_claims(text), claims(world)
    renamed = max(_renamings(said, world), key=lambda names: (len(true & names.keys()), sorted(names)))
    return CaptionScore(
        num_claims=len(said),
        supported=len(true & renamed.keys()),
        num_true=len(true),
        unsupported=tuple(sorted(renamed[claim] for claim in renamed.keys() - true)),
        missed=tuple(sorted(true - renamed.keys())),
    )


def _renamings(said: Iterable[Claim], world: World) -> Iterator[dict[Claim, Claim]]:
    """Yield the claims about things as claims about the world's things, in every way of matching the two.

    Each renamed claim maps to the one that was said. A thing that is matched with none keeps a name of its
    own.
    """
    subjects = sorted({claim.subject for claim in said} - {"background", "scene"})
    real = [thing.name for thing in world.things]
    for order in itertools.permutations([*subjects, *(None for _ in real)], len(real)):
        names = {subject: f"{subject} (not there)" for subject in subjects}
        names |= {subject: name for name, subject in zip(real, order, strict=True) if subject is not None}
        yield {replace(claim, subject=names.get(claim.subject, claim.subject)): claim for claim in said}
