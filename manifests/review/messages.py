"""What the review desk is asked, and what becomes of it: plain values without HTTP, storage or SQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from manifests.records import Review, Verdict
from manifests.review.cards import Decision


class ReviewError(ValueError):
    """A request that cannot be done. The message names the field and the remedy, and is meant for people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueFilter:
    """Which media a queue holds, and in which order."""

    stratum: str = "all"
    """Name of a stratum (`ReviewDesk.strata`)."""
    where: str = ""
    """SQL condition over the columns of the view `captioned` (`kinora captions sql`)."""
    search: str = ""
    """Words that the texts contain, as they stand now; `"in quotes"` for a phrase, `word*` for a prefix."""
    state: Literal["all", "open", "done"] = "all"
    """`open`: lacks reviews; `done`: has all."""
    reviewer: str = ""
    """Only media that this reviewer has decided on (`state` all or done)."""
    seed: int | None = None
    """Seed of the order; that of the configuration by default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionRequest:
    """A decision to record."""

    review_id: str
    """Made by the client, 8 to 64 hexadecimal digits; sent again, it records nothing and returns the same."""
    media_id: str
    reviewer: str
    verdict: Verdict
    saw: str
    """`Card.saw`."""
    caption_version: str = ""
    caption_digest: str = ""
    length: str = ""
    """Of an edit: which text it replaces."""
    new_text: str | None = None
    reason: str = ""
    note: str = ""
    start_s: float | None = None
    end_s: float | None = None
    confirm: bool = False
    """An empty text may replace a full one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Saved:
    """The decision is durable."""

    review_id: str
    media_ids: tuple[str, ...]
    decision: Decision | None
    """As it stands now; None for an action on several media, and for a comparison."""
    repeated: bool = False
    """It was recorded by an earlier request with the same `review_id`."""
    skipped: int = 0
    """Media that a bulk action left alone, since somebody decided on them after the preview."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conflict:
    """Nothing was recorded: somebody decided on this media after the card was shown."""

    media_id: str
    saw: str
    newest: Review | None
    """What the card did not show; None if what it showed was undone."""
    saw_now: str
    """To be sent as `saw` to record the decision all the same."""
    length: str
    your_text: str
    """Empty unless the decision was an edit."""
    their_text: str
    """The text of that length as it stands now."""
    caption_changed: bool = False
    """A new caption counts since the card was shown; `newest` then may be what the card showed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfirmNeeded:
    """Nothing was recorded: an empty text would replace a full one. Send it again with `confirm`."""

    media_id: str
    length: str
    text: str
    """The text that would be lost."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BulkEdit:
    """An edit or a verdict for all media of a queue."""

    kind: Literal["replace", "prefix", "suffix", "trim", "approve", "reject", "flag"]
    """The first four edit texts."""
    filter: QueueFilter
    lengths: Sequence[str] = ()
    """Texts to edit; all by default."""
    pattern: str = ""
    """Regular expression of `replace`, in Python's syntax."""
    replacement: str = ""
    """Of `replace`, with groups as `\\\\1` or `\\\\g<name>`; the text to add for `prefix` and `suffix`."""
    ignore_case: bool = False
    reason: str = ""
    """Of a verdict."""
    note: str = ""
