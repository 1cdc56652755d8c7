"""Images: a video of one frame shows what its prompt says."""

from collections.abc import Sequence

from kinora.evaluation.cases import Case, Outcome, Setup, column, number
from kinora.evaluation.figures import Figure, share
from kinora.evaluation.rows.shapes import (
    as_it_is,
    attribute_figures,
    judge_all,
    make_from_text,
    nothing_given,
    render,
    size_flags,
)

NAME = "images"
GOAL = 0.97
CHANCE = True
VISIBLE = ("color", "background", "shape", "count")
"""Attributes that one frame shows."""
make, judge, truth, with_given, given, flags = (
    make_from_text,
    judge_all,
    render,
    as_it_is,
    nothing_given,
    size_flags,
)


def cases(setup: Setup) -> list[Case]:
    """Return balanced worlds of one frame."""
    return number(NAME, "image", setup.worlds(setup.samples, num_frames=1), setup.seed)


def figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    """Return the share of the attribute that is right least often, then each, then all at once."""
    weakest = min(VISIBLE, key=lambda name: sum(column(outcomes, name)))
    found = [
        share(
            "image_attributes",
            column(outcomes, weakest),
            goal=0.97,
            chance=column(outcomes, weakest, "chance"),
            ceiling=column(outcomes, weakest, "ceiling"),
        )
    ]
    found += attribute_figures(outcomes, {}, prefix="image_")
    whole = [outcome.verdict["score"] == 1 for outcome in outcomes]
    ceiling = [right == 1 for right in column(outcomes, "score", "ceiling")]
    found.append(share("image_all_right", whole, ceiling=ceiling))
    return found
