"""Judge a video or a caption against a world or a prompt.

A video is measured by its pixels (`worlds.shapes.measure`), a caption by the claims it makes
(`worlds.shapes.grammar`).
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from worlds.claims import CaptionScore, score_claims
from worlds.color_lookup import check_layout
from worlds.segmentation import remove_outlines
from worlds.shapes.captions import claims
from worlds.shapes.grammar import parse_claims
from worlds.shapes.measure import Measured, MeasuredThing, measure
from worlds.shapes.truth import Requirements, World, requirements_of
from worlds.styles import undo_night

ATTRIBUTES = ("color", "shape", "direction", "speed", "background", "count", "binding")
BOUND = ("color", "shape", "direction")
"""Attributes that one thing must have together for `binding`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Verdict per attribute; None if it was not specified or is not visible (motion in a single frame)."""

    color: bool | None
    """Whether all required colours occur, on any thing; likewise `shape`, `direction` and `speed`."""
    shape: bool | None
    direction: bool | None
    speed: bool | None
    background: bool | None
    count: bool | None
    binding: bool | None
    """Whether each thing has its colour, shape and direction together; None for fewer than two things."""
    measured: Measured

    def checks(self) -> dict[str, bool]:
        """Return the attributes that were judged."""
        verdicts = {name: getattr(self, name) for name in ATTRIBUTES}
        return {name: value for name, value in verdicts.items() if value is not None}


def judge(frames_THWC: np.ndarray, fps: float, world: World) -> dict[str, bool]:
    """Return the verdict for each applicable attribute of `ATTRIBUTES`.

    Raises:
        ValueError: unless frames are (T, H, W, 3).
    """
    check_layout(frames_THWC)
    return judge_video(without_style(frames_THWC), fps, world).checks()


def without_style(frames_THWC: np.ndarray) -> np.ndarray:
    """Return a video of any style in flat colours."""
    return remove_outlines(undo_night(frames_THWC))


def judge_video(frames_THWC: np.ndarray, fps: float, truth: Requirements | World) -> Verdict:
    """Measure a video (RGB, uint8) and compare it with a world or a prompt."""
    return compare(measure(frames_THWC, fps), truth)


def compare(measured: Measured, truth: Requirements | World) -> Verdict:
    """Compare a measurement with the requirements."""
    requirements = requirements_of(truth) if isinstance(truth, World) else truth
    moves = measured.num_frames > 1
    return Verdict(
        color=_agree(requirements, measured, ("color",)),
        shape=_agree(requirements, measured, ("shape",)),
        direction=_agree(requirements, measured, ("direction",)) if moves else None,
        speed=_agree(requirements, measured, ("speed",)) if moves else None,
        background=None
        if requirements.background is None
        else requirements.background == measured.background,
        count=None if requirements.count is None else requirements.count == measured.count,
        binding=_agree(requirements, measured, BOUND if moves else BOUND[:2])
        if len(requirements.things) > 1
        else None,
        measured=measured,
    )


def _agree(requirements: Requirements, measured: Measured, attributes: tuple[str, ...]) -> bool | None:
    """Return whether required and measured things match one to one in all stated attributes."""
    stated = [
        {name: value for name in attributes if (value := getattr(thing, name)) is not None}
        for thing in requirements.things
    ]
    if not any(stated):
        return None
    orders = itertools.permutations(measured.things, len(stated))
    return any(all(map(_has_all, order, stated)) for order in orders)


def _has_all(measured: MeasuredThing, stated: Mapping[str, str]) -> bool:
    return all(getattr(measured, name) == value for name, value in stated.items())


def judge_caption(text: str, world: World) -> CaptionScore:
    """Score a caption's claims against `world`."""
    return score_claims(parse_claims(text), claims(world))
