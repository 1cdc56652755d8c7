"""Scores of a clip in words, which a text-to-video model can be prompted with; pure functions."""

from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scale:
    """How the values of one column are said."""

    column: str
    label: str
    limits: tuple[float, ...] = ()
    """Values from which the next word is used; none for a column of classes."""
    words: tuple[str, ...] = ()

    def say(self, value: Any) -> str:
        """Return a sentence; an empty string for a score that is not known."""
        if value is None:
            return ""
        word = self.words[bisect(self.limits, value)] if self.limits else str(value).replace("_", " ")
        return f"{self.label}: {word}."


_SCALES: Mapping[str, _Scale] = {
    "motion": _Scale(
        column="motion",
        label="Motion",
        limits=(0.02, 0.1, 0.4),
        words=("hardly any", "slow", "moderate", "fast"),
    ),
    "camera": _Scale(column="camera", label="Camera"),
    "light": _Scale(
        column="brightness", label="Light", limits=(0.25, 0.6), words=("dark", "medium", "bright")
    ),
    "look": _Scale(
        column="aesthetic_heuristic", label="Look", limits=(0.4, 0.6), words=("plain", "fair", "fine")
    ),
}
SCORES = tuple(_SCALES)
"""Names of scores that can be said."""


def score_columns(names: Sequence[str]) -> dict[str, str]:
    """Return the column of each score. Raises ValueError for an unknown name."""
    if unknown := [name for name in names if name not in _SCALES]:
        raise ValueError(f"score_words: {unknown[0]!r} is none of {', '.join(SCORES)}")
    return {name: _SCALES[name].column for name in names}


def score_words(clip: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return the known scores of a clip in words, such as `Motion: fast. Camera: pan left.`

    Args:
        clip: with the columns of `score_columns`.
    """
    said = (_SCALES[name].say(clip[_SCALES[name].column]) for name in names)
    return " ".join(sentence for sentence in said if sentence)
