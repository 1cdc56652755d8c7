"""Which captioner, and how it is run. Imports nothing heavy."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class VlmConfig:
    """Any image-text-to-text model that transformers loads."""

    model: str
    """Folder, or name on the hub, such as `Qwen/Qwen2.5-VL-3B-Instruct`."""
    revision: str | None = None
    """Commit, branch or tag on the hub; pin a commit for captions that can be made again."""
    frames: int = 8
    """Most frames shown of one clip."""
    rate_hz: float | None = None
    """Frames shown a second, from the start of the clip; None spreads them evenly over the clip."""
    batch_size: int = 8
    max_new_tokens: int = 320
    """An answer that reaches this is TRUNCATED, and carries no text."""
    temperature: float = 0.0
    """0 takes the most likely token each time, so that a run can be made again."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, ...; `auto` takes a GPU where there is one."""
    timeout_s: float | None = None
    """Longest that one batch may take; answers cut short by it are TIMEOUT."""


@dataclass(frozen=True, kw_only=True)
class FactsConfig:
    """The `facts` captioner: composed from detectors, for real clips without a hub model."""

    frames: int = 4
    """Frames that objects and colours are looked for in."""
    text_frames: int = 1
    """Frames that text is looked for in; each costs 0.2 to 0.4 s."""
    min_text_score: float = 0.85
    min_text_length: int = 3
    min_object_score: float = 0.5


@dataclass(frozen=True, kw_only=True)
class CaptionerConfig:
    """What captions the clips of one run."""

    kind: Literal["auto", "embedded", "facts", "vlm"] = "auto"
    """`embedded` knows simulated worlds only; `auto` takes it for clips that look like one, else `facts`."""
    vlm: VlmConfig | None = None
    """Needed for `vlm`."""
    facts: FactsConfig = field(default_factory=FactsConfig)
    dense_prompt: str = "dense"
    """Name of the prompt for the dense caption (`vlm` only: the embedded model has its own)."""
    short_prompt: str = "short"
    prompt_folder: str = ""
    """Folder of prompts of your own, one Markdown file each; empty for the shipped ones."""
    batch_size: int = 64
    """Clips captioned at a time by the embedded model."""
