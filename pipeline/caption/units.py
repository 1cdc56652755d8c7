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
    start_s: float = 0.0
    """Span in the source, for a transcript in a file beside it."""
    end_s: float = 0.0
    whole: bool = False
    """Whether the span is all of the source."""
    heard: str = ""
    """What is heard meanwhile, by a transcript of the source list."""
    heard_error: str = ""
    """Why that transcript cannot be read."""
    score_words: str = ""
    """Scores of the clip in words, for the end of each text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionSpec:
    """The prompts, and the caption version that they give."""

    dense: Prompt | None = None
    short: Prompt | None = None
    medium: Prompt | None = None
    joint: Prompt | None = None
    """One prompt for all lengths, instead of the others."""
    parts: Prompt | None = None
    """A prompt for the parts of the picture, beside the captions."""
    window_s: float = 0.0
    """Longest clip that is captioned from one look at it; 0 for no limit."""
    version: str

    @property
    def prompts(self) -> dict[str, Prompt | None]:
        """The prompts, as `caption_clips` takes them."""
        names = ("dense", "short", "medium", "joint", "parts")
        return {name: getattr(self, name) for name in names}

    @property
    def prompt_digest(self) -> str:
        """Digest of the prompts, as captions hold it."""
        return prompts_digest(*self.prompts.values())
