"""What every captioner is: frames and a prompt in, one answer out, in batches.

Shapes: T frames of one clip, H x W pixels, C = 3 (RGB, uint8).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from captioner.prompts import Prompt
from manifests.records import Outcome


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)  # eq=False: arrays have no single truth value
class CaptionRequest:
    """One question about one clip."""

    clip_id: str
    media_id: str
    frames_THWC: np.ndarray
    times_s: tuple[float, ...]
    """When each frame is shown, in seconds from the start of the clip; rising, one for each frame."""
    prompt: Prompt

    def __post_init__(self) -> None:
        shape, dtype = self.frames_THWC.shape, self.frames_THWC.dtype
        if len(shape) != 4 or shape[0] == 0 or shape[3] != 3 or dtype != np.uint8:
            raise ValueError(
                f"clip {self.clip_id}: frames_THWC has shape {shape} and type {dtype}; "
                "give at least one RGB frame as uint8 (T, H, W, 3)"
            )
        if len(self.times_s) != shape[0]:
            raise ValueError(
                f"clip {self.clip_id}: {shape[0]} frames but {len(self.times_s)} times in times_s"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """Who answered: carried by every answer, so that a mixed captioner hides nothing."""

    captioner: str
    """`vlm`, `embedded` or `facts`."""
    model: str
    revision: str
    decoding: str
    """JSON object of the decoding parameters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionAnswer:
    """What came back for one request. Only OK carries a text."""

    clip_id: str
    """Echo of the request's clip id: an answer is matched by it, never by position."""
    prompt_digest: str
    outcome: Outcome
    text: str | None
    raw: str
    """The answer as it came, also when it was not accepted."""
    frames_shown: tuple[int, ...]
    """Which of the request's frames were shown."""
    provenance: Provenance
    confidence: float | None = None
    """Mean probability of the tokens chosen, in [0, 1]; None where there is no such thing."""
    detail: str = ""


class Captioner(Protocol):
    """Frames in, captions out."""

    def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        """Answer every request, in any order, each echoing its clip id and prompt digest."""
        ...
