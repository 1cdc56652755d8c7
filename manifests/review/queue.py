"""Queues: which media, in which order, from which place."""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from manifests.review.cards import Stratum
from manifests.review.database import Database
from manifests.review.live_media import start_of
from manifests.review.media_sync import rows_of
from manifests.review.messages import QueueFilter, ReviewError
from manifests.review.search import Search, find
from manifests.review.state import ALWAYS_OPEN, RANKED

COUNTED = 10_000
"""Matches of a search within a part of the dataset up to which they are counted; in all of it, all are."""
Matching = Callable[[str], Sequence[str]]
"""Returns the media ids for which an SQL condition holds."""
_FILTERS_KEPT = 20
_UNKNOWN = 1 << 62
"""A total that was not counted."""
_ALL_SORTS = -(1 << 63)
_TITLES = {
    "all": ("All", "Every clip, in random order: a fair sample of the dataset."),
    "outcome": ("Failed captions", "The newest attempt gave no caption."),
    "near": ("Near a limit", "A filter would have dropped the clip with a slightly different limit."),
    "band": ("To be checked", "A filter kept the clip and wants a person to look at it."),
    "changed": ("New caption differs", "The newest caption has other texts than the one before it."),
    "agreement": (
        "Lowest agreement",
        "The caption fits its own clip least, compared with clips of other sources.",
    ),
    "unsupported": ("Unsupported claims", "The caption claims what its frames do not show."),
    "flagged": ("Flagged", "A reviewer asks somebody else to decide."),
    "disagreement": ("Disagreements", "Reviewers decided differently."),
}
_BUCKET = "bucket:"


