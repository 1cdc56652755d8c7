"""The review desk: everything that a review page does, without HTTP."""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import pyarrow as pa

from manifests.records import Choice
from manifests.review.cards import (
    BulkPreview,
    Card,
    ComparePair,
    CompareVotes,
    DeskFigures,
    Disagreement,
    QueuePage,
    RuleResult,
    Stratum,
)
from manifests.review.config import ReviewConfig
from manifests.review.messages import BulkEdit, ConfirmNeeded, Conflict, DecisionRequest, QueueFilter, Saved


class SelectionRules(Protocol):
    """The rules that kept the clips, which `kinora` passes in."""

    @property
    def columns(self) -> Sequence[str]:
        """Columns of the clips view that the rules read."""
        ...

    def nearest(self, clips: pa.Table) -> pa.Table:
        """Return the rule nearest to its limit for each clip.

        Columns: `margin` (distance from the limit as a fraction of it, null if no rule was measured) and
        `detail`, such as `motion 0.0041, limit 0.004`.
        """
        ...

    def check(self, clip: Mapping[str, Any]) -> Sequence[RuleResult]:
        """Return what each rule measured in one clip, nearest to its limit first."""
        ...


class ReviewDesk:
    """Serves the clips of one dataset to reviewers and records what they decide. Safe for many threads.

    A decision is durable when a method returns `Saved`: in the journal of the dataset
    (`manifests.review.journal`), and soon in its table `reviews`. Bad requests raise ReviewError.

    Args:
        dataset_uri: a folder or s3://bucket/prefix.
        state_dir: folder for the index, which is rebuilt if it is lost; nothing in it is a record.
        rules: the selection rules, for the stratum `near` and for `Card.rules`.

    Raises:
        DatasetError: the location is not a dataset, or another process serves it already.
    """

    def __init__(
        self,
        dataset_uri: str | Path,
        state_dir: str | Path,
        *,
        config: ReviewConfig | None = None,
        rules: SelectionRules | None = None,
    ) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def strata(self) -> tuple[Stratum, ...]:
        """Return the strata that are not empty, each with its size and reviewed count."""
        raise NotImplementedError

    def queue(self, filter: QueueFilter, *, reviewer: str, offset: int = 0, limit: int = 50) -> QueuePage:
        """Return the media of a queue from position `offset`; a negative one counts from the end."""
        raise NotImplementedError

    def search(self, text: str, *, reviewer: str, offset: int = 0, limit: int = 50) -> QueuePage:
        """Return the media whose texts, as they stand now, contain the words of `text`."""
        raise NotImplementedError

    def next(self, filter: QueueFilter, *, reviewer: str, after: str = "") -> Card | None:
        """Return the next media of a queue that needs this reviewer, and hold it for them.

        Skips media that have all their reviews, that the reviewer decided on, and that somebody else holds or
        is assigned to. Returns None at the end of the queue.

        Args:
            after: media to start behind; the start of the queue by default.
        """
        raise NotImplementedError

    def card(self, media_id: str, *, reviewer: str, hold: bool = True) -> Card:
        """Return one media; with `hold`, take or renew the lease if nobody else has it."""
        raise NotImplementedError

    def release(self, media_id: str, *, reviewer: str) -> None:
        """Give back the lease of a media."""
        raise NotImplementedError

    def assign(self, filter: QueueFilter, *, reviewer: str, count: int) -> int:
        """Assign the next `count` open media of a queue to a reviewer; return how many there were.

        Others are not given them by `next`. Assigned media come first for their reviewer.
        """
        raise NotImplementedError

    def unassign(self, *, reviewer: str) -> int:
        """Take back what is assigned to a reviewer and not decided; return the number of media."""
        raise NotImplementedError

    def decide(self, request: DecisionRequest) -> Saved | Conflict | ConfirmNeeded:
        """Record a decision durably, unless it did not see the newest one or empties a text unconfirmed."""
        raise NotImplementedError

    def undo(self, target: str, *, review_id: str, reviewer: str) -> Saved | Conflict:
        """Withdraw a decision (its `review_id`) or a bulk action (its id) of this reviewer.

        Withdraw a withdrawal to redo. Returns Conflict if somebody decided on the media since; an action is
        withdrawn on all its media, and later decisions on some of them stand.
        """
        raise NotImplementedError

    def preview_bulk(self, edit: BulkEdit, *, reviewer: str, samples: int = 20) -> BulkPreview:
        """Return what a bulk edit would change. Records nothing."""
        raise NotImplementedError

    def apply_bulk(self, token: str, *, action: str, reviewer: str) -> Saved:
        """Record what a preview showed as one action, which `undo` takes back as one.

        Leaves alone media that somebody decided on since the preview, and counts them in `Saved.skipped`.
        """
        raise NotImplementedError

    def versions(self) -> tuple[str, ...]:
        """Return the caption versions of the dataset, the newest request first."""
        raise NotImplementedError

    def compare_next(
        self, version: str, other_version: str, *, reviewer: str, filter: QueueFilter | None = None
    ) -> ComparePair | None:
        """Return the next media on which the texts of two versions differ, in random order of sides.

        Returns None when the reviewer has voted on all.
        """
        raise NotImplementedError

    def compare_vote(self, pair_id: str, choice: Choice, *, review_id: str, reviewer: str) -> Saved:
        """Record a vote on a pair durably."""
        raise NotImplementedError

    def compare_votes(self, version: str, other_version: str) -> CompareVotes:
        """Return the votes between two versions."""
        raise NotImplementedError

    def disagreements(self, *, offset: int = 0, limit: int = 50) -> tuple[Disagreement, ...]:
        """Return media on which reviewers differ, with the opinion of each."""
        raise NotImplementedError

    def adjudicate(
        self, media_id: str, side: int, *, saw: str, review_id: str, reviewer: str
    ) -> Saved | Conflict:
        """Settle a disagreement by the opinion at index `side` of `Disagreement.sides`."""
        raise NotImplementedError

    def figures(self) -> DeskFigures:
        """Return the progress of the review."""
        raise NotImplementedError

    def sync(self) -> int:
        """Bring the index up to the newest commit of the dataset; return its number."""
        raise NotImplementedError

    def flush(self) -> int:
        """Commit recorded decisions to the dataset; return how many. Raises DatasetError or OSError."""
        raise NotImplementedError

    def close(self) -> None:
        """Commit recorded decisions and release the dataset."""
        raise NotImplementedError
