"""Clips to caption, and the prompts to caption them with."""

from dataclasses import dataclass

from captioner.captions import prompts_digest
from captioner.prompts import Prompt


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionUnit:
    """One clip to caption."""

    media_id: str
    clip_id: str
    key: str
    """Unique in a batch, which may hold several windows of one clip: answers are matched by it."""
    uri: str
    """Of the source, for error reports."""
    path: str
    """The tar that holds it; `offset` and `length` are its byte range."""
    offset: int
    length: int
    num_frames: int
    height: int
    width: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionSpec:
    """The prompts, and the caption version that they give."""

    dense: Prompt | None = None
    short: Prompt | None = None
    medium: Prompt | None = None
    joint: Prompt | None = None
    """One prompt for all lengths, instead of the others."""
    version: str

    @property
    def prompts(self) -> dict[str, Prompt | None]:
        """The prompts, as `caption_clips` takes them."""
        return {"dense": self.dense, "short": self.short, "medium": self.medium, "joint": self.joint}

    @property
    def prompt_digest(self) -> str:
        """Digest of the prompts, as captions hold it."""
        return prompts_digest(*self.prompts.values())
