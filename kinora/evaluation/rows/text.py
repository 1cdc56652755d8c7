"""Text control: what a video shows is what its prompt says; bindings, and pairs that training left out.

`shapes` are balanced (`kinora.evaluation.balanced`); worlds of other families are as the family samples them,
and judged by what their short prompts say.
"""

from collections.abc import Sequence

import numpy as np

from kinora.evaluation.cases import Case, Outcome, Setup, Verdict, column, in_group, number
from kinora.evaluation.figures import Figure, drop, share
from kinora.evaluation.rows.shapes import (
    ATTRIBUTES,
    GOALS,
    PUBLIC,
    as_it_is,
    attribute_figures,
    judge_all,
    make_from_text,
    nothing_given,
    render,
    size_flags,
)

NAME = "text"
GOAL = 0.97
CHANCE = True
UNTOLD = {"occlusion": ("hidden", "timing"), "grid": ("things", "color")}
"""Attributes that short prompts of a family leave open: for how many frames a thing is hidden and when it
comes back, and all things of a game but the one that its goal names."""
make, truth, with_given, given, flags = (
    make_from_text,
    render,
    as_it_is,
    nothing_given,
    size_flags,
)


def cases(setup: Setup) -> list[Case]:
    """Return seen pairs, two things to bind, unseen pairs, and worlds of the other families."""
    found: list[Case] = []
    if "shapes" in setup.families:
        found += number(NAME, "seen", setup.worlds(setup.samples), setup.seed)
        for kind in ("binding", "unseen"):
            found += number(NAME, kind, setup.worlds(setup.few, kind=kind), setup.seed)
    for family in setup.families:
        if family != "shapes":
            found += number(NAME, family, setup.worlds_of_family(family, setup.few), setup.seed)
    return found


def judge(case: Case, frames_THWC: np.ndarray) -> Verdict:
    """Return the verdict for each attribute that the prompt states, and `score`, the share that is right."""
    return judge_all(case, frames_THWC, UNTOLD.get(case.world.family, ()))


def figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    """Return the share of each attribute, of bindings, and what unseen pairs lose."""
    found: list[Figure] = []
    seen, unseen = in_group(outcomes, "seen"), in_group(outcomes, "unseen")
    if seen:
        alone = [name for name in ATTRIBUTES if column(seen, name)]
        found += [_figure(seen, name) for name in alone]
        found.append(_figure(in_group(outcomes, "binding"), "binding"))
        found.append(drop("unseen_drop", column(seen, "score"), column(unseen, "score"), goal=0.05))
        ceiling = column(unseen, "shape", "ceiling")
        found.append(share("unseen_shape", column(unseen, "shape"), ceiling=ceiling))
    others = dict.fromkeys(o.case.world.family for o in outcomes if o.case.world.family != "shapes")
    for family in others:
        found += attribute_figures(in_group(outcomes, family), {}, prefix=f"{family}_")
    return found


def _figure(outcomes: Sequence[Outcome], name: str) -> Figure:
    return share(
        PUBLIC.get(name, name),
        column(outcomes, name),
        goal=GOALS[name],
        chance=column(outcomes, name, "chance"),
        ceiling=column(outcomes, name, "ceiling"),
    )
