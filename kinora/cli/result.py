"""What a command gives back: figures for programs, text for people, and an exit code."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """The exit codes of every command."""

    DONE = 0
    """Done; also when there was nothing left to do, or failures stayed within `--max-failed`."""
    USAGE = 2
    """Bad usage or configuration."""
    NOTHING = 3
    """Nothing to do was possible."""
    INTEGRITY = 4
    """Something does not add up."""
    FAILED = 10
    """Done, but more failed than `--max-failed`."""


@dataclass(frozen=True, slots=True)
class Result:
    """Outcome of one command."""

    data: Mapping[str, Any]
    """Printed as one line of JSON with `--json`."""
    text: Any
    """A string or a rich renderable, printed otherwise."""
    exit: Exit = Exit.DONE
