"""Parse captions of the family `grid` into claims."""

import re
from collections.abc import Iterator
from functools import cache, partial

from worlds.caption_parser import CaptionParser, TemplateMatch, TemplateRule
from worlds.family import Claim
from worlds.grid.captions import (
    ENDS,
    MISSION,
    MISSIONS,
    OPENING,
    PLAY,
    SHORT,
    SHORT_STILL,
    STILL_MANNER,
    STILL_OPENING,
    THINGS,
)
from worlds.grid.rules import FACING_NAMES, KINDS

STEPS = {
    r"goes (\d+) cells? forward": "forward",
    r"turns around": "turn left, turn left",
    r"turns (left|right)": "turn {}",
    r"picks up the .+": "pick up",
    r"opens the .+": "toggle",
}
"""What each way to tell an action means; to turn around is told of the shortest plans, which turn left."""


def parse_claims(text: str) -> frozenset[Claim]:
    """Return the claims of a caption in the terms of `worlds.grid.captions.claims`."""
    return _reader().claims(text)


@cache
def _reader() -> CaptionParser:
    rules = [
        TemplateRule(templates=(SHORT_STILL,), short=True),
        TemplateRule(templates=(*OPENING, STILL_OPENING, *THINGS)),
        TemplateRule(templates=PLAY, claims=_played),
        TemplateRule(templates=STILL_MANNER, claims=_faced),
    ]
    for goal, missions in MISSIONS.items():
        missions = tuple(text.replace("{target}", "{name}") for text in missions)
        short, dense = (
            tuple(text.replace("{mission}", mission) for text in texts for mission in missions)
            for texts in (SHORT, MISSION)
        )
        ends = tuple(text.replace("{target}", "{name}") for text in ENDS[goal])
        rules += [
            TemplateRule(templates=short, claims=partial(_meant, goal), short=True),
            TemplateRule(templates=dense, claims=partial(_meant, goal)),
            TemplateRule(templates=ends, claims=partial(_reached, goal)),
        ]
    return CaptionParser(rules, {"kind": KINDS}, {"are": ("is", "are"), "facing": FACING_NAMES})


def _meant(goal: str, matched: TemplateMatch) -> list[Claim]:
    """Return what the goal is, and of which thing: the door, where a key is named beside it."""
    doors = [f"{color} door" for color in matched.slots.get("color", ())[-1:]]
    return [Claim(subject=name, attribute="goal", value=goal) for name in matched.slots.get("name", doors)]


def _reached(goal: str, matched: TemplateMatch) -> list[Claim]:
    return [*_meant(goal, matched), Claim(subject="agent", attribute="goal reached", value="yes")]


def _faced(matched: TemplateMatch) -> list[Claim]:
    return [
        Claim(subject="agent", attribute="first facing", value=facing)
        for facing in matched.slots.get("facing", ())
    ]


def _played(matched: TemplateMatch) -> Iterator[Claim]:
    yield from _faced(matched)
    (told,) = matched.slots["actions"]
    steps = [step for part in re.split(r", | and ", told) for step in _steps(part)]
    yield Claim(subject="agent", attribute="actions", value=", ".join(steps))


def _steps(told: str) -> list[str]:
    """Return the actions that a few words tell; the words themselves, if they tell none."""
    for pattern, action in STEPS.items():
        if match := re.fullmatch(pattern, told):
            if action == "forward":
                return [action] * int(match[1])
            return [action.format(*match.groups())]
    return [told]
