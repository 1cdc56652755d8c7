"""Parse captions of the family `grid` into claims."""

import re
from collections.abc import Iterator
from functools import cache, partial

from worlds.caption_parser import CaptionParser, TemplateMatch, TemplateRule
from worlds.family import Claim
from worlds.grid.captions import (
    ENDS,
    FACING,
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
"""Actions of each phrase. Shortest plans turn around by two left turns."""


def parse_claims(text: str) -> frozenset[Claim]:
    """Return the claims of a caption in the terms of `worlds.grid.captions.claims`."""
    return _parser().claims(text)


@cache
def _parser() -> CaptionParser:
    rules = [
        TemplateRule(templates=(SHORT_STILL,), short=True),
        TemplateRule(templates=(*OPENING, STILL_OPENING, *THINGS)),
        TemplateRule(templates=PLAY, claims=_play_claims),
        TemplateRule(templates=(*STILL_MANNER, FACING), claims=_facing_claims),
    ]
    for goal, missions in MISSIONS.items():
        missions = tuple(text.replace("{target}", "{name}") for text in missions)
        short, dense = (
            tuple(text.replace("{mission}", mission) for text in texts for mission in missions)
            for texts in (SHORT, MISSION)
        )
        ends = tuple(text.replace("{target}", "{name}") for text in ENDS[goal])
        rules += [
            TemplateRule(templates=short, claims=partial(_goal_claims, goal), short=True),
            TemplateRule(templates=dense, claims=partial(_goal_claims, goal)),
            TemplateRule(templates=ends, claims=partial(_reached_claims, goal)),
        ]
    return CaptionParser(rules, {"kind": KINDS}, {"are": ("is", "are"), "facing": FACING_NAMES})


def _goal_claims(goal: str, matched: TemplateMatch) -> list[Claim]:
    """Return the goal claim about the named thing; about the door if a key and a door are named."""
    doors = [f"{color} door" for color in matched.slots.get("color", ())[-1:]]
    return [Claim(subject=name, attribute="goal", value=goal) for name in matched.slots.get("name", doors)]


def _reached_claims(goal: str, matched: TemplateMatch) -> list[Claim]:
    return [*_goal_claims(goal, matched), Claim(subject="agent", attribute="goal reached", value="yes")]


def _facing_claims(matched: TemplateMatch) -> list[Claim]:
    return [
        Claim(subject="agent", attribute="first facing", value=facing)
        for facing in matched.slots.get("facing", ())
    ]


def _play_claims(matched: TemplateMatch) -> Iterator[Claim]:
    yield from _facing_claims(matched)
    (text,) = matched.slots["actions"]
    steps = [step for part in re.split(r", | and ", text) for step in _steps(part)]
    yield Claim(subject="agent", attribute="actions", value=", ".join(steps))


def _steps(phrase: str) -> list[str]:
    """Return the actions of a phrase; an unknown phrase is returned as it is."""
    for pattern, action in STEPS.items():
        if match := re.fullmatch(pattern, phrase):
            if action == "forward":
                return [action] * int(match[1])
            return [action.format(*match.groups())]
    return [phrase]
