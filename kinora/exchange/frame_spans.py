"""Spans of a clip in seconds and as decoded frames, counted from 1 with both ends included."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from video.frames import read_lazy_frames

_EPSILON_S = 1e-6


@dataclass(frozen=True, kw_only=True)
class FrameSpans:
    """The frames of one clip, decoded when they are first needed."""

    content: bytes
    """The clip's file."""

    @cached_property
    def times_T(self) -> np.ndarray:
        """Time of each frame in seconds from the first."""
        times_T = np.array([frame.time_s for frame in read_lazy_frames(self.content)], np.float64)
        return times_T - times_T[0]

    def frames(self, start_s: float, end_s: float) -> tuple[int, int]:
        """Return the first and the last frame shown in [start_s, end_s).

        A span between two frames is that of the frame shown at its start.
        """
        first = int(np.searchsorted(self.times_T, start_s - _EPSILON_S, side="left"))
        last = int(np.searchsorted(self.times_T, end_s - _EPSILON_S, side="left")) - 1
        if last < first:
            first = last = max(0, int(np.searchsorted(self.times_T, start_s, side="right")) - 1)
        return min(first, len(self.times_T) - 1) + 1, min(last, len(self.times_T) - 1) + 1


def spans_of(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a row says of parts of its clip: its claims, and the span that a reviewer set.

    Each has `kind` (`claim` or `span`), `label`, `text`, `start_s` and `end_s`.
    """
    found: list[dict[str, Any]] = [
        {"kind": "claim", "label": claim["verdict"] or "claim", "text": claim["text"] or ""}
        | {"start_s": claim["start_s"], "end_s": claim["end_s"]}
        for claim in values.get("claims") or ()
        if claim["start_s"] is not None and claim["end_s"] is not None
    ]
    review = values["review"]
    if review and review["start_s"] is not None and review["end_s"] is not None:
        found.append(
            {"kind": "span", "label": "reviewed span", "text": ""}
            | {name: review[name] for name in ("start_s", "end_s")}
        )
    return found


def check_frames(spans: Sequence[tuple[int, int]], num_frames: int, key: str) -> None:
    """Raise ValueError for frames outside of the clip, which no importer notices."""
    for first, last in spans:
        if not 1 <= first <= last <= num_frames:
            raise ValueError(
                f"clip {key}: frames {first} to {last} of {num_frames}; run `kinora captions check`"
            )
