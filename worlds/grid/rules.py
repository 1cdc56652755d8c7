"""The rules of a grid game in which an agent turns, moves forward, picks up, drops and toggles.

A subset of MiniGrid (Chevalier-Boisvert et al. 2023): every door is locked and opens only with the key of its
colour; a box disappears when it is opened. A cell is an empty string, `wall`, or a colour and `key`, `ball`,
`box`, `door` (locked) or `gate` (an open door).
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

FACINGS: tuple[tuple[int, int], ...] = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""(rows, columns) of one step right, down, left and up, in clockwise order."""
FACING_NAMES = ("right", "down", "left", "up")
ACTIONS = ("turn left", "turn right", "forward", "pick up", "drop", "toggle")
CARRIED = ("key", "ball", "box")
"""Kinds of things that an agent can pick up."""
KINDS = (*CARRIED, "door", "gate")
WALL = "wall"


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """State of the game."""

    cells: tuple[tuple[str, ...], ...]
    """Rows of cells."""
    row: int
    column: int
    facing: int
    """Index into `FACINGS`."""
    carrying: str
    """Carried thing, such as `yellow key`; empty for none."""

    @property
    def ahead(self) -> tuple[int, int] | None:
        """The cell in front of the agent; None at the edge of the grid."""
        row, column = self.row + FACINGS[self.facing][0], self.column + FACINGS[self.facing][1]
        inside = 0 <= row < len(self.cells) and 0 <= column < len(self.cells[0])
        return (row, column) if inside else None

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "State":
        return cls(**{**fields, "cells": tuple(tuple(row) for row in fields["cells"])})


def step(state: State, action: str) -> State | None:
    """Return the state after an action, or None if the action is illegal."""
    if action == "turn left":
        return replace(state, facing=(state.facing - 1) % 4)
    if action == "turn right":
        return replace(state, facing=(state.facing + 1) % 4)
    if state.ahead is None:
        return None
    row, column = state.ahead
    content = state.cells[row][column]
    color, _, kind = content.partition(" ")
    if action == "forward":
        return replace(state, row=row, column=column) if not content or kind == "gate" else None
    if action == "pick up":
        if kind not in CARRIED or state.carrying:
            return None
        return replace(state, cells=put(state.cells, row, column, ""), carrying=content)
    if action == "drop":
        if content or not state.carrying:
            return None
        return replace(state, cells=put(state.cells, row, column, state.carrying), carrying="")
    if action == "toggle":
        if kind == "box":
            return replace(state, cells=put(state.cells, row, column, ""))
        if kind == "door" and state.carrying == f"{color} key":
            return replace(state, cells=put(state.cells, row, column, f"{color} gate"))
        return None
    raise ValueError(f"unknown action {action!r}: use one of {', '.join(ACTIONS)}")


def put(cells: tuple[tuple[str, ...], ...], row: int, column: int, value: str) -> tuple[tuple[str, ...], ...]:
    """Return a copy of the cells with one value replaced."""
    line = (*cells[row][:column], value, *cells[row][column + 1 :])
    return (*cells[:row], line, *cells[row + 1 :])


def find(state: State, thing: str) -> tuple[int, int] | None:
    """Return the (row, column) of a thing, or None."""
    for row, line in enumerate(state.cells):
        if thing in line:
            return row, line.index(thing)
    return None


def things_of(state: State) -> list[str]:
    """Return all things in the grid except walls, sorted."""
    return sorted(cell for line in state.cells for cell in line if cell not in ("", WALL))


def play(start: State, actions: Iterable[str]) -> list[State]:
    """Return `start` and the state after each action.

    Raises:
        ValueError: if an action is illegal.
    """
    states = [start]
    for number, action in enumerate(actions):
        after = step(states[-1], action)
        if after is None:
            raise ValueError(f"action {number}, {action!r}, is against the rules: plan with `expert`")
        states.append(after)
    return states


def expert(start: State, tasks: Iterable[tuple[str, str]]) -> list[str] | None:
    """Plan the fewest actions that complete the tasks in order, or return None.

    Args:
        tasks: (action, thing) pairs in order, such as ("pick up", "red key"), ("toggle", "red door").
    """
    plan, state = [], start
    for action, thing in tasks:
        target = find(state, thing)
        path = None if target is None else _shortest_path(state, target)
        if path is None:
            return None
        plan += [*path, action]
        state = play(state, [*path, action])[-1]
    return plan


def _shortest_path(state: State, target: tuple[int, int]) -> list[str] | None:
    """Return the fewest turns and steps to face `target`, by breadth-first search."""
    queue, seen = deque([(state, [])]), {(state.row, state.column, state.facing)}
    while queue:
        current, path = queue.popleft()
        if current.ahead == target:
            return path
        for action in ACTIONS[:3]:
            after = step(current, action)
            if after is not None and (pose := (after.row, after.column, after.facing)) not in seen:
                seen.add(pose)
                queue.append((after, [*path, action]))
    return None
