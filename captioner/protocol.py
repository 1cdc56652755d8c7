"""The `Captioner` protocol: batches of frames and a prompt in, one answer each out.

Shapes: T frames of one clip, H x W pixels, C = 3 (RGB, uint8).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from captioner.prompts import Prompt
from manifests.records import Outcome


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)  # arrays do not compare to one bool
class CaptionRequest:
    """A prompt about one clip."""

    clip_id: str
    media_id: str
    frames_THWC: np.ndarray
    times_s: tuple[float, ...]
    """Time of each frame, in seconds from the start of the clip, ascending."""
    prompt: Prompt

    def __post_init__(self) -> None:
        shape, dtype = self.frames_THWC.shape, self.frames_THWC.dtype
        if len(shape) != 4 or shape[0] == 0 or shape[3] != 3 or dtype != np.uint8:
            raise ValueError(
                f"clip {self.clip_id}: frames_THWC has shape {shape} and dtype {dtype}; "
                "expected uint8 RGB of shape (T, H, W, 3) with T > 0"
            )
        if len(self.times_s) != shape[0]:
            raise ValueError(f"clip {self.clip_id}: {shape[0]} frames but {len(self.times_s)} times_s")


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """Model and settings that produced an answer."""

    captioner: str
    """`vlm`, `vllm`, `endpoint`, `embedded` or `facts`."""
    model: str
    revision: str
    decoding: str
    """JSON object of the decoding parameters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionAnswer:
    """Answer to one request."""

    clip_id: str
    """Clip id of the request; answers are matched by it, not by position."""
    prompt_digest: str
    outcome: Outcome
    text: str | None
    """None unless the outcome is OK; of a prompt for several lengths, the longest."""
    raw: str
    """Unprocessed answer, whatever its outcome."""
    frames_shown: tuple[int, ...]
    """Indices of the request's frames that the model saw."""
    provenance: Provenance
    confidence: float | None = None
    """Mean token probability, in [0, 1]; None for captioners without one."""
    detail: str = ""
    """Reason for the outcome or for the choice of captioner."""
    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    """Texts by length, for a prompt with `lengths`; empty unless the outcome is OK."""
    chances: Mapping[str, float] = field(default_factory=dict[str, float])
    """Probability of each of the prompt's `choices`, of sum 1; empty if the captioner does not know them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplyToken:
    """One token of an answer."""

    text: str
    alternatives: Mapping[str, float]
    """Logarithms of the probabilities of the likeliest tokens at its place."""


@dataclass(kw_only=True, slots=True)
class Usage:
    """Tokens and cost of the requests so far, of captioners that count them."""

    input_tokens: int = 0
    cached_tokens: int = 0
    """Of the input tokens, those that were in the cache of an earlier prompt."""
    output_tokens: int = 0
    cost: float = 0.0


class DeviceLost(Exception):
    """The GPU of a captioner stopped working; its process must be started again. No clip is to blame."""


class CaptioningStopped(Exception):
    """The captioner stopped before all requests were asked; what is left can be captioned by another run."""

    def __init__(self, reason: str, answers: Sequence[CaptionAnswer]) -> None:
        super().__init__(reason)
        self.answers = answers
        """Answers to the requests that were asked."""


class Captioner(Protocol):
    """Captions clips."""

    def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        """Answer every request, in any order, with its clip id and prompt digest."""
        ...
