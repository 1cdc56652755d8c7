"""Drafts: a small video, and the same made larger, agree on attributes and path.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Sequence

import numpy as np

from kinora.evaluation.cases import Case, Maker, Outcome, Setup, Verdict, column, number
from kinora.evaluation.figures import Figure, average, share
from kinora.evaluation.paths import agreement, same_path
from kinora.evaluation.rows.shapes import as_it_is, from_text, nothing_given, size_flags
from trainer.sample.verbs import from_draft

NAME = "draft"
GOAL = 0.9
CHANCE = False
LARGER = 2
"""Sides of the final video over those of the draft, which is of a trained size."""
STRENGTH = 0.6
"""That of `kinora generate --from-draft`."""
AGREE = ("color", "background", "shape", "direction", "speed", "count")
with_given, given = as_it_is, nothing_given


def cases(setup: Setup) -> list[Case]:
    """Return balanced prompts; their worlds are those of the drafts."""
    worlds = setup.worlds(setup.samples, vocabulary=setup.vocabulary.moving)
    return number(NAME, "draft", worlds, setup.seed, strength=STRENGTH)


def make(cases: Sequence[Case], maker: Maker) -> list[np.ndarray]:
    """Return each draft and its final video as one, the draft enlarged by repeating pixels and put first.

    Both are needed to judge, and both are shown.
    """
    drafts = maker([from_text(case, maker) for case in cases], name="draft")
    finals = [
        from_draft(
            maker.model,
            draft_THWC,
            case.prompt,
            height=LARGER * case.world.height,
            width=LARGER * case.world.width,
            strength=case.strength or STRENGTH,
            seed=case.seed,
        )
        for case, draft_THWC in zip(cases, drafts, strict=True)
    ]
    return [
        np.concatenate([draft_THWC.repeat(LARGER, axis=1).repeat(LARGER, axis=2), final_THWC])
        for draft_THWC, final_THWC in zip(drafts, maker(finals), strict=True)
    ]


def truth(case: Case) -> None:
    """Return None: nobody knows the final video of a draft."""


def judge(case: Case, frames_THWC: np.ndarray) -> Verdict:
    """Return whether draft and final agree on every attribute that could be measured, and on the path."""
    half = len(frames_THWC) // 2
    draft_THWC, final_THWC = frames_THWC[:half, ::LARGER, ::LARGER], frames_THWC[half:]
    verdict = agreement(final_THWC, np.ascontiguousarray(draft_THWC), case.world.fps)
    checks = {name: right for name, right in verdict.checks().items() if name in AGREE}
    path = same_path(final_THWC, np.ascontiguousarray(draft_THWC))
    return {**checks, "path": path, "agree": all(checks.values()) and path}


def flags(case: Case) -> list[str]:
    """Return the flags of the draft; the final is made from its file by `--from-draft`."""
    return size_flags(case)


def figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    """Return agreement, and what a draft costs of its final video, in processor time."""
    costs = [o.seconds["draft"] / o.seconds["video"] for o in outcomes if "draft" in o.seconds]
    found = [share("draft_agreement", column(outcomes, "agree"), goal=0.9)]
    found += [
        share(f"draft_{name}", column(outcomes, name)) for name in ("path", *AGREE) if column(outcomes, name)
    ]
    return [found[0], average("draft_cost", costs, goal=0.25, at_most=True), *found[1:]]
