"""Conditions are checked when they are made."""

import pytest
import torch

from trainer.sample.conditions import Conditions, Prompt, with_seeds


def conditions(**changes) -> Conditions:
    fields = {"latent_CTHW": torch.zeros(4, 5, 2, 2), "level_T": torch.ones(5), "prompts": (Prompt("a"),)}
    return Conditions(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"level_T": torch.ones(4)}, r"level_T has shape \[4\]: must hold 5 levels"),
        ({"level_T": torch.full((5,), 1.5)}, "noise levels must be from 0 to 1"),
        ({"prompts": ()}, "must ascend from 0"),
        ({"prompts": (Prompt("a", 1),)}, "must ascend from 0"),
        ({"prompts": (Prompt("a"), Prompt("b", 3), Prompt("c", 2))}, r"\[0, 3, 2\]: must ascend"),
        ({"prompts": (Prompt("a"), Prompt("b", 5))}, "below 5"),
    ],
)
def test_values_that_do_not_go_together_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        conditions(**changes)


def test_the_length_of_the_result():
    assert conditions().num_frames(4) == 17
    assert conditions(loop=True).num_frames(4) == 20
    assert conditions(frames_before=3, frames_after=-2).num_frames(4) == 18


def test_seeds_count_up():
    assert [each.seed for each in with_seeds(conditions(seed=7), 3)] == [7, 8, 9]
