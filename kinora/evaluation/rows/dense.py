"""Long prompts: the claims of dense captions hold, with as many things as the model knows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kinora.evaluation.cases import Case, Outcome, Setup, Verdict, column, number
from kinora.evaluation.claims import judge_claims
from kinora.evaluation.figures import Figure, average, share
from kinora.evaluation.rows.shapes import as_it_is, make_from_text, nothing_given, render, size_flags
from worlds import families

NAME = "dense"
GOAL = 0.85
CHANCE = True
KINDS = ("color", "shape", "direction", "speed", "background", "count")
make, truth, with_given, given, flags = make_from_text, render, as_it_is, nothing_given, size_flags


def cases(setup: Setup) -> list[Case]:
    """Return balanced worlds of the largest number of things, each with its dense caption."""
    most = replace(setup.vocabulary, counts=(max(setup.vocabulary.counts),))
    worlds = setup.worlds(setup.few, vocabulary=most)
    return number(NAME, "dense", worlds, setup.seed, families.dense_caption)


def judge(case: Case, frames_THWC: np.ndarray) -> Verdict:
    """Return the share of the prompt's claims that hold."""
    return judge_claims(frames_THWC, case.world.fps, families.claims(case.world))


def figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    """Return the mean share of claims, the share of videos without a false one, each kind, and the words."""
    found = [
        average(
            "dense_claims",
            column(outcomes, "claims"),
            goal=0.85,
            chance=column(outcomes, "claims", "chance"),
            ceiling=column(outcomes, "claims", "ceiling"),
        ),
        share(
            "dense_all_claims",
            column(outcomes, "all_claims"),
            chance=column(outcomes, "all_claims", "chance"),
            ceiling=column(outcomes, "all_claims", "ceiling"),
        ),
    ]
    for name in (f"claim_{kind}" for kind in KINDS):
        if column(outcomes, name):
            chance, ceiling = (column(outcomes, name, of) for of in ("chance", "ceiling"))
            found.append(average(f"dense_{name}", column(outcomes, name), chance=chance, ceiling=ceiling))
    words = [float(len(outcome.case.prompt.split())) for outcome in outcomes]
    return [*found, average("dense_words", words, digits=0)]
