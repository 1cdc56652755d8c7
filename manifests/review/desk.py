"""The review desk: everything that a review page does, without HTTP."""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from pathlib import Path
from types import TracebackType
from typing import Self

from manifests.records import Choice
from manifests.review import bulk, compare, record
from manifests.review.cards import (
    Assignment,
    BulkPreview,
    Card,
    ComparePair,
    CompareVotes,
    DeskFigures,
    Disagreement,
    QueuePage,
    Stratum,
)
from manifests.review.config import ReviewConfig
from manifests.review.context import DeskContext
from manifests.review.figures import desk_figures
from manifests.review.fold import sides
from manifests.review.give import Giver
from manifests.review.leases import Leases
from manifests.review.live_media import SelectionRules
from manifests.review.media_sync import Progress
from manifests.review.messages import BulkEdit, ConfirmNeeded, Conflict, DecisionRequest, QueueFilter, Saved
from manifests.review.queue import strata
from manifests.review.show import row_of
from manifests.review.store import ReviewStore
from manifests.review.validate import check_id, check_reviewer

__all__ = ["ReviewDesk", "SelectionRules"]


class ReviewDesk:
    """Serves the clips of one dataset to reviewers and records what they decide. Safe for many threads.

    A decision is durable when a method returns `Saved`: in the journal of the dataset
    (`manifests.review.journal`), and soon in its table `reviews`. Bad requests raise ReviewError; a full disk
    and an unreachable store raise OSError or DatasetError, and then the request may be sent again as it is.

    Args:
        dataset_uri: a folder or s3://bucket/prefix.
        state_dir: folder for the database that the desk reads. It holds no record: if it is lost, it is built
            again. One process uses it at a time.
        rules: the selection rules, for the stratum `near` and for `Card.rules`.
        progress: called while the database is built.

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
        progress: Progress = lambda what, done, total: None,
    ) -> None:
        self.config = config or ReviewConfig()
        leases = Leases(self.config.lease_s)
        store = ReviewStore(dataset_uri, Path(state_dir), self.config, rules, progress)
        self._context = DeskContext(store=store, config=self.config, leases=leases, rules=rules)
        self._giver = Giver(self._context)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def strata(self) -> tuple[Stratum, ...]:
        """Return the strata that are not empty, each with its size and reviewed count."""
        return strata(self._context.database)

    def queue(self, filter: QueueFilter, *, reviewer: str, offset: int = 0, limit: int = 50) -> QueuePage:
        """Return the media of a queue from position `offset`; a negative one counts from the end."""
        check_reviewer(reviewer)
        return self._giver.page(filter, reviewer, offset, limit)

    def search(self, text: str, *, reviewer: str, offset: int = 0, limit: int = 50) -> QueuePage:
        """Return the media whose texts, as they stand now, contain the words of `text`."""
        return self.queue(QueueFilter(search=text), reviewer=reviewer, offset=offset, limit=limit)

    def next(self, filter: QueueFilter, *, reviewer: str, after: str = "") -> Card | None:
        """Return the next media of a queue that needs this reviewer, and hold it for them.

        Skips media that have all their reviews, that the reviewer decided on, and that somebody else holds or
        is assigned to. Looks behind `after`, then from the start. Returns None if nothing is left.

        Args:
            after: media to start behind; the start of the queue by default.
        """
        check_reviewer(reviewer)
        return self._giver.next(filter, reviewer, after)

    def card(self, media_id: str, *, reviewer: str, hold: bool = True) -> Card:
        """Return one media; with `hold`, take or renew the lease if nobody else has it."""
        check_reviewer(reviewer)
        return self._giver.card(media_id, reviewer, hold=hold)

    def release(self, media_id: str, *, reviewer: str) -> None:
        """Give back the lease of a media."""
        self._context.leases.release(row_of(self._context.database, media_id), reviewer)

    def assign(self, filter: QueueFilter, *, reviewer: str, count: int) -> int:
        """Assign the next `count` open media of a queue to a reviewer; return how many there were.

        Others are not given them by `next`. Assigned media come first for their reviewer.
        """
        check_reviewer(reviewer)
        return self._giver.assign(filter, reviewer, count)

    def unassign(self, *, reviewer: str) -> int:
        """Take back what is assigned to a reviewer and not decided; return the number of media."""
        check_reviewer(reviewer)
        return self._giver.unassign(reviewer)

    def assignments(self) -> tuple[Assignment, ...]:
        """Return what is assigned to each reviewer, by name."""
        return self._giver.assignments()

    def decide(self, request: DecisionRequest) -> Saved | Conflict | ConfirmNeeded:
        """Record a decision durably, unless it did not see the newest one or empties a text unconfirmed."""
        check_id("review_id", request.review_id)
        check_reviewer(request.reviewer)
        return record.decide(self._context, request)

    def undo(self, target: str, *, review_id: str, reviewer: str) -> Saved | Conflict:
        """Withdraw a decision or vote (its `review_id`), or a bulk action (its id), of this reviewer.

        Withdraw a withdrawal to redo. Returns Conflict if somebody decided on the media since; an action is
        withdrawn on all its media, and later decisions on some of them stand.
        """
        check_id("review_id", review_id)
        check_reviewer(reviewer)
        return record.undo(self._context, target, review_id, reviewer)

    def preview_bulk(self, edit: BulkEdit, *, reviewer: str, samples: int = 20) -> BulkPreview:
        """Return what a bulk edit would change. Records nothing."""
        check_reviewer(reviewer)
        return bulk.preview(self._context, edit, reviewer=reviewer, samples=samples)

    def apply_bulk(self, token: str, *, action: str, reviewer: str) -> Saved:
        """Record what a preview showed as one action, which `undo` takes back as one.

        Leaves alone media that somebody decided on since the preview, and counts them in `Saved.skipped`.
        Stopped at any place, it may be sent again and goes on.
        """
        check_id("action", action)
        check_reviewer(reviewer)
        return bulk.apply(self._context, token, action=action, reviewer=reviewer)

    def versions(self) -> tuple[str, ...]:
        """Return the caption versions of the dataset, the newest request first."""
        rows = self._context.database.read("SELECT version FROM versions ORDER BY request DESC, id DESC")
        return tuple(version for (version,) in rows)

    def compare_next(
        self, version: str, other_version: str, *, reviewer: str, filter: QueueFilter | None = None
    ) -> ComparePair | None:
        """Return the next media on which the texts of two versions differ, in random order of sides.

        Returns None when the reviewer has voted on all.
        """
        check_reviewer(reviewer)
        chosen = filter or QueueFilter()
        return compare.next_pair(self._context, version, other_version, reviewer=reviewer, filter=chosen)

    def compare_vote(self, pair_id: str, choice: Choice, *, review_id: str, reviewer: str) -> Saved:
        """Record a vote on a pair durably. The newest vote of a reviewer on a pair counts."""
        check_id("review_id", review_id)
        check_reviewer(reviewer)
        return compare.vote(self._context, pair_id, choice, review_id=review_id, reviewer=reviewer)

    def compare_votes(self, version: str, other_version: str) -> CompareVotes:
        """Return the votes between two versions."""
        return compare.votes(self._context.database, version, other_version)

    def disagreements(self, *, offset: int = 0, limit: int = 50) -> tuple[Disagreement, ...]:
        """Return media on which reviewers differ, with the opinion of each."""
        page = self._context.queues.page(QueueFilter(stratum="disagreement"), offset, limit)
        shower, found = self._context.shower, list[Disagreement]()
        for position, row in enumerate(page.rows, page.offset):
            media = shower.media(row)
            opinion = shower.opinions(row, media["caption_digest"])
            found.append(
                Disagreement(
                    item=shower.item(row, position, ""),
                    caption=shower.caption(row, media["version"]),
                    sides=sides(opinion.rows, opinion.withdrawn),
                    saw=opinion.decision.newest,
                )
            )
        return tuple(found)

    def adjudicate(
        self, media_id: str, side: int, *, saw: str, review_id: str, reviewer: str
    ) -> Saved | Conflict:
        """Settle a disagreement by the opinion at index `side` of `Disagreement.sides`.

        It is an action with the id `review_id`, so `undo` takes it back.
        """
        check_id("review_id", review_id)
        check_reviewer(reviewer)
        return record.adjudicate(
            self._context, media_id, side, saw=saw, review_id=review_id, reviewer=reviewer
        )

    def figures(self) -> DeskFigures:
        """Return the progress of the review."""
        store = self._context.store
        return desk_figures(store.database, uncommitted=store.num_uncommitted, problem=store.problem)

    def sync(self) -> int:
        """Bring the desk up to the newest commit of the dataset; return its number."""
        return self._context.store.sync()

    def flush(self) -> int:
        """Commit recorded decisions to the dataset; return how many. Raises DatasetError or OSError."""
        return self._context.store.flush()

    def close(self) -> None:
        """Commit recorded decisions and release the dataset. Raises DatasetError or OSError."""
        self._context.store.close()
