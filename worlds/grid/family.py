"""The family `grid`: an agent reaches a goal in a game with walls, keys, doors, boxes and balls."""

from random import Random

from worlds.family import check_not_empty
from worlds.grid.captions import claims, dense_caption, short_caption
from worlds.grid.draw import draw
from worlds.grid.grammar import parse_claims
from worlds.grid.judge import judge
from worlds.grid.rules import CARRIED, WALL, State, expert
from worlds.grid.truth import FLOORS, GOALS, GridWorld, layout, tasks, unobservable
from worlds.palette import COLORS

__all__ = [
    "claims",
    "combination",
    "dense_caption",
    "draw",
    "from_json",
    "judge",
    "parse_claims",
    "sample",
    "short_caption",
    "unobservable",
]

STEPS_PER_S = 4
"""Target number of actions per second; short shots are faster."""
MAX_PLAN = 16
"""Maximum number of actions, so that a caption can list them."""
MIN_PLAN = 2
TRIES = 300


def sample(
    seed: int, *, width: int, height: int, fps: float, num_frames: int, style: str = "flat"
) -> GridWorld:
    """Sample a world, deterministically.

    The goal is uniform: unlock a door with its key, fetch a thing, or open a box. All things differ in
    colour, except a door and its key.

    Raises:
        ValueError: for an empty world, cells too small to classify, or a shot too short to reach a goal.
    """
    check_not_empty(width=width, height=height, fps=fps, num_frames=num_frames)
    grid, rng = layout(width, height), Random(f"worlds/grid/{seed}")
    floor, goal = rng.choice(FLOORS), rng.choice(GOALS)
    max_actions = MAX_PLAN if num_frames == 1 else min(MAX_PLAN, num_frames - 1)
    for _ in range(TRIES):
        start, target = _start(rng, goal, grid.rows, grid.columns)
        plan = expert(start, tasks(goal, target))
        if plan is None or not MIN_PLAN <= len(plan) <= max_actions:
            continue
        return GridWorld(
            seed=seed,
            style=style,
            floor=floor,
            goal=goal,
            target=target,
            start=start,
            actions=tuple(plan),
            hold=max(1, min(num_frames // (len(plan) + 1), round(fps / STEPS_PER_S))),
            width=width,
            height=height,
            fps=fps,
            num_frames=num_frames,
        )
    raise ValueError(
        f"seed {seed}: no goal can be reached in {num_frames} frames: ask for 12 or more, or for 1"
    )


def _start(rng: Random, goal: str, rows: int, columns: int) -> tuple[State, str]:
    """Sample the initial state and the target."""
    cells = [[""] * columns for _ in range(rows)]
    colors = rng.sample(list(COLORS), 3)
    extras = [f"{color} {rng.choice(CARRIED)}" for color in colors[1 : 1 + rng.choice((1, 2))]]
    if goal == "unlock":
        wide = columns >= rows
        wall, gate = rng.randrange(2, max(rows, columns) - 1), rng.randrange(min(rows, columns))
        for along in range(min(rows, columns)):
            row, column = (along, wall) if wide else (wall, along)
            cells[row][column] = f"{colors[0]} door" if along == gate else WALL
        room = [(r, c) for r in range(rows) for c in range(columns) if (c if wide else r) < wall]
        target, item = f"{colors[0]} door", f"{colors[0]} key"
    else:
        for _ in range(rows * columns // 9):
            cells[rng.randrange(rows)][rng.randrange(columns)] = WALL
        room = [(r, c) for r in range(rows) for c in range(columns) if not cells[r][c]]
        target = item = f"{colors[0]} {rng.choice(CARRIED) if goal == 'fetch' else 'box'}"
    agent, *positions = rng.sample(room, 2 + len(extras))
    for thing, (row, column) in zip([item, *extras], positions, strict=True):
        cells[row][column] = thing
    lines = tuple(tuple(line) for line in cells)
    return State(cells=lines, row=agent[0], column=agent[1], facing=rng.randrange(4), carrying=""), target


def combination(world: GridWorld) -> str:
    """Return the combination for the held-out split, such as `unlock yellow door`."""
    return f"{world.goal} {world.target}"


from_json = GridWorld.from_json
