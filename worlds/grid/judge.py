"""Judge a video of a game: classify each cell, then check state changes against the rules.

Legend: T frames, H height, W width, C channels (RGB), N cells, S side of a cell, D values of a cell, M cell
templates.
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
"""Side of a cell at which it is classified."""
BLUR = 0.7
"""Sigma in pixels of the blur of cells and templates, against noise and compression artifacts."""
RIM = 1
"""Pixels cropped from each side of a cell in the outline style."""
MIN_AGREEMENT = 0.6
"""Minimum fraction of frames that agree on the colour of a carried thing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredGame:
    """Result of the measurement."""

    floor: str
    states: tuple[State | None, ...]
    """State of each frame; None without an agent. The kind of a carried thing is `key` unless the video shows
    how it was picked up."""
    moves: int
    """Number of changes between consecutive frames."""
    legal: int
    """Number of those changes that are one legal action."""


def judge(frames_THWC: np.ndarray, fps: float, world: GridWorld) -> dict[str, bool]:
    """Return, for each attribute, whether a video (RGB, uint8) agrees with `world`."""
    return compare(measure_game(frames_THWC), world)


def compare(measured: MeasuredGame, world: GridWorld) -> dict[str, bool]:
    """Compare a measurement with `world`; ignore moves in a single frame."""
    first = measured.states[0]
    things = [] if first is None else things_of(first)
    expected = things_of(world.start)
    verdict = {
        "things": things == expected,
        "color": sorted(t.split()[0] for t in things) == sorted(t.split()[0] for t in expected),
        "floor": measured.floor == world.floor,
    }
    if not world.moves:
        return verdict
    return verdict | {
        "legal_moves": measured.legal == measured.moves and None not in measured.states,
        "goal_reached": goal_reached(measured.states, world.goal, world.target),
    }


def measured_truth(world: GridWorld) -> MeasuredGame:
    """Return the ideal measurement of `world`."""
    states = states_T(world)
    return MeasuredGame(
        floor=world.floor, states=tuple(states), moves=len(world.actions), legal=len(world.actions)
    )


def goal_reached(states: Sequence[State | None], goal: str, target: str) -> bool:
    """Return whether the target is present in the first state and carried or open in the last one."""
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
    states = [
        _read_state(distance_NM, rows, columns) for distance_NM in _distances(cells_TNSSC, floor, lines_px)
    ]
    return _track_carried(floor, _smooth_carried(states))


