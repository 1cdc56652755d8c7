"""Edit a video by another prompt (SDEdit): what is asked for changes, the motion stays.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from kinora.evaluation.cases import Case, Given, Maker, Outcome, Setup, Verdict, column
from kinora.evaluation.figures import Figure, share
from kinora.evaluation.paths import same_path
from kinora.evaluation.rows.shapes import render
from trainer.sample.verbs import edit
from worlds import families
from worlds.palette import BACKGROUNDS, COLORS, SHAPES
from worlds.shapes import draw
from worlds.shapes.captions import short_caption
from worlds.shapes.truth import World
from worlds.split import is_unseen_pair

NAME = "edit"
GOAL = 0.75
CHANCE = True
STRENGTHS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
KINDS = ("color", "background", "shape")
"""What is changed, in turn."""
JUDGED = ("joint", "changed", "motion", "rest")


def cases(setup: Setup) -> list[Case]:
    """Return the same edits of one moving thing at each strength."""
    vocabulary = replace(setup.vocabulary.moving, counts=(1,))
    worlds = setup.worlds(setup.few, vocabulary=vocabulary)
    found: list[Case] = []
    for strength in STRENGTHS:
        for index, world in enumerate(worlds):
            changed = _changed(world, KINDS[index % len(KINDS)], Random(f"edit/{setup.seed}/{index}"))
            found.append(
                Case(
                    row=NAME,
                    group=f"strength {strength:g}",
                    index=index,
                    prompt=short_caption(changed, world.seed),
                    world=changed,
                    source=world,
                    seed=10_007 * setup.seed + index,
                    strength=strength,
                )
            )
    return found


def _changed(world: World, kind: str, rng: Random) -> World:
    """Return a world with another colour, background or shape."""
    if kind == "background":
        grounds = [name for name in BACKGROUNDS if name != world.background]
        return replace(world, background=rng.choice(grounds))
    (thing,) = world.things
    pairs = [(color, thing.shape) for color in COLORS] if kind == "color" else []
    pairs += [(thing.color, shape) for shape in SHAPES] if kind == "shape" else []
    others = [pair for pair in pairs if pair != (thing.color, thing.shape) and not is_unseen_pair(*pair)]
    color, shape = rng.choice(others)
    return replace(world, things=(replace(thing, color=color, shape=shape),))


def make(cases: Sequence[Case], maker: Maker) -> list[np.ndarray]:
    """Return the edited videos."""
    conditions = [
        edit(
            maker.model,
            given(case)[0].frames_THWC,
            case.prompt,
            strength=case.strength or 0.0,
            seed=case.seed,
        )
        for case in cases
    ]
    return maker(conditions)


def given(case: Case) -> list[Given]:
    return [Given("--video", draw.render(_source(case)))]


def _source(case: Case) -> World:
    if case.source is None:
        raise ValueError(f"{case.name}: an edit needs a source")
    return case.source


truth = render


def with_given(case: Case, frames_THWC: np.ndarray) -> np.ndarray:
    return frames_THWC


def judge(case: Case, frames_THWC: np.ndarray) -> Verdict:
    """Return whether what was asked for changed, the motion stayed, and so did the rest."""
    return judge_edit(frames_THWC, draw.render(_source(case)), _source(case), case.world)


def judge_edit(
    frames_THWC: np.ndarray, source_THWC: np.ndarray, source: World, asked: object
) -> dict[str, bool]:
    """Judge an edited video.

    Args:
        source_THWC: the video that was edited, which shows `source`.
        asked: the world after the edit.
    """
    if not isinstance(asked, World):
        raise TypeError("this row edits worlds of `shapes`")
    verdict = families.judge(frames_THWC, source.fps, asked)
    changed = {"background"} if asked.background != source.background else set[str]()
    before, after = source.things[0], asked.things[0]
    changed |= {name for name in ("color", "shape") if getattr(before, name) != getattr(after, name)}
    done = all(verdict[name] for name in changed)
    moves = verdict["direction"] and verdict["speed"] and same_path(frames_THWC, source_THWC)
    rest = all(verdict[name] for name in {"background", "color", "shape", "count"} - changed)
    return {"changed": done, "motion": moves, "rest": rest, "joint": done and moves}


def flags(case: Case) -> list[str]:
    return [f"--strength {case.strength:g}"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Best:
    """The best strength, chosen on one half of the edits and judged on the other, both ways."""

    strengths: tuple[float, float]
    joint: list[bool]
    chance: list[bool]
    ceiling: list[bool]


def best_strength(outcomes: Sequence[Outcome]) -> Best:
    """Choose the strength on the edits of even index for those of odd index, and the other way round.

    The best of several shares on the same edits would be too good.
    """
    chosen: list[float] = []
    judged: list[Outcome] = []
    for half in (0, 1):
        fit = [outcome for outcome in outcomes if outcome.case.index % 2 != half]
        held = [outcome for outcome in outcomes if outcome.case.index % 2 == half]
        strengths = sorted({outcome.case.strength or 0.0 for outcome in outcomes})
        best = max(strengths, key=lambda strength: (_joint(fit, strength), -strength))
        chosen.append(best)
        judged += [outcome for outcome in held if outcome.case.strength == best]
    return Best(
        strengths=(chosen[0], chosen[1]),
        joint=column(judged, "joint"),
        chance=column(judged, "joint", "chance"),
        ceiling=column(judged, "joint", "ceiling"),
    )


def _joint(outcomes: Sequence[Outcome], strength: float) -> int:
    own = [outcome for outcome in outcomes if outcome.case.strength == strength]
    return sum(column(own, "joint"))


def figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    """Return the share at the best strength, then the curve."""
    best = best_strength(outcomes)
    found = [share("edit_joint", best.joint, goal=0.75, chance=best.chance, ceiling=best.ceiling)]
    for strength in sorted({outcome.case.strength or 0.0 for outcome in outcomes}):
        own = [outcome for outcome in outcomes if outcome.case.strength == strength]
        found += [share(f"edit_{name}_{strength:g}", column(own, name)) for name in JUDGED]
    return found
