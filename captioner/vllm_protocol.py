"""What passes between `captioner.vllm_client`, which asks engines, and `captioner.vllm_engine`, which is one.

Both environments import it. Shapes: T frames of one clip, H x W pixels, C = 3 (RGB, uint8).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from captioner.markup import Markup
from captioner.protocol import ReplyToken


@dataclass(frozen=True, kw_only=True, slots=True)
class EnginePrompt:
    """A prompt about a clip, and what its answer is."""

    text: str
    seed: int
    """Of what is drawn at random; vLLM for CPUs takes none."""
    schema: Mapping[str, Any] | None = None
    """JSON schema of the answer; None for free text."""
    num_alternatives: int = 1
    """The likeliest tokens at each place of the answer whose probabilities are wanted."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EngineRequest:
    """Prompts about the chosen frames of a clip."""

    clip_id: str
    frames_THWC: np.ndarray
    times_s: tuple[float, ...]
    """Time of each frame, in seconds from the start of the clip."""
    prompts: tuple[EnginePrompt, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    """What an engine generated for one prompt."""

    text: str = ""
    """With special tokens, which tell thoughts and turns from the answer (captioner/markup.py)."""
    ended: bool = False
    """False if it stopped at the token limit or the time limit."""
    confidence: float | None = None
    """Mean probability of the most likely token; None for JSON by schema, whose tokens are forced."""
    input_tokens: int = 0
    cached_tokens: int = 0
    """Tokens of the prompt that were read for an earlier prompt."""
    output_tokens: int = 0
    timed_out: bool = False
    tokens: tuple[ReplyToken, ...] = ()
    """Those of the answer, where more than one alternative was asked for."""
    error: str = ""
    """Why there is no answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineInfo:
    """What an engine runs."""

    revision: str
    """Hub commit, or a digest of the folder's weights."""
    markup: Markup
    vllm_version: str


class EngineLost(Exception):
    """An engine's process ended while it worked; it is being started again."""


class EngineGone(Exception):
    """An engine's process ended once too often, or cannot be started again."""


class Engine(Protocol):
    """A running engine."""

    info: EngineInfo

    async def answer(self, request: EngineRequest) -> list[Generation]:
        """Answer the prompts of a clip, beside other clips, in their order.

        Raises EngineLost or EngineGone.
        """
        ...

    async def answer_alone(self, request: EngineRequest) -> list[Generation]:
        """Answer the prompts of a clip while the engine has no other; wait for it to be up again first.

        Raises EngineLost only if it ended with this clip in it. Raises EngineGone.
        """
        ...
