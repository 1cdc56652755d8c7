"""What a model was not sure of is left out of its answer."""

import pytest

from captioner.unsure import leave_out_unsure

TEXT = "A game . It points up ; then it turns left . It ends ."


@pytest.mark.parametrize(
    ("chances", "expected"),
    [
        ({}, TEXT),
        ({"left": 0.2}, "A game . It points up . It ends ."),
        ({"turns": 0.5, "left": 0.5}, "A game . It points up . It ends ."),  # together
        ({"up": 0.2}, "A game . It ends ."),
        ({"It": 0.2}, TEXT),  # how a clause is put
        ({"game": 0.2, "up": 0.2, "ends": 0.2}, TEXT),  # nothing would be left
    ],
)
def test_clauses_of_unlikely_words_are_left_out(chances: dict[str, float], expected: str) -> None:
    words = TEXT.split()
    assert " ".join(leave_out_unsure(words, [chances.get(word, 0.99) for word in words], 0.3)) == expected


def test_words_keep_the_spaces_before_them_and_the_end_may_lack_a_stop() -> None:
    words = ["▁The", "▁box", "▁is", "▁red", ".", "▁It", "▁falls"]
    assert leave_out_unsure(words, [0.99] * 6 + [0.1], 0.3) == words[:5]
    assert leave_out_unsure(words, [0.1] + [0.99] * 6, 0.3) == words
    assert leave_out_unsure([], [], 0.3) == []
