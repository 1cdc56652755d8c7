"""Expand prompts about simulated worlds without a model, by the dense caption of a world that fits."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import permutations
from random import Random
from typing import Any, cast

from captioner.upsample import Upsampled, kept_as_it_is
from manifests.digest import digest_parts
from worlds import families
from worlds.claims import score_claims
from worlds.family import AnyWorld, Claim
from worlds.palette import BACKGROUNDS, COLORS, MOTIONS, SHAPES, SPEEDS, STILL, STYLES
from worlds.shapes.family import place_things
from worlds.shapes.grammar import prompt_truth
from worlds.shapes.truth import Requirements, ThingRequirements

MAX_TRIES = 400
"""Worlds sampled until one fits a prompt."""
_SIDE, _FPS, _FRAMES = 64, 8.0, 24
_WORD = re.compile(r"[a-z]+")
_VOCABULARY_WORLDS = 64
_MAX_THINGS = 3


def upsample_worlds(prompts: Sequence[str], *, still: bool = False, seed: int = 0) -> list[Upsampled]:
    """Expand prompts in the words of the simulated worlds; others stay as they are, with a note.

    The result depends on a prompt and the seed alone. What a prompt leaves open is drawn.

    Args:
        still: expand to descriptions of single frames.
    """
    return [kept_as_it_is(prompt) or _expand(prompt, still=still, seed=seed) for prompt in prompts]


def _expand(prompt: str, *, still: bool, seed: int) -> Upsampled:
    readings = sorted(_readings(prompt), key=lambda each: -len(each[1]))
    if not readings:
        note = "kept as it was: it is not about the simulated worlds; give a model to expand it"
        return Upsampled(prompt=prompt, text=prompt, note=note)
    number = int(digest_parts("upsample", seed, prompt)[:8], 16)
    for family, claims in readings:
        if len(claims) < len(readings[0][1]):
            break
        world = _shapes(prompt, number, still=still) if family == "shapes" else None
        world = world or _sampled(family, claims, number, still=still)
        if world is not None:
            text = families.dense_caption(world, number)
            if not lost_claims(family, prompt, text):
                return Upsampled(prompt=prompt, text=text)
    note = "kept as it was: no simulated world was found that shows all of it"
    return Upsampled(prompt=prompt, text=prompt, note=note)


def lost_claims(family: str, prompt: str, text: str) -> tuple[Claim, ...]:
    """Return the claims of a prompt that a dense caption of the same family does not make."""
    claimed, made = families.parse_claims(family, prompt), families.parse_claims(family, text)
    return score_claims(claimed, made).unsupported


def _readings(prompt: str) -> Iterator[tuple[str, frozenset[Claim]]]:
    """Yield the families whose captions have all words of a prompt, with its claims in their terms."""
    words = {*_WORD.findall(prompt.lower())}
    for family in families.FAMILIES:
        if words <= _vocabulary(family) and (claims := families.parse_claims(family, prompt)):
            yield family, claims


@cache
def _vocabulary(family: str) -> frozenset[str]:
    """Return the words of the captions of a family."""
    texts: list[str] = []
    for seed in range(_VOCABULARY_WORLDS):
        still, style = seed % 8 == 7, STYLES[seed % len(STYLES)]
        try:
            world = _sample(family, seed, still=still, style=style)
        except ValueError:  # a family without stills
            continue
        texts += [families.short_caption(world, seed), families.dense_caption(world, seed)]
    return frozenset(_WORD.findall(" ".join(texts).lower()))


def _sampled(family: str, claims: frozenset[Claim], seed: int, *, still: bool) -> AnyWorld | None:
    """Return a sampled world of which all claims are true; None if none was found."""
    style = next((each.value for each in claims if each.attribute == "style"), "flat")
    try:
        for number in range(MAX_TRIES):
            sampled = _sample(family, seed + number, still=still, style=style)
            for world in _painted(sampled, claims):
                if claims <= families.claims(world):
                    return world
    except ValueError:  # a family without stills
        pass
    return None


def _painted(world: AnyWorld, claims: frozenset[Claim]) -> Iterator[AnyWorld]:
    """Yield a world with the colours and kinds of things that claims name, in every order.

    What happens in a world depends on neither, so that sampling has to find that alone.
    """
    named = {claim.subject: claim.value for claim in claims if claim.attribute == "color"}
    wanted = [name.split() for name in sorted(named) if len(name.split()) == 2]
    num_things = len([*_things(world.to_json())])
    if num_things and wanted and num_things != len(wanted):
        return
    for order in permutations(wanted):
        fields: dict[str, Any] = json.loads(json.dumps(world.to_json()))
        for thing, (color, noun) in zip(_things(fields), order, strict=False):
            thing["color"] = color
            thing |= {key: noun for key in ("shape", "kind") if key in thing}
        fields |= {key: named[key] for key in {*fields} & {*named}}
        with suppress(KeyError, ValueError):  # not every kind of thing goes with every family
            yield families.from_json(fields)


def _things(fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the things of a world's fields: objects with a colour."""
    if "color" in fields:
        yield fields
    for value in fields.values():
        for each in value if isinstance(value, list | tuple) else [value]:
            if isinstance(each, dict):
                yield from _things(cast(dict[str, Any], each))


def _sample(family: str, seed: int, *, still: bool, style: str) -> AnyWorld:
    frames = 1 if still else _FRAMES
    return families.sample(family, seed, width=_SIDE, height=_SIDE, fps=_FPS, num_frames=frames, style=style)


def _shapes(prompt: str, seed: int, *, still: bool) -> AnyWorld | None:
    """Return a world of flat shapes as a prompt asks for; None if there is none."""
    wanted = prompt_truth(prompt)
    rng = Random(f"upsample/{seed}")
    count = wanted.count or len(wanted.things) or 1
    if not len(wanted.things) <= count <= _MAX_THINGS:
        return None
    things = _complete(wanted, count, rng)
    claims = families.parse_claims("shapes", prompt)
    style = next((each.value for each in claims if each.attribute == "style"), "flat")
    background = wanted.background or rng.choice([*BACKGROUNDS])
    try:
        return place_things(
            seed,
            things,
            background=background,
            width=_SIDE,
            height=_SIDE,
            fps=_FPS,
            num_frames=1 if still else _FRAMES,
            style=style,
        )
    except ValueError:  # they touch wherever they start
        return None


def _complete(wanted: Requirements, count: int, rng: Random) -> list[ThingRequirements]:
    """Return `count` things of different colours: the wanted ones, with what they leave open drawn."""
    given = [*wanted.things, *[ThingRequirements()] * (count - len(wanted.things))]
    free = [color for color in COLORS if color not in {thing.color for thing in given}]
    rng.shuffle(free)
    things: list[ThingRequirements] = []
    for thing in given:
        direction = thing.direction or rng.choice([way for way in MOTIONS if way != STILL or not thing.speed])
        things.append(
            replace(
                thing,
                color=thing.color or free.pop(),
                shape=thing.shape or rng.choice(SHAPES),
                direction=direction,
                speed=thing.speed or rng.choice([*SPEEDS]),
            )
        )
    return things
