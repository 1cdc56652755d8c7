"""Judge a video of a game: classify each cell, then check the states against the rules.

Legend: T frames, H height, W width, C channels (RGB), N cells, D values of one cell's picture, M looks.
"""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np

from worlds.color_lookup import check_layout
from worlds.grid.draw import covers, tile
from worlds.grid.rules import ACTIONS, CARRIED, KINDS, WALL, State, step, things_of
from worlds.grid.truth import FLOORS, GridWorld, layout, states_T
from worlds.palette import COLORS
from worlds.rasterize import blank
from worlds.styles import apply_style, undo_night

CELL_PX = 10
"""Size at which cells are classified."""
BLUR = 0.7
"""Sigma in pixels of a cell, put on pictures and looks alike, so that neither noise nor compression counts
much."""
RIM = 1
"""Of a cell's picture, where there are lines round things."""
CLEAR = 0.6
"""Share of frames that must show one colour for it to be that of what is carried."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredGame:
    """Result of the measurement."""

    floor: str
    states: tuple[State | None, ...]
    """What each frame shows; None where there is no agent. What is carried has its colour and, where it was
    seen to be picked up, its kind (else `key`)."""
    moves: int
    """Number of changes between consecutive frames."""
    legal: int
    """Number of changes that are one legal action."""


def judge(frames_THWC: np.ndarray, fps: float, world: GridWorld) -> dict[str, bool]:
    """Return, for each attribute, whether a video (RGB, uint8) agrees with `world`."""
    return compare(measure_game(frames_THWC), world)


def compare(found: MeasuredGame, world: GridWorld) -> dict[str, bool]:
    """Compare a measurement with `world`; of a single frame, ignore moves."""
    first = found.states[0]
    things = [] if first is None else things_of(first)
    asked = things_of(world.start)
    verdict = {
        "things": things == asked,
        "color": sorted(t.split()[0] for t in things) == sorted(t.split()[0] for t in asked),
        "floor": found.floor == world.floor,
    }
    if not world.moves:
        return verdict
    return verdict | {
        "legal_moves": found.legal == found.moves and None not in found.states,
        "goal_reached": goal_reached(found.states, world.goal, world.target),
    }


def measured_truth(world: GridWorld) -> MeasuredGame:
    """Return the ideal measurement of `world`."""
    states = states_T(world)
    return MeasuredGame(
        floor=world.floor, states=tuple(states), moves=len(world.actions), legal=len(world.actions)
    )


def goal_reached(states: Sequence[State | None], goal: str, target: str) -> bool:
    """Return whether the last state has what the first one lacked: the target held, or opened."""
    seen = [state for state in states if state is not None]
    if not seen or target not in things_of(seen[0]):
        return False
    last, color = seen[-1], target.split()[0]
    held = last.carrying.partition(" ")[0] == color
    if goal == "unlock":
        return f"{color} gate" in things_of(last)
    if target in things_of(last):
        return False
    return held if goal == "fetch" else not held


def measure_game(frames_THWC: np.ndarray) -> MeasuredGame:
    """Measure a video (RGB, uint8) in any style.

    Raises:
        ValueError: if the frames have another layout.
    """
    check_layout(frames_THWC)
    cells_TNSSC, rows, columns = _cells(undo_night(frames_THWC))
    short_px = min(frames_THWC.shape[1:3])
    first = {
        (floor, lines_px): _distances(cells_TNSSC[:1], floor, lines_px).min(axis=2).mean()
        for floor in FLOORS
        for lines_px in (0, short_px)
    }
    floor, lines_px = min(first, key=first.__getitem__)
    read = [_read(near_NM, rows, columns) for near_NM in _distances(cells_TNSSC, floor, lines_px)]
    return _follow(floor, _steady(read))


def _cells(frames_THWC: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Cut frames into cells; return their pictures, and how many rows and columns there are."""
    place = layout(frames_THWC.shape[2], frames_THWC.shape[1])
    rows, columns, side = place.rows, place.columns, place.cell_px
    grid_THWC = frames_THWC[
        :, place.top : place.top + rows * side, place.left : place.left + columns * side
    ].astype(np.float32)
    if side != CELL_PX:
        size = (columns * CELL_PX, rows * CELL_PX)
        grid_THWC = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in grid_THWC])
    cells = grid_THWC.reshape(-1, rows, CELL_PX, columns, CELL_PX, 3).swapaxes(2, 3)
    return cells.reshape(len(frames_THWC), rows * columns, CELL_PX, CELL_PX, 3), rows, columns


def _blurred(cells_NSSC: np.ndarray, lined: bool) -> np.ndarray:
    """Return blurred pictures of cells as vectors, without their rims where those may hold the lines round
    what is in the cells beside."""
    if lined:
        cells_NSSC = cells_NSSC[:, RIM:-RIM, RIM:-RIM]
    blurred = [cv2.GaussianBlur(np.ascontiguousarray(cell), (0, 0), BLUR) for cell in cells_NSSC]
    return np.array(blurred).reshape(len(cells_NSSC), -1)


def _names() -> list[tuple[str, str]]:
    """Return everything that a cell can show: (content, agent)."""
    names = [("", ""), (WALL, ""), *((f"{color} {kind}", "") for color in COLORS for kind in KINDS)]
    return names + [("", f"{facing} {color}") for facing in range(4) for color in ("", *COLORS)]


