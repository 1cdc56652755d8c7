"""Prompt expansion: short prompts raw, and expanded as `kinora prompts upsample` does without a model.

Both videos of a prompt have the same noise, and are judged by what the short prompt says.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kinora.evaluation.cases import Case, Outcome, Setup, Verdict, column, in_group, number
from kinora.evaluation.claims import judge_claims
from kinora.evaluation.figures import Figure, average, gain, share
from kinora.evaluation.rows.shapes import as_it_is, make_from_text, nothing_given, render, size_flags
from kinora.prompts.worlds_upsampler import upsample_worlds
from worlds import families

NAME = "expansion"
GOAL = 0.0
CHANCE = True
RAW, EXPANDED = "raw", "expanded"
make, truth, with_given, given, flags = make_from_text, render, as_it_is, nothing_given, size_flags


def cases(setup: Setup) -> list[Case]:
    """Return the same balanced worlds with short and with expanded prompts.

    A prompt that the upsampler keeps as it was is on both sides.
    """
    raw = number(NAME, RAW, setup.worlds(setup.few), setup.seed)
    texts = upsample_worlds([case.prompt for case in raw], seed=setup.seed)
    return raw + [
        replace(case, group=EXPANDED, prompt=each.text) for case, each in zip(raw, texts, strict=True)
    ]


def judge(case: Case, frames_THWC: np.ndarray) -> Verdict:
    """Return the share of the short prompt's claims that hold."""
    return judge_claims(frames_THWC, case.world.fps, families.parse_claims("shapes", _short(case)))


def _short(case: Case) -> str:
    return families.short_caption(case.world, case.world.seed)


def figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    """Return the gain, prompt by prompt, the claims that hold on either side, and the prompts expanded."""
    sides = {group: in_group(outcomes, group) for group in (RAW, EXPANDED)}
    claims = {
        group: [value for _, value in sorted(zip(_places(own), column(own, "claims"), strict=True))]
        for group, own in sides.items()
    }
    found = [gain("expansion_gain", claims[RAW], claims[EXPANDED])]
    for group, own in sides.items():
        chance, ceiling = (column(own, "claims", of) for of in ("chance", "ceiling"))
        found.append(average(f"expansion_{group}", claims[group], chance=chance, ceiling=ceiling))
        found.append(share(f"expansion_{group}_all", column(own, "all_claims")))
    changed = [outcome.case.prompt != _short(outcome.case) for outcome in sides[EXPANDED]]
    return [*found, share("expansion_changed", changed)]


def _places(outcomes: Sequence[Outcome]) -> list[int]:
    return [outcome.case.index for outcome in outcomes]
