"""The exact content of a game on a grid: the initial state and the actions of the agent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from worlds.family import Shot
from worlds.grid.rules import State, play

FLOORS = ("black", "navy", "brown")
"""Backgrounds with enough contrast to all colours, gray walls and a white agent."""
GOALS = ("unlock", "fetch", "open")
CELLS = 6
"""Cells along the short side of the frame."""
MAX_CELLS = 12
"""Maximum number of cells along the long side; the rest of the frame is wall."""
MIN_CELL_PX = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Position of the cells in a frame, in pixels."""

    rows: int
    columns: int
    cell_px: int
    top: int
    left: int


@dataclass(frozen=True, kw_only=True, slots=True)
class GridWorld(Shot):
    """One shot of a game that an expert plays to its goal. A single frame shows the initial state."""

    family: Literal["grid"] = "grid"
    seed: int
    style: str
    floor: str
    """One of `FLOORS`."""
    goal: str
    """One of `GOALS`."""
    target: str
    """The door to unlock, the thing to fetch or the box to open, such as `yellow door`."""
    start: State
    actions: tuple[str, ...]
    hold: int
    """Number of frames per state; the last state is held until the end."""
    width: int
    height: int
    fps: float
    num_frames: int

    @property
    def color(self) -> str:
        """Colour of the target."""
        return self.target.split()[0]

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "GridWorld":
        """Return the world of a `to_json` result."""
        return cls(
            **{**fields, "start": State.from_json(fields["start"]), "actions": tuple(fields["actions"])}
        )


def layout(width: int, height: int) -> Layout:
    """Return the position of the cells in a frame.

    Raises:
        ValueError: if cells would be smaller than `MIN_CELL_PX`.
    """
    cell_px = min(width, height) // CELLS
    if cell_px < MIN_CELL_PX:
        raise ValueError(
            f"a grid of {CELLS} cells does not fit in {width}x{height} pixels: use a short side of at least "
            f"{CELLS * MIN_CELL_PX}"
        )
    rows, columns = min(height // cell_px, MAX_CELLS), min(width // cell_px, MAX_CELLS)
    return Layout(
        rows=rows,
        columns=columns,
        cell_px=cell_px,
        top=(height - rows * cell_px) // 2,
        left=(width - columns * cell_px) // 2,
    )


def states_T(world: GridWorld) -> list[State]:
    """Return the state of each frame."""
    states = play(world.start, world.actions)
    return [states[min(index // world.hold, len(states) - 1)] for index in range(world.num_frames)]


def tasks(goal: str, target: str) -> tuple[tuple[str, str], ...]:
    """Return the subgoals as (action, thing) pairs."""
    if goal == "unlock":
        return ("pick up", f"{target.split()[0]} key"), ("toggle", target)
    return (("pick up" if goal == "fetch" else "toggle", target),)


def unobservable(world: GridWorld, first: int, end: int) -> str:
    """Return why frames [first, end) do not show all moves; empty if they do."""
    return "" if first < world.hold and end > world.hold * len(world.actions) else "moves are missing"
