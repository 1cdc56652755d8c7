"""How an attempt ended is decided by the answer alone."""

import pytest

from captioner.outcome import classify, repetition
from manifests.records import Outcome

DENSE = (
    "The video shows a red circle and a blue square over a plain gray background. "
    "There are two objects in the scene. "
    "The red circle moves to the left at a slow speed, and its path is a straight line. "
    "The red circle is round and has no corners. "
    "The blue square stays still, in the same place, during the whole clip. "
    "The blue square has four equal sides and four corners. The camera is fixed, with no zoom and no cuts."
)


@pytest.mark.parametrize(
    ("raw", "ended", "outcome"),
    [
        (DENSE, True, Outcome.OK),
        ("A man says “I'm sorry” to a dog.", True, Outcome.OK),
        ("A cat looks very, very happy.", True, Outcome.OK),
        ("", True, Outcome.EMPTY),
        (" \n.", True, Outcome.EMPTY),
        ("…", False, Outcome.EMPTY),
        (DENSE[:200], False, Outcome.TRUNCATED),
        ("I'm sorry, but I can't help with that.", True, Outcome.REFUSED),
        ("I’m unable to describe this video.", True, Outcome.REFUSED),
        ("Unfortunately, I cannot view videos.", True, Outcome.REFUSED),
        ("As an AI language model, I do not see.", True, Outcome.REFUSED),
        ("a red red red red circle", True, Outcome.DEGENERATE),
        ("The cat sits there. " * 3, True, Outcome.DEGENERATE),
        ("A dog. " + "and then the dog runs on " * 12, False, Outcome.DEGENERATE),
    ],
)
def test_outcome(raw: str, ended: bool, outcome: Outcome) -> None:
    found, detail = classify(raw, ended=ended)
    assert found is outcome
    assert (detail == "") == (outcome is Outcome.OK)


def test_a_loop_is_named() -> None:
    assert repetition("one two three four " * 10) != ""
    assert repetition(DENSE) == ""
