"""Draw a game on a grid, cell by cell.

Legend: T frames, H height, W width, C channels (RGB), S side of a cell.
"""

import cv2
import numpy as np

from worlds.family import Rendered
from worlds.grid.rules import WALL, State
from worlds.grid.truth import GridWorld, layout, states_T
from worlds.palette import BACKGROUNDS, COLORS

WALL_COLOR, BRICK_COLOR = (126, 126, 126), (100, 100, 100)
AGENT_COLOR = (246, 246, 246)
"""Colour of an agent that carries nothing, and of the tip of every agent."""
FINE_PX = 96
"""Minimum side of a supersampled cell; at least four times the final side."""


def draw(world: GridWorld) -> Rendered:
    """Render in the flat style.

    Labels: 1 for walls, then one for each thing in the order of the cells, then one for the agent with what
    it carries.
    """
    grid = layout(world.width, world.height)
    frames_THWC = np.empty((world.num_frames, world.height, world.width, 3), np.uint8)
    labels_THW = np.ones(frames_THWC.shape[:3], np.uint8)
    frames_THWC[:] = WALL_COLOR
    labels = _labels(world.start)
    tiles: dict[tuple[str, str], np.ndarray] = {}
    states, side = states_T(world), grid.cell_px
    empty_SSC = tile("", world.floor, side)
    for index, state in enumerate(states):
        if index:
            frames_THWC[index], labels_THW[index] = frames_THWC[index - 1], labels_THW[index - 1]
            if state is states[index - 1]:
                continue
        before = states[index - 1] if index else None
        for row, column in _changed(before, state):
            content, agent = state.cells[row][column], _agent(state, row, column)
            if (content, agent) not in tiles:
                tiles[content, agent] = tile(content, world.floor, side, agent)
            cell_SSC = tiles[content, agent]
            top, left = grid.top + row * side, grid.left + column * side
            window = (index, slice(top, top + side), slice(left, left + side))
            frames_THWC[window] = cell_SSC
            label = labels["agent"] if agent else labels[content.replace("gate", "door")]
            labels_THW[window] = np.where(covers(cell_SSC, empty_SSC, content), label, 0)
    return Rendered(frames_THWC, labels_THW)


def _labels(start: State) -> dict[str, int]:
    """Return the label of each cell content and of the agent."""
    things = dict.fromkeys(cell for line in start.cells for cell in line if cell not in ("", WALL))
    labels = {"": 0, WALL: 1} | {thing: label for label, thing in enumerate(things, start=2)}
    return labels | {"agent": len(labels)}


def _agent(state: State, row: int, column: int) -> str:
    """Return facing and colour of the agent in a cell, such as `0 yellow`; empty if it is elsewhere."""
    if (row, column) != (state.row, state.column):
        return ""
    return f"{state.facing} {state.carrying.partition(' ')[0]}"


def _changed(before: State | None, after: State) -> list[tuple[int, int]]:
    """Return the cells (row, column) that differ in content or agent; all cells for the first frame."""
    cells = [(r, c) for r in range(len(after.cells)) for c in range(len(after.cells[0]))]
    if before is None:
        return cells
    return [
        (r, c)
        for r, c in cells
        if before.cells[r][c] != after.cells[r][c] or _agent(before, r, c) != _agent(after, r, c)
    ]


