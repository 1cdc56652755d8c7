"""Give clips to reviewers: pages of a queue, the next clip, leases, assignment."""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

import json
from threading import Lock

from manifests.review.cards import Assignment, Card, QueuePage
from manifests.review.context import DeskContext
from manifests.review.messages import QueueFilter, ReviewError
from manifests.review.queue import always_open
from manifests.review.show import row_of

_MAX_PAGE = 500
_NOT_DECIDED = """
    AND m.done = 0 AND NOT EXISTS (SELECT 1 FROM reviewed_by r WHERE r.reviewer = ? AND r.row = m.row)"""
_NOT_OTHERS = "AND NOT EXISTS (SELECT 1 FROM assigned a WHERE a.row = m.row AND a.reviewer <> ?)"
_OWN = "AND m.row IN (SELECT row FROM assigned WHERE reviewer = ?)"


class Giver:
    """Gives clips to reviewers."""

    def __init__(self, context: DeskContext) -> None:
        self._context = context
        self._giving = Lock()

    def page(self, filter: QueueFilter, reviewer: str, offset: int, limit: int) -> QueuePage:
        """Return part of a queue."""
        if not 1 <= limit <= _MAX_PAGE:
            raise ReviewError(f"limit {limit}: must be 1 to {_MAX_PAGE}")
        found = self._context.queues.page(filter, offset, limit)
        shower = self._context.shower
        numbered = enumerate(found.rows, found.offset)
        items = tuple(shower.item(row, position, reviewer) for position, row in numbered)
        return QueuePage(
            items=items,
            offset=found.offset,
            total=found.total,
            total_is_exact=found.is_exact,
            empty_because="" if items else _why_empty(filter, found.offset, found.total),
        )

    def next(self, filter: QueueFilter, reviewer: str, after: str) -> Card | None:
        """Return the next clip for a reviewer, held for them."""
        context = self._context
        behind = row_of(context.database, after) if after else None
        with self._giving:
            row = self._next_row(filter, reviewer, behind)
            if row is None:
                return None
            lease_s = context.leases.take(row, reviewer, seats=context.config.reviews_per_clip)
        return context.shower.card(context.store.dataset, row, reviewer, lease_s)

    def card(self, media_id: str, reviewer: str, *, hold: bool) -> Card:
        """Return one clip."""
        context = self._context
        row = row_of(context.database, media_id)
        seats = context.config.reviews_per_clip
        lease_s = context.leases.take(row, reviewer, seats=seats) if hold else 0.0
        return context.shower.card(context.store.dataset, row, reviewer, lease_s)

    def assign(self, filter: QueueFilter, reviewer: str, count: int) -> int:
        """Assign open clips to a reviewer."""
        if count < 1:
            raise ReviewError(f"count {count}: must be at least 1")
        condition = "AND m.done = 0 AND m.row NOT IN (SELECT row FROM assigned)"
        with self._context.store.lock, self._context.database.transaction() as connection:
            rows = self._context.queues.some(filter, count, condition)
            connection.executemany("INSERT INTO assigned VALUES (?, ?)", ((row, reviewer) for row in rows))
        return len(rows)

    def assignments(self) -> tuple[Assignment, ...]:
        """Return what is assigned to each reviewer."""
        rows = self._context.database.read(
            "SELECT a.reviewer, sum(s.done = 0), count(*) FROM assigned a JOIN state s ON s.row = a.row "
            "GROUP BY a.reviewer ORDER BY a.reviewer"
        )
        return tuple(Assignment(reviewer=name, open=opened, total=total) for name, opened, total in rows)

    def unassign(self, reviewer: str) -> int:
        """Take back what a reviewer has not decided."""
        with self._context.store.lock, self._context.database.transaction() as connection:
            return connection.execute(
                "DELETE FROM assigned WHERE reviewer = ? AND row IN (SELECT row FROM state WHERE done = 0)",
                (reviewer,),
            ).rowcount

    def _next_row(self, filter: QueueFilter, reviewer: str, behind: int | None) -> int | None:
        """Return the next row, of those that are assigned to the reviewer first."""
        condition, values = "AND m.row NOT IN (SELECT value FROM json_each(?)) ", [self._busy(reviewer)]
        if not always_open(filter.stratum):
            condition, values = condition + _NOT_DECIDED, [*values, reviewer]
        queues = self._context.queues
        if self._context.database.read("SELECT 1 FROM assigned WHERE reviewer = ? LIMIT 1", reviewer):
            own = queues.first(filter, after=behind, condition=condition + _OWN, values=[*values, reviewer])
            if own is not None:
                return own
        return queues.first(
            filter, after=behind, condition=condition + _NOT_OTHERS, values=[*values, reviewer]
        )

    def _busy(self, reviewer: str) -> str:
        """Return, as JSON, the rows that others hold until all their reviews are in."""
        held = self._context.leases.rows()
        reviews = dict(
            self._context.database.read(
                "SELECT row, num_reviews FROM state WHERE row IN (SELECT value FROM json_each(?))",
                json.dumps([*held]),
            )
        )
        seats = self._context.config.reviews_per_clip
        busy = [
            row
            for row, holders in held.items()
            if len({*holders} - {reviewer}) >= max(1, seats - reviews.get(row, 0))
        ]
        return json.dumps(busy)


def _why_empty(filter: QueueFilter, offset: int, total: int) -> str:
    if total:
        return f"the queue has {total} clips, and position {offset} is behind the last one"
    narrowed = [
        name
        for name, value in (
            ("search", filter.search),
            ("filter", filter.where),
            ("reviewer", filter.reviewer),
        )
        if value
    ]
    if filter.state != "all":
        narrowed.append(f"state {filter.state}")
    if narrowed:
        return f"no clip of this queue matches ({', '.join(narrowed)})"
    return "no clip is in this queue"
