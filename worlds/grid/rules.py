"""The rules of a small game on a grid: an agent turns, goes forward, picks up, drops and toggles.

They follow MiniGrid (Chevalier-Boisvert et al. 2023), with fewer cases: every door is locked and opens only
for whoever carries the key of its colour; a box falls open and is gone. A cell holds one word or two: `` for
nothing, `wall`, or a colour with `key`, `ball`, `box`, `door` (locked) or `gate` (a door that is open).
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

FACINGS: tuple[tuple[int, int], ...] = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""(rows, columns) of one step to the right, down, to the left, and up: each a quarter turn clockwise."""
FACING_NAMES = ("right", "down", "left", "up")
ACTIONS = ("turn left", "turn right", "forward", "pick up", "drop", "toggle")
CARRIED = ("key", "ball", "box")
"""Kinds of things that can be picked up."""
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
    """What the agent holds, such as `yellow key`; empty for nothing."""

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
    """Return the state after an action, or None if the rules forbid it."""
    if action == "turn left":
        return replace(state, facing=(state.facing - 1) % 4)
    if action == "turn right":
        return replace(state, facing=(state.facing + 1) % 4)
    if state.ahead is None:
        return None
    row, column = state.ahead
    there = state.cells[row][column]
    color, _, kind = there.partition(" ")
    if action == "forward":
        return replace(state, row=row, column=column) if not there or kind == "gate" else None
    if action == "pick up":
        if kind not in CARRIED or state.carrying:
            return None
        return replace(state, cells=put(state.cells, row, column, ""), carrying=there)
    if action == "drop":
        if there or not state.carrying:
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
    """Return cells with another value in one of them."""
    line = (*cells[row][:column], value, *cells[row][column + 1 :])
    return (*cells[:row], line, *cells[row + 1 :])


def find(state: State, thing: str) -> tuple[int, int] | None:
    """Return the cell (row, column) of a thing, or None."""
    for row, line in enumerate(state.cells):
        if thing in line:
            return row, line.index(thing)
    return None


def things_of(state: State) -> list[str]:
    """Return all things that lie in the grid, walls apart, sorted."""
    return sorted(cell for line in state.cells for cell in line if cell not in ("", WALL))


def play(start: State, actions: Iterable[str]) -> list[State]:
    """Return the states from `start` on, one more than actions.

    Raises:
        ValueError: if the rules do not allow an action.
    """
    states = [start]
    for number, action in enumerate(actions):
        after = step(states[-1], action)
        if after is None:
            raise ValueError(f"action {number}, {action!r}, is against the rules: plan with `expert`")
        states.append(after)
    return states


def expert(start: State, tasks: Iterable[tuple[str, str]]) -> list[str] | None:
    """Return the shortest actions that face each thing in turn and act on it, or None.

    Args:
        tasks: (action, thing) pairs in order, such as ("pick up", "red key"), ("toggle", "red door").
    """
    plan, state = [], start
    for action, thing in tasks:
        target = find(state, thing)
        way = None if target is None else _way(state, target)
        if way is None:
            return None
        plan += [*way, action]
        state = play(state, [*way, action])[-1]
    return plan


def _way(state: State, target: tuple[int, int]) -> list[str] | None:
    """Return the fewest turns and steps after which the agent faces `target` (breadth first)."""
    queue, seen = deque([(state, [])]), {(state.row, state.column, state.facing)}
    while queue:
        here, way = queue.popleft()
        if here.ahead == target:
            return way
        for action in ACTIONS[:3]:
            after = step(here, action)
            if after is not None and (place := (after.row, after.column, after.facing)) not in seen:
                seen.add(place)
                queue.append((after, [*way, action]))
    return None