def tile(content: str, floor: str, side_px: int, agent: str = "") -> np.ndarray:
    """Render one cell (RGB, uint8).

    Args:
        content: as in `State.cells`.
        agent: facing and colour of an agent in the cell, such as `0 yellow`; empty for none.
    """
    fine = max(4, FINE_PX // side_px) * side_px
    picture_SSC = np.empty((fine, fine, 3), np.uint8)
    picture_SSC[:] = BACKGROUNDS[floor]
    color, _, kind = content.partition(" ")
    if content == WALL:
        _draw_wall(picture_SSC, fine)
    elif content:
        _draw_thing(picture_SSC, kind, COLORS[color], BACKGROUNDS[floor], fine)
    if agent:
        facing, _, carried = agent.partition(" ")
        _draw_agent(picture_SSC, int(facing), COLORS[carried] if carried else AGENT_COLOR, fine)
    return cv2.resize(picture_SSC, (side_px, side_px), interpolation=cv2.INTER_AREA)


def covers(cell_SSC: np.ndarray, empty_SSC: np.ndarray, content: str) -> np.ndarray:
    """Return the mask of the pixels of a cell that differ from the empty floor; a wall covers all."""
    differs_SS = np.abs(cell_SSC.astype(np.int32) - empty_SSC).max(axis=2) > 30
    return differs_SS | (content == WALL)


def _box(picture_SSC: np.ndarray, fine: int, low: float, high: float, color: tuple[int, int, int]) -> None:
    """Fill a centred square from `low` to `high`, in fractions of the cell."""
    cv2.rectangle(picture_SSC, (round(low * fine),) * 2, (round(high * fine) - 1,) * 2, color, -1)


def _draw_wall(picture_SSC: np.ndarray, fine: int) -> None:
    picture_SSC[:] = WALL_COLOR
    line = max(1, round(0.07 * fine))
    picture_SSC[round(0.46 * fine) : round(0.46 * fine) + line] = BRICK_COLOR
    picture_SSC[-line:] = BRICK_COLOR
    picture_SSC[: fine // 2, fine // 4 : fine // 4 + line] = BRICK_COLOR
    picture_SSC[fine // 2 :, 3 * fine // 4 : 3 * fine // 4 + line] = BRICK_COLOR


def _draw_thing(
    picture_SSC: np.ndarray,
    kind: str,
    color: tuple[int, int, int],
    ground: tuple[int, int, int],
    fine: int,
) -> None:
    def pixel(x: float, y: float) -> tuple[int, int]:
        return round(x * fine), round(y * fine)

    if kind == "ball":
        cv2.circle(picture_SSC, pixel(0.5, 0.5), round(0.37 * fine), color, -1)
    elif kind == "key":
        cv2.circle(picture_SSC, pixel(0.5, 0.28), round(0.24 * fine), color, -1)
        cv2.circle(picture_SSC, pixel(0.5, 0.28), round(0.09 * fine), ground, -1)
        cv2.rectangle(picture_SSC, pixel(0.42, 0.45), pixel(0.58, 0.96), color, -1)
        cv2.rectangle(picture_SSC, pixel(0.58, 0.84), pixel(0.8, 0.96), color, -1)
        cv2.rectangle(picture_SSC, pixel(0.58, 0.64), pixel(0.74, 0.74), color, -1)
    elif kind == "box":
        _box(picture_SSC, fine, 0.1, 0.9, color)
        _box(picture_SSC, fine, 0.27, 0.73, ground)
        cv2.rectangle(picture_SSC, pixel(0.2, 0.42), pixel(0.8, 0.58), color, -1)
    elif kind == "door":
        _box(picture_SSC, fine, 0.0, 1.0, color)
        cv2.circle(picture_SSC, pixel(0.66, 0.5), round(0.14 * fine), (8, 8, 8), -1)
        cv2.rectangle(picture_SSC, pixel(0.61, 0.5), pixel(0.71, 0.8), (8, 8, 8), -1)
    else:  # an open door is drawn as its frame
        _box(picture_SSC, fine, 0.0, 1.0, color)
        _box(picture_SSC, fine, 0.15, 0.85, ground)


def _draw_agent(picture_SSC: np.ndarray, facing: int, color: tuple[int, int, int], fine: int) -> None:
    """Draw an arrow in the direction of the agent, with a white tip."""
    corners = np.array([(0.49, 0.0), (-0.44, -0.47), (-0.34, 0.0), (-0.44, 0.47)])
    tip = np.array([(0.49, 0.0), (0.09, -0.20), (0.09, 0.20)])
    turn = np.array([(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)][facing]).reshape(2, 2)
    for points, paint in ((corners, color), (tip, AGENT_COLOR)):
        cv2.fillPoly(picture_SSC, [np.rint((0.5 + points @ turn) * fine).astype(np.int32)], paint)
