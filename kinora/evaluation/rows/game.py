"""A digital world: from its first frame a game goes on by legal moves to the goal of the prompt.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np

from kinora.evaluation.cases import Case, Outcome, Setup, Verdict, column, number
from kinora.evaluation.figures import Figure, gain, ratio, ratio_of, share
from kinora.evaluation.rows.animate import flags, given, make, truth, with_given
from worlds.family import AnyWorld
from worlds.grid.judge import compare, goal_reached, measure_game
from worlds.grid.rules import ACTIONS, State, step
from worlds.grid.truth import GridWorld, states_T

__all__ = ["cases", "figures", "flags", "given", "judge", "make", "truth", "with_given"]

NAME = "game"
GOAL = 0.95
CHANCE = False


def cases(setup: Setup) -> list[Case]:
    """Return games; the first frame is given."""
    worlds = setup.worlds_of_family("grid", setup.samples)
    return number(NAME, "game", worlds, setup.seed)


def judge(case: Case, frames_THWC: np.ndarray) -> Verdict:
    """Return the moves and the legal ones, whether the goal is reached, and whether random moves reach it."""
    world, measured = _grid(case.world), measure_game(frames_THWC)
    verdict = compare(measured, world)
    return {
        "goal": verdict["goal_reached"],
        "random_goal": goal_reached(random_states_T(world), world.goal, world.target),
        "all_legal": verdict["legal_moves"],
        "plays": measured.moves > 0,
        "moves": float(measured.moves),
        "legal": float(measured.legal),
    }


def _grid(world: AnyWorld) -> GridWorld:
    if not isinstance(world, GridWorld):
        raise TypeError(f"{world.family}: this row judges worlds of `grid`")
    return world


def random_states_T(world: GridWorld) -> list[State]:
    """Return the state of each frame where each action is drawn from the legal ones, for the whole video."""
    rng, state, actions = Random(f"game/random/{world.seed}"), world.start, list[str]()
    for _ in range((world.num_frames - 1) // world.hold):
        after = {action: found for action in ACTIONS if (found := step(state, action)) is not None}
        actions.append(rng.choice([*after]))
        state = after[actions[-1]]
    return states_T(replace(world, actions=tuple(actions)))


def figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    """Return the share of all moves that are legal, and of goals that are reached, against random moves.

    Chance of `game_goal` is the random policy.
    """
    reached, by_chance = column(outcomes, "goal"), column(outcomes, "random_goal")
    legal, moves = (column(outcomes, name, "ceiling") for name in ("legal", "moves"))
    found = [
        ratio(
            "game_legal_moves",
            column(outcomes, "legal"),
            column(outcomes, "moves"),
            goal=0.95,
            ceiling=ratio_of(legal, moves) if legal else None,
        ),
        share("game_goal", reached, goal=0.5, chance=by_chance, ceiling=column(outcomes, "goal", "ceiling")),
        gain("game_goal_over_random", by_chance, reached),
    ]
    for name in ("all_legal", "plays"):
        ceiling = column(outcomes, name, "ceiling")
        found.append(share(f"game_{name}", column(outcomes, name), ceiling=ceiling))
    return found
