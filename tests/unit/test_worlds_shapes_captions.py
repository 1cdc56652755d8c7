"""Captions are true, complete, within the word limits, and parse to exactly their claims."""

import pytest

from worlds.family import Claim
from worlds.palette import BACKGROUNDS, COLORS
from worlds.shapes.captions import claims, dense_caption, short_caption, vocabulary
from worlds.shapes.family import sample_world
from worlds.shapes.grammar import parse_claims, prompt_truth
from worlds.shapes.judge import judge_caption
from worlds.shapes.truth import Requirements, Thing, ThingRequirements, World
from worlds.shapes.words import join_words, words

RED_CIRCLE = Thing(color="red", shape="circle", direction="left", speed="slow", size=0.3, start=(0.5, 0.5))
BLUE_STAR = Thing(color="blue", shape="star", direction="still", speed=None, size=0.3, start=(1.5, 0.5))


def world(*things, num_frames=12):
    return World(
        seed=0, things=things, background="gray", width=128, height=64, fps=12, num_frames=num_frames
    )


def sampled(count, num_frames=17):
    return [sample_world(i, width=64, height=64, fps=12, num_frames=num_frames) for i in range(count)]


@pytest.mark.parametrize("num_frames", [17, 1])
def test_captions_say_the_truth_and_all_of_it(num_frames):
    known, lengths = set(vocabulary()), []
    for seed, shown in enumerate(sampled(400, num_frames)):
        short, dense = short_caption(shown, seed), dense_caption(shown, seed)
        assert parse_claims(short) <= claims(shown)
        assert {c.subject for c in parse_claims(short)} == {c.subject for c in claims(shown)} - {"scene"}
        assert parse_claims(dense) == claims(shown)
        assert set(words(short)) | set(words(dense)) <= known
        assert (join_words(words(short)), join_words(words(dense))) == (short, dense)
        lengths.append(len(dense.split()))
    assert 60 <= min(lengths) <= max(lengths) <= 135
    assert len(known) < 300


def test_captions_vary_with_their_seed_alone():
    shown = world(RED_CIRCLE, BLUE_STAR)
    assert dense_caption(shown, 3) == dense_caption(shown, 3)
    assert len({dense_caption(shown, seed) for seed in range(50)}) > 45
    assert len({short_caption(shown, seed) for seed in range(200)}) >= 20


def test_colors_of_things_and_backgrounds_share_no_word():
    assert not set(COLORS) & set(BACKGROUNDS)


def test_an_empty_slate():
    assert short_caption(world(), 0) == "an empty gray background"
    assert Claim(subject="scene", attribute="count", value="0") in claims(world())
    with pytest.raises(ValueError, match="slate"):
        dense_caption(world(), 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", set()),
        ("the fox jumps over lazy dogs", set()),
        ("a red circle moves left", {("red circle", "color", "red"), ("red circle", "shape", "circle"),
                                     ("red circle", "direction", "left")}),
        ("a red circle moves up and a blue star is still",
         {("red circle", "color", "red"), ("red circle", "shape", "circle"),
          ("red circle", "direction", "up"), ("blue star", "color", "blue"),
          ("blue star", "shape", "star"), ("blue star", "direction", "still")}),
        ("A red circle. It moves up and to the left. It moves down.",
         {("red circle", "color", "red"), ("red circle", "shape", "circle"),
          ("red circle", "direction", "up-left"), ("red circle", "direction", "down")}),
        ("slowly a star moves down-right, a star", {("star", "shape", "star"), ("star", "speed", "slow"),
                                                    ("star", "direction", "down-right")}),
        ("gray gray white", {("background", "color", "gray"), ("background", "color", "white")}),
        ("there are two objects, only one object", {("scene", "count", "2"), ("scene", "count", "1")}),
        ("red moves left", set()),
    ],
)  # fmt: skip
def test_reading_what_anybody_wrote(text, expected):
    assert {(c.subject, c.attribute, c.value) for c in parse_claims(text)} == expected


def test_prompts():
    circle = ThingRequirements(color="red", shape="circle", direction="left")
    assert prompt_truth("a red circle moves left over a gray background") == Requirements(
        things=(circle,), background="gray", count=1
    )
    assert prompt_truth("a blue object quickly moves up and right") == Requirements(
        things=(ThingRequirements(color="blue", direction="up-right", speed="quick"),), count=1
    )
    assert prompt_truth("two objects over a navy background") == Requirements(background="navy", count=2)
    assert prompt_truth("a film about nothing we know") == Requirements()


def test_scoring_captions():
    shown = world(RED_CIRCLE, BLUE_STAR)
    whole = judge_caption(dense_caption(shown, 1), shown)
    assert (whole.precision, whole.recall, whole.unsupported, whole.missed) == (1.0, 1.0, (), ())
    # one wrong word is one wrong claim, whatever else is said of that thing
    wrong = judge_caption("a red square moves left slowly and a blue star stays still", shown)
    assert (wrong.num_claims, wrong.supported, wrong.num_true) == (7, 6, 9)
    assert wrong.unsupported == (Claim(subject="red square", attribute="shape", value="square"),)
    # a thing that is not there supports nothing, even where its colour is somebody's
    extra = judge_caption("a red circle moves left and a blue star is still and a red star moves left", shown)
    assert (extra.num_claims, extra.supported) == (9, 6)
    assert judge_caption("nothing of the kind", shown).precision is None


def test_swapped_attributes_lower_the_score():
    swapped = judge_caption(
        "a blue circle moves left slowly and a red star stays still", world(RED_CIRCLE, BLUE_STAR)
    )
    assert len(swapped.unsupported) == 2
