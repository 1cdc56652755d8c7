"""Balanced prompts: every value equally often, held-out pairs apart, and chance as arithmetic says."""

import itertools
from collections import Counter
from math import comb
from random import Random

import pytest

from kinora.evaluation.balanced import Deck, Vocabulary, balanced_worlds
from worlds.palette import BACKGROUNDS, COLORS, MOTIONS, SHAPES, SPEEDS
from worlds.shapes.judge import compare
from worlds.shapes.measure import measured_truth
from worlds.split import UNSEEN_PAIRS, is_unseen_pair

SIZES = ((64, 64), (80, 48), (48, 80))


def worlds_of(n, kind="seen", **vocabulary):
    return balanced_worlds(
        n,
        seed=3,
        sizes=SIZES,
        num_frames=17,
        fps=8.0,
        vocabulary=Vocabulary(**vocabulary),
        kind=kind,
    )


SEEN = worlds_of(216)
THINGS = [thing for world in SEEN for thing in world.things]


def counts(values):
    return Counter(values)


def test_every_value_is_equally_often_there():
    assert counts(len(world.things) for world in SEEN) == dict.fromkeys((1, 2, 3), 72)
    assert counts(world.background for world in SEEN) == dict.fromkeys(BACKGROUNDS, 36)
    assert counts((world.width, world.height) for world in SEEN) == dict.fromkeys(SIZES, 72)
    for values, drawn in [
        (COLORS, counts(thing.color for thing in THINGS)),
        (SHAPES, counts(thing.shape for thing in THINGS)),
        (MOTIONS, counts(thing.direction for thing in THINGS)),
        (SPEEDS, counts(thing.speed for thing in THINGS if thing.speed)),
    ]:
        assert set(drawn) == set(values)
        assert max(drawn.values()) - min(drawn.values()) <= 4, drawn


def test_worlds_are_deterministic():
    assert worlds_of(6) == SEEN[:6]


def test_held_out_pairs_are_apart():
    assert not any(is_unseen_pair(thing.color, thing.shape) for thing in THINGS)
    unseen = [thing for world in worlds_of(48, "unseen") for thing in world.things]
    drawn = counts((thing.color, thing.shape) for thing in unseen)
    assert set(drawn) == set(UNSEEN_PAIRS)
    assert max(drawn.values()) - min(drawn.values()) <= 2


def test_one_shape_of_each_color_is_held_out_and_two_colors_of_each_shape():
    assert sorted(color for color, _ in UNSEEN_PAIRS) == sorted(COLORS)
    assert counts(shape for _, shape in UNSEEN_PAIRS) == dict.fromkeys(SHAPES, 2)


def test_things_to_bind_differ_in_all():
    for world in worlds_of(48, "binding"):
        first, second = world.things
        assert first.color != second.color
        assert first.shape != second.shape
        assert first.direction != second.direction


def test_what_the_model_does_not_know_is_not_asked_for():
    worlds = worlds_of(24, motions=("left", "still"), speeds=("medium",), counts=(1,))
    things = [thing for world in worlds for thing in world.things]
    assert len(things) == 24
    assert {(thing.direction, thing.speed) for thing in things} == {("left", "medium"), ("still", None)}
    assert {thing.direction for world in worlds_of(8, "binding", motions=("left",)) for thing in world.things}
    assert Vocabulary(motions=("left", "still")).moving.motions == ("left",)
    with pytest.raises(ValueError, match="counts"):
        Vocabulary(counts=(4,))


def test_a_deck_draws_each_value_equally_often_around_what_is_avoided():
    deck = Deck("abc", Random(0))
    drawn = [deck.draw() for _ in range(30)]
    assert counts(drawn) == dict.fromkeys("abc", 10)
    assert deck.draw(avoid="ab") == "c"
    with pytest.raises(ValueError, match="no value is left"):
        deck.draw(avoid="abc")


def test_chance_of_shuffled_truth_is_what_arithmetic_says():
    """Every prompt against the truth of every other."""
    pairs = list(itertools.permutations(SEEN, 2))
    verdicts = [compare(measured_truth(shown), asked) for asked, shown in pairs]
    n = len(SEEN)

    def chance(attribute):
        judged = [right for verdict in verdicts if (right := getattr(verdict, attribute)) is not None]
        return sum(judged) / len(judged)

    assert chance("count") == pytest.approx((n / 3 - 1) / (n - 1))
    assert chance("background") == pytest.approx((n / 6 - 1) / (n - 1))
    # k asked colours are among the m shown of 8, each k and m from 1 to 3 equally often
    colors = [comb(8 - k, m - k) / comb(8, m) for k in (1, 2, 3) for m in (1, 2, 3) if m >= k]
    assert chance("color") == pytest.approx(sum(colors) / 9, abs=0.012)
    single = [len(asked.things + shown.things) == 2 for asked, shown in pairs]
    one = list(itertools.compress(verdicts, single))
    for attribute, values in [("color", 8), ("shape", 4), ("direction", 9)]:
        right = sum(bool(getattr(verdict, attribute)) for verdict in one)
        assert right / len(one) == pytest.approx(1 / values, abs=0.03), attribute
    for attribute in ("shape", "direction", "speed", "count", "color"):
        assert chance(attribute) < 0.35, attribute
