"""Full-text search: the cheapest of three ways to find which members of a queue match.

drive   look up each text that matches among the members: for words in few texts
walk    go through the members in order, and look each up among all texts that match: for words in many
probe   go through the members in order, and ask the index about each: for words in most texts

Costs are measured: a probe takes hundreds of times as long as a step of a walk, but needs no list of matches.
"""

import re
import sqlite3
from dataclasses import dataclass

from manifests.review.database import Database
from manifests.review.messages import ReviewError

_WORD = re.compile(r'"[^"]*"\*?|[^\s"]+')
_DRIVE = "m.row IN (SELECT rowid FROM texts WHERE texts MATCH ?)"
_WALK = "+m.row IN (SELECT rowid FROM texts WHERE texts MATCH ?)"
_PROBE = "EXISTS (SELECT 1 FROM texts WHERE texts MATCH ? AND texts.rowid = m.row)"
_DRIVE_US, _LIST_US, _STEP_US, _PROBE_US = 4.0, 0.6, 0.5, 300.0
"""Microseconds of one match that is looked up, one that is listed, one member walked past, and one probe."""
_COUNTS_KEPT = 100
_PREFIX_US = 0.2
"""Microseconds that a probe of a prefix takes for each match: it reads all of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """The words that a queue is searched for."""

    expression: str
    """In the language of FTS5."""
    matches: int
    """Texts that match."""
    texts: int
    """Texts in all."""

    def condition(self, members: int, wanted: int | None) -> str:
        """Return the SQL condition over a member m that finds the first `wanted` of `members` fastest.

        Args:
            wanted: None for all of them.
        """
        walked = float(members)
        if wanted is not None and self.matches:
            walked = min(walked, wanted * self.texts / self.matches)
        probe_us = _PROBE_US + (_PREFIX_US * self.matches if "*" in self.expression else 0.0)
        costs = {
            _DRIVE: self.matches * _DRIVE_US,
            _WALK: self.matches * _LIST_US + walked * _STEP_US,
            _PROBE: walked * probe_us,
        }
        return min(costs, key=costs.__getitem__)


def find(database: Database, search: str, *, exact: bool) -> Search:
    """Count the texts that match a search. Raises ReviewError if it holds no word, or is not understood.

    Args:
        exact: False takes a number from before the last changes, which is good enough to choose a way.
    """
    expression = match_expression(search)
    changes = database.changes
    counted_at, matches = database.match_counts.get(expression, (-1, 0))
    if counted_at != changes and (exact or counted_at < 0):
        try:
            ((matches,),) = database.read("SELECT count(*) FROM texts WHERE texts MATCH ?", expression)
        except sqlite3.OperationalError as error:
            raise ReviewError(
                f"search {search!r}: cannot be understood ({error}); write plain words"
            ) from error
        if len(database.match_counts) >= _COUNTS_KEPT:
            database.match_counts.clear()
        database.match_counts[expression] = changes, matches
    ((texts,),) = database.read("SELECT coalesce(max(size), 0) FROM strata WHERE name = 'all'")
    return Search(expression=expression, matches=matches, texts=max(texts, matches))


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