def _cells(frames_THWC: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Split frames into cells_TNSSC (float32); return them and the number of rows and columns."""
    grid = layout(frames_THWC.shape[2], frames_THWC.shape[1])
    rows, columns, side = grid.rows, grid.columns, grid.cell_px
    grid_THWC = frames_THWC[
        :, grid.top : grid.top + rows * side, grid.left : grid.left + columns * side
    ].astype(np.float32)
    if side != CELL_PX:
        size = (columns * CELL_PX, rows * CELL_PX)
        grid_THWC = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in grid_THWC])
    cells = grid_THWC.reshape(-1, rows, CELL_PX, columns, CELL_PX, 3).swapaxes(2, 3)
    return cells.reshape(len(frames_THWC), rows * columns, CELL_PX, CELL_PX, 3), rows, columns


def _blurred(cells_NSSC: np.ndarray, outlined: bool) -> np.ndarray:
    """Return blurred cells as vectors, cropped by `RIM` in the outline style."""
    if outlined:
        cells_NSSC = cells_NSSC[:, RIM:-RIM, RIM:-RIM]
    blurred = [cv2.GaussianBlur(np.ascontiguousarray(cell), (0, 0), BLUR) for cell in cells_NSSC]
    return np.array(blurred).reshape(len(cells_NSSC), -1)


def _contents() -> list[tuple[str, str]]:
    """Return all possible (content, agent) pairs of a cell."""
    contents = [("", ""), (WALL, ""), *((f"{color} {kind}", "") for color in COLORS for kind in KINDS)]
    return contents + [("", f"{facing} {color}") for facing in range(4) for color in ("", *COLORS)]


@cache
def _templates(floor: str, lines_px: int) -> np.ndarray:
    """Return a blurred template vector of each pair of `_contents`.

    Args:
        lines_px: short side of a frame in the outline style; 0 for other styles.
    """
    side = layout(lines_px, lines_px).cell_px if lines_px else CELL_PX
    pictures = [tile(content, floor, side, agent) for content, agent in _contents()]
    if lines_px:
        pictures = [
            _outline(picture, covers(picture, pictures[0], content), pictures[0][0, 0], lines_px)
            for picture, (content, _) in zip(pictures, _contents(), strict=True)
        ]
    return _blurred(np.stack(pictures).astype(np.float32), bool(lines_px))


def _outline(cell_SSC: np.ndarray, covered_SS: np.ndarray, ground_C: np.ndarray, short_px: int) -> np.ndarray:
    """Apply the outline style to a cell that is alone in a frame of `short_px`."""
    side = len(cell_SSC)
    window = (0, slice(side, 2 * side), slice(side, 2 * side))
    frame = blank(1, short_px, short_px, ground_C.tolist())
    frame.frames_THWC[window], frame.labels_THW[window] = cell_SSC, covered_SS
    outlined_SSC = apply_style(frame, "outline", 0)[window]
    return cv2.resize(outlined_SSC, (CELL_PX, CELL_PX), interpolation=cv2.INTER_AREA)


def _distances(cells_TNSSC: np.ndarray, floor: str, lines_px: int) -> np.ndarray:
    """Return the mean squared distance of each cell from each template."""
    templates_MD = _templates(floor, lines_px)
    cells_TND = np.stack([_blurred(cells_NSSC, bool(lines_px)) for cells_NSSC in cells_TNSSC])
    cross_TNM = cells_TND @ templates_MD.T
    squared = (cells_TND**2).sum(axis=2)[..., None] + (templates_MD**2).sum(axis=1) - 2 * cross_TNM
    return squared / templates_MD.shape[1]


def _read_state(distance_NM: np.ndarray, rows: int, columns: int) -> State | None:
    """Classify the cells of one frame. Return None if no cell is closer to an agent than to a thing."""
    contents = _contents()
    is_agent_M = np.array([bool(agent) for _, agent in contents])
    thing_N = np.where(is_agent_M, np.inf, distance_NM).min(axis=1)
    agent_N = np.where(is_agent_M, distance_NM, np.inf).min(axis=1)
    agent_cell = int(np.argmax(thing_N - agent_N))
    if agent_N[agent_cell] >= thing_N[agent_cell]:
        return None
    content_N = [contents[m][0] for m in np.argmin(np.where(is_agent_M, np.inf, distance_NM), axis=1)]
    content_N[agent_cell] = ""
    facing, _, color = contents[int(np.argmin(np.where(is_agent_M, distance_NM[agent_cell], np.inf)))][
        1
    ].partition(" ")
    return State(
        cells=tuple(tuple(content_N[row * columns : (row + 1) * columns]) for row in range(rows)),
        row=agent_cell // columns,
        column=agent_cell % columns,
        facing=int(facing),
        carrying=f"{color} key" if color else "",
    )


def _smooth_carried(states: Sequence[State | None]) -> list[State | None]:
    """Replace the carried colour from pick-up to drop by the most common one, if enough frames agree.

    Compression can change the colour of a 10-pixel cell in a single frame.
    """
    smoothed = list(states)
    runs = itertools.groupby(range(len(states)), lambda i: bool((state := states[i]) and state.carrying))
    for is_carrying, run in runs:
        carriers = [(i, state) for i in run if (state := states[i]) is not None]
        if not is_carrying:
            continue
        carried, count = Counter(state.carrying for _, state in carriers).most_common(1)[0]
        if count >= MIN_AGREEMENT * len(carriers):
            for index, state in carriers:
                smoothed[index] = replace(state, carrying=carried)
    return smoothed


def _track_carried(floor: str, states: Sequence[State | None]) -> MeasuredGame:
    """Check each change against the rules and infer the kind of the carried thing."""
    tracked: list[State | None] = []
    moves = legal = 0
    last: State | None = None
    for state in states:
        if state is None or last is None:
            moves += int(last is not None)
            last = state if state is not None else last
            tracked.append(state)
            continue
        if not _looks_equal(state, last):
            moves += 1
            after = _explain(last, state)
            legal += int(after is not None)
            last = after if after is not None else state
        tracked.append(last)
    return MeasuredGame(floor=floor, states=tuple(tracked), moves=moves, legal=legal)


def _explain(before: State, observed: State) -> State | None:
    """Return the state after one legal action that looks equal to `observed`, or None."""
    color = before.carrying.partition(" ")[0]
    candidates = [before] if not color else [replace(before, carrying=f"{color} {kind}") for kind in CARRIED]
    candidates.sort(key=lambda state: state.carrying != before.carrying)
    for state in candidates:
        for action in ACTIONS:
            after = step(state, action)
            if after is not None and _looks_equal(after, observed):
                return after
    return None


def _looks_equal(first: State, second: State) -> bool:
    """Return whether two states are equal except for the kind of the carried thing, which is not visible."""
    colors = [state.carrying.partition(" ")[0] for state in (first, second)]
    return colors[0] == colors[1] and replace(first, carrying="") == replace(second, carrying="")
