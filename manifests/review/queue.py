"""Queues: which media, in which order, from which place."""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

import re
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from manifests.review.build import rows_of
from manifests.review.cards import Stratum
from manifests.review.database import Database
from manifests.review.live_media import start_of
from manifests.review.messages import QueueFilter, ReviewError
from manifests.review.state import ALWAYS_OPEN, RANKED

COUNTED = 10_000
"""Matches of a search up to which they are counted."""
Matching = Callable[[str], Sequence[str]]
"""Returns the media ids for which an SQL condition holds."""
_FILTERS_KEPT = 20
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
_WORD = re.compile(r'"[^"]*"\*?|[^\s"]+')


_SPARSE = "m.row IN (SELECT rowid FROM texts WHERE texts MATCH ?)"
_DENSE = "EXISTS (SELECT 1 FROM texts WHERE texts MATCH ? AND texts.rowid = m.row)"


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

    where: str
    values: tuple[object, ...]
    start: int
    """Sort key of the first row; the order wraps around."""
    is_dense: bool = False
    """A search with more than `COUNTED` matches: these are not counted further."""


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
        query = self._query(filter)
        total = self._total(filter, query)
        if query.is_dense and total > COUNTED:
            if offset < 0 or offset + limit > COUNTED:
                raise ReviewError(
                    f"search {filter.search!r}: matches more than {COUNTED} clips, of which only the "
                    "first can be reached by position; search for more words"
                )
            return QueueRows(self._rows(query, offset, limit), offset, total, is_exact=False)
        offset = max(0, total + offset) if offset < 0 else offset
        if offset >= total:
            return QueueRows([], offset, total)
        before = self._count(query, "AND m.sort < ?", query.start) if query.start > _ALL_SORTS else 0
        at = (offset + before) % total
        rows = self._rows(query, at, min(limit, total - offset))
        if len(rows) < min(limit, total - offset):  # the order wraps around
            rows += self._rows(query, 0, min(limit, total - offset) - len(rows))
        return QueueRows(rows, offset, total)

    def first(
        self, filter: QueueFilter, *, after: int | None, condition: str, values: Sequence[object]
    ) -> int | None:
        """Return the first row behind `after` for which a condition over m holds, else from the start.

        Returns None if there is none.
        """
        query = self._query(filter)
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
                f"SELECT m.row FROM member m WHERE {query.where} AND (m.sort, m.row) > (?, ?) {condition} "
                "ORDER BY m.sort, m.row LIMIT 1",
                *query.values,
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
        for sort, end in ((query.start, ""), (_ALL_SORTS, f"AND m.sort <= {query.start}")):
            rows = self._database.read(
                f"SELECT m.row FROM member m WHERE {query.where} AND m.sort > ? {end} {condition} "
                "ORDER BY m.sort, m.row LIMIT ?",
                *query.values,
                sort,
                count - len(found),
            )
            found += [row for (row,) in rows]
        return found

    def all_rows(self, filter: QueueFilter) -> list[int]:
        """Return the rows of all media of a queue, in order from the least sort key."""
        query = self._query(filter)
        return [
            row
            for (row,) in self._database.read(
                f"SELECT m.row FROM member m WHERE {query.where} ORDER BY m.sort, m.row", *query.values
            )
        ]

    def _total(self, filter: QueueFilter, query: _Query) -> int:
        """Return the size of a queue, without counting if it is a whole stratum."""
        if filter.where.strip() or filter.search.strip() or filter.reviewer:
            return self._count(query)
        rows = self._database.read("SELECT size, done FROM strata WHERE name = ?", filter.stratum)
        size, done = rows[0] if rows else (0, 0)
        return {"all": size, "done": done, "open": size - done}[filter.state]

    def _count(self, query: _Query, condition: str = "", *values: object) -> int:
        sql = f"SELECT count(*) FROM member m WHERE {query.where} {condition}"
        if query.is_dense:
            sql = f"SELECT count(*) FROM (SELECT 1 FROM member m WHERE {query.where} LIMIT {COUNTED + 1})"
        return self._database.read(sql, *query.values, *values)[0][0]

    def _rows(self, query: _Query, offset: int, limit: int) -> list[int]:
        found = self._database.read(
            f"SELECT m.row FROM member m WHERE {query.where} ORDER BY m.sort, m.row LIMIT ? OFFSET ?",
            *query.values,
            limit,
            offset,
        )
        return [row for (row,) in found]

    def _query(self, filter: QueueFilter) -> _Query:
        found = self._database.read("SELECT id FROM strata WHERE name = ?", filter.stratum)
        if not found and filter.stratum not in _TITLES and not filter.stratum.startswith(_BUCKET):
            raise ReviewError(f"there is no stratum {filter.stratum!r}; there are {', '.join(self._names())}")
        where, values = ["m.stratum = ?"], [found[0][0] if found else -1]
        if filter.state not in ("all", "open", "done"):
            raise ReviewError(f"state {filter.state!r}: use all, open or done")
        if filter.state != "all":
            where.append("m.done = ?")
            values.append(int(filter.state == "done"))
        is_dense = False
        if filter.search.strip():
            expression, is_dense = self._match(filter.search)
            where.append(_DENSE if is_dense else _SPARSE)
            values.append(expression)
        if filter.where.strip():
            where.append("m.row IN (SELECT row FROM filtered WHERE filter = ?)")
            values.append(self._filtered(filter.where))
        if filter.reviewer:
            where.append("m.row IN (SELECT row FROM reviewed_by WHERE reviewer = ?)")
            values.append(filter.reviewer)
        seed = self._seed if filter.seed is None else filter.seed
        is_plain = filter.stratum in RANKED or is_dense or not seed
        start = _ALL_SORTS if is_plain else start_of(seed)
        return _Query(where=" AND ".join(where), values=tuple(values), start=start, is_dense=is_dense)

    def _names(self) -> list[str]:
        return [name for (name,) in self._database.read("SELECT name FROM strata ORDER BY name")]

    def _match(self, search: str) -> tuple[str, bool]:
        """Return the FTS5 expression of a search, and whether it has more than `COUNTED` matches.

        Raises ReviewError if it holds no word.
        """
        expression = match_expression(search)
        try:
            ((hits,),) = self._database.read(
                "SELECT count(*) FROM (SELECT 1 FROM texts WHERE texts MATCH ? LIMIT ?)",
                expression,
                COUNTED + 1,
            )
        except sqlite3.OperationalError as error:
            raise ReviewError(
                f"search {search!r}: cannot be understood ({error}); write plain words"
            ) from error
        return expression, hits > COUNTED

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


def match_expression(search: str) -> str:
    """Return the FTS5 expression for words, `"phrases"` and `prefixes*`, all of which must be there."""
    terms = list[str]()
    for term in _WORD.findall(search):
        is_prefix, text = term.endswith("*"), term.strip('"*').replace('"', "")
        if any(character.isalnum() for character in text):
            terms.append(f'"{text}"{"*" if is_prefix else ""}')
    if not terms:
        raise ReviewError(f"search {search!r}: holds no word to look for")
    return " ".join(terms)


def always_open(stratum: str) -> bool:
    """Return whether a stratum holds media that have their reviews and need another decision."""
    return stratum in ALWAYS_OPEN
