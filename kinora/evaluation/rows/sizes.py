"""Any size: what videos of shapes that were never trained lose against those that were."""

from collections.abc import Sequence
from dataclasses import replace

from kinora.evaluation.cases import Case, Outcome, Setup, column, in_group, number
from kinora.evaluation.figures import Figure, average, drop
from kinora.evaluation.rows.shapes import (
    as_it_is,
    judge_all,
    make_from_text,
    nothing_given,
    render,
    size_flags,
)

NAME = "sizes"
GOAL = 0.0
CHANCE = True
SIZES = ((96, 96), (128, 128), (112, 64), (64, 112), (160, 48), (192, 112), (256, 144), (144, 256))
"""(width, height) that are asked for where the model was not trained on them."""
make, judge, truth, with_given, given, flags = (
    make_from_text,
    judge_all,
    render,
    as_it_is,
    nothing_given,
    size_flags,
)


def cases(setup: Setup) -> list[Case]:
    """Return trained shapes, never-trained sizes, and trained sizes of about twice and half the duration."""
    never = [size for size in SIZES if size not in setup.sizes]
    found = number(NAME, "trained", setup.worlds(setup.few), setup.seed)
    found += number(NAME, "never trained", setup.worlds(setup.few, sizes=never), setup.seed)
    factor = setup.time_factor
    half = 1 + factor * max(1, (setup.num_frames - 1) // (2 * factor))
    durations = dict.fromkeys((half, 2 * setup.num_frames - 1))
    for frames in durations:
        few = max(1, setup.few // 2)
        fewer = replace(setup.vocabulary, counts=tuple(c for c in setup.vocabulary.counts if c < 3) or (1,))
        worlds = setup.worlds(few, num_frames=frames, vocabulary=fewer)
        found += number(NAME, f"{frames} frames", worlds, setup.seed)
    return found


def figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    """Return the share of right attributes at trained shapes, and what the others lose.

    Longer and shorter videos are held against the trained ones of as many things.
    """
    trained, never = in_group(outcomes, "trained"), in_group(outcomes, "never trained")
    found = [
        average("size_trained", column(trained, "score"), ceiling=column(trained, "score", "ceiling")),
        drop("size_drop", column(trained, "score"), column(never, "score"), goal=0.05),
    ]
    for group in dict.fromkeys(o.case.group for o in outcomes if o.case.group.endswith("frames")):
        own = in_group(outcomes, group)
        counts = {_count(outcome) for outcome in own}
        alike = [outcome for outcome in trained if _count(outcome) in counts]
        name = f"duration_drop_{group.split()[0]}"
        found.append(drop(name, column(alike, "score"), column(own, "score"), goal=0.05))
    sizes = dict.fromkeys((o.case.world.width, o.case.world.height) for o in never)
    for width, height in sizes:
        own = [o for o in never if (o.case.world.width, o.case.world.height) == (width, height)]
        ceiling = column(own, "score", "ceiling")
        found.append(average(f"size_{width}x{height}", column(own, "score"), ceiling=ceiling))
    return found


def _count(outcome: Outcome) -> int:
    return len(outcome.case.world.to_json()["things"])
