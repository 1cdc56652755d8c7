"""What the parts of the desk share: the store, the leases, and readers of the current database."""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import TypeVar

from manifests.dataset import DatasetError
from manifests.live_view import LiveView
from manifests.records import Review
from manifests.review.cards import Decision
from manifests.review.config import ReviewConfig
from manifests.review.database import Database
from manifests.review.journal import Overtaken
from manifests.review.leases import Leases
from manifests.review.live_media import SelectionRules
from manifests.review.messages import ReviewError, Saved
from manifests.review.queue import Queues
from manifests.review.show import Shower
from manifests.review.store import ReviewStore
from manifests.sandboxed_sql import QueryError, SandboxedSql, sandboxed

T = TypeVar("T")
_MAX_ATTEMPTS = 50
"""Attempts to record a decision while other servers record theirs."""
_SAME = (
    "media_id",
    "reviewer",
    "verdict",
    "length",
    "new_text",
    "reason",
    "start_s",
    "end_s",
    "withdraws",
    "choice",
)
"""What a decision that is sent twice has in common."""


@dataclass
class DeskContext:
    """Shared by the parts of one desk."""

    store: ReviewStore
    config: ReviewConfig
    leases: Leases
    rules: SelectionRules | None
    querying: Lock = field(default_factory=Lock)
    sandbox: tuple[int, SandboxedSql] | None = None
    """Commit number and connection of the last SQL filter."""

    @property
    def database(self) -> Database:
        """The current database; another one after a rebuild."""
        return self.store.database

    @property
    def queues(self) -> Queues:
        """The queues of the current database."""
        return Queues(self.database, self._matching, self.config.seed)

    @property
    def shower(self) -> Shower:
        """Reader of media and what stands for them."""
        return Shower(self.database, self.config, self.leases, self.rules)

    def saved(self, review_id: str, rows: Sequence[int], *, repeated: bool = False) -> Saved:
        """Return the answer to a recorded decision on the media `rows`."""
        shower = self.shower
        media = [shower.media(row) for row in rows]
        decision: Decision | None = None
        if len(media) == 1:
            decision = shower.opinions(rows[0], media[0]["caption_digest"]).decision
        ids = tuple(each["media_id"] for each in media)
        return Saved(review_id=review_id, media_ids=ids, decision=decision, repeated=repeated)

    def recording(self, work: Callable[[], T]) -> T:
        """Run `work`, which looks at what stands and records a decision, with all that others have recorded.

        Runs it again as long as another server records something in between.
        """
        for _ in range(_MAX_ATTEMPTS):
            with self.store.lock:
                self.store.catch_up()
                with suppress(Overtaken):
                    return work()
        raise DatasetError(
            f"{self.store.dataset.uri}: other servers recorded decisions first {_MAX_ATTEMPTS} times; this "
            "one was not recorded, send it again"
        )

    def _matching(self, condition: str) -> list[str]:
        """Return the media ids for which an SQL condition holds. Raises ReviewError."""
        dataset = self.store.dataset
        with self.querying:
            if self.sandbox is None or self.sandbox[0] != dataset.number:
                if self.sandbox is not None:
                    self.sandbox[1].close()
                opened = sandboxed(LiveView(dataset), timeout_s=self.config.query_timeout_s)
                self.sandbox = (dataset.number, opened)
            try:
                return self.sandbox[1].matching(condition)
            except QueryError as error:
                raise ReviewError(f"where: {error}") from error


def now() -> str:
    """Return the time for a review; for people, since the order of reviews is that of their rows."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def same_decision(known: Review, wanted: Review) -> bool:
    """Return whether two rows with the same id are the same decision, sent twice."""
    return all(getattr(known, name) == getattr(wanted, name) for name in _SAME)