@dataclass(frozen=True, slots=True)
class QueueRows:
    """Part of a queue, as rows of the table `media`."""

    rows: list[int]
    offset: int
    total: int
    is_exact: bool = True
    """False if `total` is a lower bound."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Query:
    """Condition of a queue over the rows of `member`, as m."""

    clauses: tuple[str, ...]
    values: tuple[object, ...]
    start: int
    """Sort key of the first row; the order wraps around."""
    members: int
    """Media of the queue without its search, or more."""
    search: Search | None = None
    is_narrow: bool = False
    """There are other conditions than the search."""

    @property
    def is_dense(self) -> bool:
        """Whether its search has so many matches that they are counted in all of the dataset alone."""
        return self.search is not None and self.search.matches > COUNTED

    def where(self, wanted: int | None) -> tuple[str, tuple[object, ...]]:
        """Return the SQL condition, with its values, that is fast for the first `wanted` rows, or for all."""
        if self.search is None:
            return " AND ".join(self.clauses), self.values
        condition = self.search.condition(self.members, wanted)
        return " AND ".join((*self.clauses, condition)), (*self.values, self.search.expression)


def strata(database: Database) -> tuple[Stratum, ...]:
    """Return the strata that are not empty, buckets last."""
    counts = database.read("SELECT name, size, done FROM strata WHERE size > 0")
    found = {name: (size, done) for name, size, done in counts}
    names = [*(name for name in _TITLES if name in found), *sorted(found.keys() - _TITLES.keys())]
    return tuple(_stratum(name, *found[name]) for name in names)


def _stratum(name: str, size: int, done: int) -> Stratum:
    bucket = name.removeprefix(_BUCKET)
    title, description = _TITLES.get(name, (bucket, f"Clips that are packed into {bucket}."))
    return Stratum(name=name, title=title, description=description, size=size, reviewed=done)


class Queues:
    """The queues of one database."""

    def __init__(self, database: Database, matching: Matching, seed: int) -> None:
        self._database, self._matching, self._seed = database, matching, seed

    def page(self, filter: QueueFilter, offset: int, limit: int) -> QueueRows:
        """Return the rows of the media from a position; a negative one counts from the end.

        Raises ReviewError for a filter that is not understood.
        """
        query = self._query(filter, exact=True)
        total = self._total(filter, query)
        if query.is_dense and query.is_narrow and total > COUNTED:
            if offset < 0 or offset + limit > COUNTED:
                raise ReviewError(
                    f"search {filter.search!r}: matches more than {COUNTED} clips, of which only the "
                    "first can be reached by position; search for more words"
                )
            rows = self._rows(query, offset, limit, _UNKNOWN)
            return QueueRows(rows, offset, COUNTED, is_exact=False)
        offset = max(0, total + offset) if offset < 0 else offset
        if offset >= total:
            return QueueRows([], offset, total)
        before = self._count(query, "AND m.sort < ?", query.start) if query.start > _ALL_SORTS else 0
        at = (offset + before) % total
        rows = self._rows(query, at, min(limit, total - offset), total)
        if len(rows) < min(limit, total - offset):  # the order wraps around
            rows += self._rows(query, 0, min(limit, total - offset) - len(rows), total)
        return QueueRows(rows, offset, total)

    def first(
        self, filter: QueueFilter, *, after: int | None, condition: str, values: Sequence[object]
    ) -> int | None:
        """Return the first row behind `after` for which a condition over m holds, else from the start.

        Returns None if there is none.
        """
        query = self._query(filter)
        where, own = query.where(1)
        places = [(query.start, -1)]
        if after is not None:
            found = self._database.read(
                "SELECT m.sort, m.row FROM member m JOIN strata s ON s.id = m.stratum "
                "WHERE s.name = ? AND m.row = ?",
                filter.stratum,
                after,
            )
            places = [(sort, row) for sort, row in found] + places
        for sort, row in (*places, (_ALL_SORTS, -1)):
            rows = self._database.read(
                f"SELECT m.row FROM member m WHERE {where} AND (m.sort, m.row) > (?, ?) {condition} "
                "ORDER BY m.sort, m.row LIMIT 1",
                *own,
                sort,
                row,
                *values,
            )
            if rows:
                return rows[0][0]
        return None

    def some(self, filter: QueueFilter, count: int, condition: str) -> list[int]:
        """Return up to `count` rows for which a condition over m holds, from the start of the order."""
        query, found = self._query(filter), list[int]()
        where, values = query.where(count)
        for sort, end in ((query.start, ""), (_ALL_SORTS, f"AND m.sort <= {query.start}")):
            rows = self._database.read(
                f"SELECT m.row FROM member m WHERE {where} AND m.sort > ? {end} {condition} "
                "ORDER BY m.sort, m.row LIMIT ?",
                *values,
                sort,
                count - len(found),
            )
            found += [row for (row,) in rows]
        return found

    def all_rows(self, filter: QueueFilter) -> list[int]:
        """Return the rows of all media of a queue, in order from the least sort key."""
        where, values = self._query(filter).where(None)
        sql = f"SELECT m.row FROM member m WHERE {where} ORDER BY m.sort, m.row"
        return [row for (row,) in self._database.read(sql, *values)]

    def _total(self, filter: QueueFilter, query: _Query) -> int:
        """Return the size of a queue, without counting if it is a whole stratum."""
        if query.search is not None and not query.is_narrow:
            return query.search.matches
        if query.search is not None or filter.where.strip() or filter.reviewer:
            return self._count(query)
        return query.members

    def _count(self, query: _Query, condition: str = "", *values: object) -> int:
        """Count the rows of a queue; of a dense search up to one more than `COUNTED`."""
        where, own = query.where(COUNTED + 1 if query.is_dense else None)
        sql = f"SELECT count(*) FROM member m WHERE {where} {condition}"
        if query.is_dense:
            sql = (
                f"SELECT count(*) FROM (SELECT 1 FROM member m WHERE {where} {condition} LIMIT {COUNTED + 1})"
            )
        return self._database.read(sql, *own, *values)[0][0]

    def _rows(self, query: _Query, offset: int, limit: int, total: int) -> list[int]:
        """Return rows in order, read from the nearer end of all `total`."""
        limit = min(limit, total - offset)
        behind = total - offset - limit
        is_backward = behind < offset
        skipped, order = (behind, "DESC") if is_backward else (offset, "ASC")
        where, values = query.where(skipped + limit)
        by = f"ORDER BY m.sort {order}, m.row {order} LIMIT ? OFFSET ?"
        sql = f"SELECT m.row FROM member m WHERE {where} {by}"
        rows = [row for (row,) in self._database.read(sql, *values, max(0, limit), skipped)]
        return rows[::-1] if is_backward else rows

    def _query(self, filter: QueueFilter, *, exact: bool = False) -> _Query:
        """Return the condition of a queue; with `exact`, its search has as many matches as it says."""
        found = self._database.read("SELECT id, size, done FROM strata WHERE name = ?", filter.stratum)
        if not found and filter.stratum not in _TITLES and not filter.stratum.startswith(_BUCKET):
            raise ReviewError(f"there is no stratum {filter.stratum!r}; there are {', '.join(self._names())}")
        identifier, size, done = found[0] if found else (-1, 0, 0)
        where, values = ["m.stratum = ?"], [identifier]
        if filter.state not in ("all", "open", "done"):
            raise ReviewError(f"state {filter.state!r}: use all, open or done")
        if filter.state != "all":
            where.append("m.done = ?")
            values.append(int(filter.state == "done"))
        members = {"all": size, "done": done, "open": size - done}[filter.state]
        search = find(self._database, filter.search, exact=exact) if filter.search.strip() else None
        if filter.where.strip():
            where.append("m.row IN (SELECT row FROM filtered WHERE filter = ?)")
            values.append(self._filtered(filter.where))
        if filter.reviewer:
            where.append("m.row IN (SELECT row FROM reviewed_by WHERE reviewer = ?)")
            values.append(filter.reviewer)
        seed = self._seed if filter.seed is None else filter.seed
        is_dense = search is not None and search.matches > COUNTED
        is_plain = filter.stratum in RANKED or is_dense or not seed
        return _Query(
            clauses=tuple(where),
            values=tuple(values),
            start=_ALL_SORTS if is_plain else start_of(seed),
            members=members,
            search=search,
            is_narrow=filter.stratum != "all" or len(where) > 1,
        )

    def _names(self) -> list[str]:
        return [name for (name,) in self._database.read("SELECT name FROM strata ORDER BY name")]

    def _filtered(self, condition: str) -> int:
        """Return the id of a condition whose media are in the table `filtered`; run it if they are not.

        The result is that of the commit that the database holds.
        """
        commit = self._database.get("commit")
        found = self._database.read(
            "SELECT id FROM filters WHERE condition = ? AND generation = ?", condition, commit
        )
        if found:
            return found[0][0]
        media_ids = self._matching(condition)
        with self._database.transaction() as connection:
            known = [row for (row,) in connection.execute("SELECT id FROM filters ORDER BY id DESC")]
            outdated = connection.execute(
                "SELECT id FROM filters WHERE condition = ?", (condition,)
            ).fetchall()
            for identifier in [*known[_FILTERS_KEPT:], *(row for (row,) in outdated)]:
                connection.execute("DELETE FROM filtered WHERE filter = ?", (identifier,))
                connection.execute("DELETE FROM filters WHERE id = ?", (identifier,))
            (identifier,) = connection.execute(
                "INSERT INTO filters (condition, generation) VALUES (?, ?) RETURNING id", (condition, commit)
            ).fetchone()
            for first in range(0, len(media_ids), 5_000):
                rows = rows_of(self._database, media_ids[first : first + 5_000])
                connection.executemany(
                    "INSERT INTO filtered VALUES (?, ?)", ((identifier, row) for row, _ in rows)
                )
        return identifier


def always_open(stratum: str) -> bool:
    """Return whether a stratum holds media that have their reviews and need another decision."""
    return stratum in ALWAYS_OPEN
