"""Find where an answer repeats the instruction that it was given, in any language; pure functions."""

import re

from captioner.phrasebook import NO_SPACES, normalize, without_quotes

_UNIT = re.compile(rf"[{NO_SPACES}]|\w+")
_DENSE = re.compile(rf"[{NO_SPACES}]")
_RUN_WORDS, _RUN_CHARS = 8, 16
"""Length of a repeated run: in words, or in characters of a script without spaces."""


def echo(text: str, instruction: str) -> str:
    """Return the first words of `text` that stand in the same order in `instruction`, or an empty string.

    Quotations are left out: a video may show the words.
    """
    known = _units(instruction)
    units = _units(without_quotes(text))
    for length in (_RUN_WORDS, _RUN_CHARS):
        runs = {tuple(known[first : first + length]) for first in range(len(known) - length + 1)}
        for first in range(len(units) - length + 1):
            run = tuple(units[first : first + length])
            if run in runs and _is_long(run):
                return " ".join(run)
    return ""


def _is_long(run: tuple[str, ...]) -> bool:
    """Whether a run is not a short one of single characters."""
    return len(run) >= _RUN_CHARS or sum(map(bool, map(_DENSE.fullmatch, run))) * 2 < len(run)


def _units(text: str) -> list[str]:
    return _UNIT.findall(normalize(text))