@cache
def _looks(floor: str, lines_px: int) -> np.ndarray:
    """Return blurred pictures of all names, as vectors.

    Args:
        lines_px: short side of a frame in which lines are drawn round things; 0 where there are none.
    """
    side = layout(lines_px, lines_px).cell_px if lines_px else CELL_PX
    pictures = [tile(content, floor, side, agent) for content, agent in _names()]
    if lines_px:
        pictures = [
            _lined(look, covers(look, pictures[0], content), pictures[0][0, 0], lines_px)
            for look, (content, _) in zip(pictures, _names(), strict=True)
        ]
    return _blurred(np.stack(pictures).astype(np.float32), bool(lines_px))


def _lined(look_SSC: np.ndarray, covered_SS: np.ndarray, ground_C: np.ndarray, short_px: int) -> np.ndarray:
    """Return a picture of a cell, by itself in a frame, with lines round what is in it."""
    side = len(look_SSC)
    there = (0, slice(side, 2 * side), slice(side, 2 * side))
    alone = blank(1, short_px, short_px, ground_C.tolist())
    alone.frames_THWC[there], alone.labels_THW[there] = look_SSC, covered_SS
    lined_SSC = apply_style(alone, "outline", 0)[there]
    return cv2.resize(lined_SSC, (CELL_PX, CELL_PX), interpolation=cv2.INTER_AREA)


def _distances(cells_TNSSC: np.ndarray, floor: str, lines_px: int) -> np.ndarray:
    """Return the mean squared distance of each cell from each look."""
    looks_MD = _looks(floor, lines_px)
    cells_TND = np.stack([_blurred(cells_NSSC, bool(lines_px)) for cells_NSSC in cells_TNSSC])
    cross_TNM = cells_TND @ looks_MD.T
    squared = (cells_TND**2).sum(axis=2)[..., None] + (looks_MD**2).sum(axis=1) - 2 * cross_TNM
    return squared / looks_MD.shape[1]


def _read(distance_NM: np.ndarray, rows: int, columns: int) -> State | None:
    """Return what one frame shows: the agent where a cell looks most like one; None if none does."""
    names = _names()
    is_agent_M = np.array([bool(agent) for _, agent in names])
    thing_N = np.where(is_agent_M, np.inf, distance_NM).min(axis=1)
    agent_N = np.where(is_agent_M, distance_NM, np.inf).min(axis=1)
    where = int(np.argmax(thing_N - agent_N))
    if agent_N[where] >= thing_N[where]:
        return None
    content_N = [names[m][0] for m in np.argmin(np.where(is_agent_M, np.inf, distance_NM), axis=1)]
    content_N[where] = ""
    facing, _, held = names[int(np.argmin(np.where(is_agent_M, distance_NM[where], np.inf)))][1].partition(
        " "
    )
    return State(
        cells=tuple(tuple(content_N[row * columns : (row + 1) * columns]) for row in range(rows)),
        row=where // columns,
        column=where % columns,
        facing=int(facing),
        carrying=f"{held} key" if held else "",
    )


def _steady(read: Sequence[State | None]) -> list[State | None]:
    """Give what is carried one colour from picking up to dropping: the one of most frames, if that is clear.

    In a cell of 10 pixels a single compressed frame can show a wrong one.
    """
    steady = list(read)
    runs = itertools.groupby(range(len(read)), lambda i: bool((state := read[i]) and state.carrying))
    for holds, run in runs:
        seen = [(i, state) for i in run if (state := read[i]) is not None]
        if not holds:
            continue
        held, count = Counter(state.carrying for _, state in seen).most_common(1)[0]
        if count >= CLEAR * len(seen):
            for index, state in seen:
                steady[index] = replace(state, carrying=held)
    return steady


def _follow(floor: str, read: Sequence[State | None]) -> MeasuredGame:
    """Check each change against the rules, and find out on the way what kind of thing is carried."""
    states: list[State | None] = []
    moves = legal = 0
    last: State | None = None
    for seen in read:
        if seen is None or last is None:
            moves += int(last is not None)
            last = seen if seen is not None else last
            states.append(seen)
            continue
        if not _alike(seen, last):
            moves += 1
            after = _explain(last, seen)
            legal += int(after is not None)
            last = after if after is not None else seen
        states.append(last)
    return MeasuredGame(floor=floor, states=tuple(states), moves=moves, legal=legal)


def _explain(before: State, seen: State) -> State | None:
    """Return the state that looks like `seen` after one action by the rules, or None."""
    color = before.carrying.partition(" ")[0]
    held = [before] if not color else [replace(before, carrying=f"{color} {kind}") for kind in CARRIED]
    held.sort(key=lambda state: state.carrying != before.carrying)
    for state in held:
        for action in ACTIONS:
            after = step(state, action)
            if after is not None and _alike(after, seen):
                return after
    return None


def _alike(one: State, other: State) -> bool:
    """Return whether two states look alike: the kind of what is carried cannot be seen."""
    held = [state.carrying.partition(" ")[0] for state in (one, other)]
    return held[0] == held[1] and replace(one, carrying="") == replace(other, carrying="")
