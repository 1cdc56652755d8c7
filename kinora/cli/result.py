"""The result of a command: data, text and an exit code."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    """Success, including nothing left to do and failures within `--max-failed`."""
    USAGE = 2
    """Invalid usage or configuration."""
    NOTHING = 3
    """No input to work on."""
    INTEGRITY = 4
    """The dataset is inconsistent or damaged."""
    FAILED = 10
    """Completed, but more failed than `--max-failed` allows."""


@dataclass(frozen=True, slots=True)
class Result:
    """Result of one command."""

    data: Mapping[str, Any]
    """Printed as one line of JSON with `--json`."""
    text: Any
    """A string or rich renderable, printed without `--json`."""
    exit: Exit = Exit.DONE
