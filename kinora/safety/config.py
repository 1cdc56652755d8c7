"""What is checked of prompts and of generated frames. Imports nothing heavy."""

from dataclasses import dataclass
from typing import Literal

from manifests.ranges import UnitFloat, check_ranges

Mode = Literal["off", "warn", "block"]


@dataclass(frozen=True, kw_only=True)
class SafetyConfig:
    """What is checked. No slots: jsonargparse reads the defaults of nested configurations from `__dict__`."""

    prompts: Mode = "off"
    """What becomes of a prompt that a rule or `check` finds: `warn` makes the video and says so."""
    rules: str | None = None
    """YAML file of rules for prompts, instead of those that ship (docs/serve.md)."""
    check: str | None = None
    """A model or an endpoint that judges prompts beside the rules: `module:function`, or the http(s) address
    of a `/v1/moderations` interface."""
    frames: Mode = "off"
    """What becomes of a video whose frames score above `max_nsfw`; needs the extra `score`."""
    max_nsfw: UnitFloat = 0.95
    """Highest score of a frame, 0 to 1, by the model of `kinora curate --analyze.scorers.nsfw`."""

    __post_init__ = check_ranges
