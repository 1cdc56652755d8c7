"""Snapshots by number or by time: what `--at` of every reading command means."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol, TypeVar

At = int | str | None
"""A commit number, a time, or None for the newest commit."""


class _Commit(Protocol):
    @property
    def number(self) -> int: ...
    @property
    def at(self) -> str: ...


C = TypeVar("C", bound=_Commit)


def parse_at(at: At) -> int | datetime | None:
    """Return a commit number, or a time with its zone (UTC if it has none).

    Raises ValueError for a text that is neither.
    """
    if not isinstance(at, str):
        return at
    if at.strip().isdecimal():
        return int(at)
    try:
        time = datetime.fromisoformat(at.strip())
    except ValueError as error:
        raise ValueError(
            f"--at {at}: neither a commit number nor a time such as 2026-11-29T12:00 (UTC) or "
            "2026-11-29T12:00+01:00"
        ) from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def until(commits: Sequence[C], time: datetime, where: str) -> list[C]:
    """Return the commits that a reader at `time` saw: those before the first one that is later.

    Raises ValueError if there is none.
    """
    found: list[C] = []
    for commit in commits:
        if datetime.fromisoformat(commit.at) > time:
            break
        found.append(commit)
    if not found:
        raise ValueError(f"{where}: no commit at {time.isoformat()} yet; the first is of {commits[0].at}")
    return found
