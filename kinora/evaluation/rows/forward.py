"""What rows share that give the first frames of a world and let the model go on.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Sequence

import numpy as np

from kinora.evaluation.cases import Case, Given, Maker
from kinora.evaluation.rows.shapes import render
from trainer.sample.verbs import extend


def given(case: Case) -> list[Given]:
    return [Given("--video", render(case)[: case.given])]


def make(cases: Sequence[Case], maker: Maker) -> list[np.ndarray]:
    """Return the videos, given frames included."""
    conditions = [
        extend(
            maker.model,
            given(case)[0].frames_THWC,
            case.prompt,
            new_frames=case.world.num_frames - case.given,
            seed=case.seed,
        )
        for case in cases
    ]
    return maker(conditions)


def with_given(case: Case, frames_THWC: np.ndarray) -> np.ndarray:
    """Return frames in which the given ones are exact."""
    return np.concatenate([given(case)[0].frames_THWC, frames_THWC[case.given :]])


def flags(case: Case) -> list[str]:
    return ["--extend forward", f"--frames {case.world.num_frames - case.given}"]
