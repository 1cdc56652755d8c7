"""The exact content of a game on a grid: the initial state and the actions of the agent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from worlds.family import Shot
from worlds.grid.rules import State, play

FLOORS = ("black", "navy", "brown")
"""Backgrounds on which all colours of things, gray walls and a white agent can be told apart."""
GOALS = ("unlock", "fetch", "open")
CELLS = 6
"""Cells along the short side of the frame."""
MOST_CELLS = 12
"""Cells along the long side, at most; beyond them there is only wall."""
SMALLEST_CELL_PX = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Where the cells are in a frame."""

    rows: int
    columns: int
    cell_px: int
    top: int
    left: int


@dataclass(frozen=True, kw_only=True, slots=True)
class GridWorld(Shot):
    """One shot of a game that an expert plays to its goal; of a single frame, the initial state."""

    family: Literal["grid"] = "grid"
    seed: int
    style: str
    floor: str
    """One of `FLOORS`."""
    goal: str
    """One of `GOALS`."""
    target: str
    """The door to unlock, thing to fetch or box to open, such as `yellow door`."""
    start: State
    actions: tuple[str, ...]
    hold: int
    """Number of frames per state; the last one stays until the end."""
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
    """Return where the cells are in a frame.

    Raises:
        ValueError: if cells would be too small to be read.
    """
    cell_px = min(width, height) // CELLS
    if cell_px < SMALLEST_CELL_PX:
        raise ValueError(
            f"a grid of {CELLS} cells does not fit in {width}x{height} pixels: use a short side of at least "
            f"{CELLS * SMALLEST_CELL_PX}"
        )
    rows, columns = min(height // cell_px, MOST_CELLS), min(width // cell_px, MOST_CELLS)
    return Layout(
        rows=rows,
        columns=columns,
        cell_px=cell_px,
        top=(height - rows * cell_px) // 2,
        left=(width - columns * cell_px) // 2,
    )


def states_T(world: GridWorld) -> list[State]:
    """Return the state that each frame shows."""
    states = play(world.start, world.actions)
    return [states[min(index // world.hold, len(states) - 1)] for index in range(world.num_frames)]


def tasks(goal: str, target: str) -> tuple[tuple[str, str], ...]:
    """Return the subgoals of an expert, as (action, thing) pairs."""
    if goal == "unlock":
        return ("pick up", f"{target.split()[0]} key"), ("toggle", target)
    return (("pick up" if goal == "fetch" else "toggle", target),)


def unobservable(world: GridWorld, first: int, end: int) -> str:
    """Return why frames [first, end) miss a move; empty if they do not."""
    return "" if first < world.hold and end > world.hold * len(world.actions) else "moves are missing"
