"""Flags of several words, and flags that are repeated, keep their words and their order."""

import pytest

from kinora.cli.words import gather_words

NUM_WORDS = {"image": 1, "connect": 2, "prompt_at": 2}
NESTED = frozenset({"prompt_at"})


@pytest.mark.parametrize(
    ("words", "gathered"),
    [
        (["a prompt", "--seed", "3"], ["a prompt", "--seed", "3"]),
        (["--image", "b.png", "x", "--image=a=1.png"], ["x", '--image=["b.png", "a=1.png"]']),
        (["--connect", "a", "--b", "p"], ["p", '--connect=["a", "--b"]']),
        (
            ["--prompt_at", "1.5", "1", "--prompt_at", "3", "two words"],
            ['--prompt_at=[["1.5", "1"], ["3", "two words"]]'],
        ),
    ],
)
def test_words_are_gathered_in_order(words, gathered):
    assert gather_words(words, NUM_WORDS, NESTED) == gathered


def test_too_few_words_are_an_error():
    with pytest.raises(ValueError, match="--prompt-at takes 2 words, not 1"):
        gather_words(["--prompt_at", "1.5"], NUM_WORDS, NESTED)
