"""Captions of every family parse to exactly their claims, and altered captions to others."""

import itertools
import re

import pytest

from worlds import families
from worlds.claims import score_claims
from worlds.family import Claim
from worlds.palette import BACKGROUNDS, COLORS, FAMILY_NAMES, SHAPES, STYLES

STILL = ("shapes", "rooms", "canvas", "grid")
"""Families that support a single frame."""
SHORT = {
    "shapes": {"color", "shape"},
    "occlusion": {"color", "shape", "direction", "event", "style"},
    "physics": {"color", "shape", "direction", "event", "style"},
    "rooms": {"color", "kind", "motion", "style"},
    "canvas": {"color", "kind", "form", "direction", "bitten", "order", "style"},
    "grid": {"goal", "style"},
}
"""What a short caption says of all that it is true of."""
OTHER_WORDS = {
    name: other
    for names in (COLORS, BACKGROUNDS, SHAPES)
    for name, other in zip(names, [*names][1:], strict=False)
}
OTHER_WORDS |= {
    "left": "right",
    "right": "left",
    "up": "down",
    "down": "up",
    "upward": "downward",
    "top": "bottom",
}


def sampled(family, count, num_frames=24):
    return [
        families.sample(
            family, seed, width=64 + 32 * (seed % 2), height=64, fps=12,
            num_frames=num_frames, style=STYLES[seed % 4],
        )
        for seed in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_own_captions_are_read_exactly(family):
    for num_frames in (24, 1) if family in STILL else (24,):
        for seed, world in enumerate(sampled(family, 200, num_frames)):
            true = families.claims(world)
            dense, short = families.dense_caption(world, seed), families.short_caption(world, seed)
            assert families.parse_claims(family, dense) == true, dense
            said = families.parse_claims(family, short)
            assert said <= true, short
            assert {c for c in true if c.attribute in SHORT[family]} <= said or num_frames == 1, short
            score = score_claims(families.parse_claims(family, dense), true)
            assert (score.precision, score.recall, score.unsupported) == (1.0, 1.0, ())


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_one_wrong_word_makes_other_claims(family):
    """Every replaced colour, shape or direction changes the claims."""
    changed = 0
    for seed, world in enumerate(sampled(family, 40)):
        dense = families.dense_caption(world, seed)
        for word, other in OTHER_WORDS.items():
            wrong = re.sub(rf"\b{word}\b", other, dense)
            if wrong == dense or not _is_claimed(word, world):
                continue
            score = score_claims(families.parse_claims(family, wrong), families.claims(world))
            assert score.unsupported or score.missed, wrong
            changed += 1
    assert changed > 80


def _is_claimed(word, world):
    return any(re.search(rf"\b{word}\b", claim.value) for claim in families.claims(world))


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_the_caption_of_another_world_makes_its_claims(family):
    worlds = sampled(family, 30)
    for seed, (world, other) in enumerate(itertools.pairwise(worlds)):
        said = families.parse_claims(family, families.dense_caption(other, seed))
        assert said == families.claims(other) != families.claims(world)
        assert score_claims(said, families.claims(world)).precision < 1


@pytest.mark.parametrize("family", FAMILY_NAMES)
@pytest.mark.parametrize("text", ["", ".", "The fox jumps over lazy dogs. It is late"])
def test_what_says_nothing_claims_nothing(family, text):
    assert families.parse_claims(family, text) == frozenset()


@pytest.mark.parametrize(
    ("family", "text", "expected"),
    [
        ("physics", "A red circle falls onto a brown floor over gray.",
         {("red circle", "color", "red"), ("red circle", "shape", "circle"), ("scene", "event", "fall"),
          ("floor", "color", "brown"), ("background", "color", "gray")}),
        ("occlusion", "Something happens. The red star has five sharp points.",
         {("red star", "color", "red"), ("red star", "shape", "star")}),
        ("rooms",
         "the camera pans left past a red box, an orange ball and a blue ball on navy tiles at night",
         {("camera", "motion", "pan left"), ("floor", "color", "navy"), ("scene", "style", "night"),
          *((f"{c} {k}", a, v) for c, k in (("red", "box"), ("orange", "ball"), ("blue", "ball"))
            for a, v in (("color", c), ("kind", k)))}),
        ("canvas", "The brush goes counterclockwise once around to close the red circle.",
         {("red circle", "color", "red"), ("red circle", "form", "circle"),
          ("red circle", "direction", "counterclockwise")}),
        ("grid",
         "The arrow points up at first; then it turns around, goes 2 cells forward and picks up the red key.",
         {("agent", "first facing", "up"), ("red key", "color", "red"), ("red key", "kind", "key"),
          ("agent", "actions", "turn left, turn left, forward, forward, pick up")}),
    ],
)  # fmt: skip
def test_reading_what_anybody_wrote(family, text, expected):
    assert {(c.subject, c.attribute, c.value) for c in families.parse_claims(family, text)} == expected


def test_a_wrong_colour_is_one_false_claim():
    true = families.parse_claims("physics", "a red circle falls onto a brown floor over gray")
    said = families.parse_claims("physics", "a blue circle falls onto a brown floor over gray")
    score = score_claims(said, true)
    assert score.unsupported == (Claim(subject="blue circle", attribute="color", value="blue"),)
    assert (score.num_claims, score.supported, score.num_true) == (5, 4, 5)
