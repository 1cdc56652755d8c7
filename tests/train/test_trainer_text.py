"""States of a text depend on that text alone."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from trainer.text import TextEncoder

RUNS = runpy.run_path(str(Path(__file__).with_name("training_runs.py")))
assert_equal_to_float32_rounding = RUNS["assert_equal_to_float32_rounding"]


@pytest.mark.usefixtures("any_machine")
def test_text_states_do_not_depend_on_the_other_texts():
    text = TextEncoder("minilm")
    same_length = [f"a square number {n} moves right. It is a very plain square." for n in range(6)]
    texts = ["", "a red circle", *same_length, "a blue square moves left over a gray background"]
    together = text.states(texts)
    assert [len(state_LD) for state_LD in together] == [2, 5, *[16] * 6, 11]
    for state_LD, words in zip(together, texts, strict=True):
        alone_LD = text.states([words])[0]
        assert_equal_to_float32_rounding(state_LD.astype(np.float32), alone_LD.astype(np.float32))
