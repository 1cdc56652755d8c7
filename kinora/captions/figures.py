"""Figures of each caption version: outcomes, lengths, words, repetition, and what was reviewed."""
# DuckDB has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from typing import Any

from manifests.arrow import pc
from manifests.live_view import LiveView
from manifests.records import LENGTH_COLUMNS
from manifests.review.decisions import standing_decisions
from manifests.sql import connect

_OPENING = 4
"""Words of an opening."""
_OUTCOMES = "SELECT version, outcome, count(*) AS n FROM t GROUP BY ALL ORDER BY ALL"
_LENGTHS = """
    WITH w AS (SELECT version, text, len(string_split_regex(trim(text), '\\s+')) AS words FROM x)
    SELECT version, count(*) AS texts, quantile_disc(words, 0.05) AS words_5, median(words) AS words_50,
           quantile_disc(words, 0.95) AS words_95, median(len(text)) AS chars_50
    FROM w GROUP BY version"""
_WORDS = """
    SELECT version, count(DISTINCT word) AS distinct_words
    FROM (SELECT version, unnest(regexp_extract_all(lower(text), '[\\p{L}\\p{M}\\p{N}]+')) AS word FROM x)
    GROUP BY version"""
_REPEATED = """
    SELECT version, sum(n) FILTER (n > 1) / sum(n) AS same_text
    FROM (SELECT version, text, count(*) AS n FROM x GROUP BY ALL) GROUP BY version"""
_OPENINGS = f"""
    SELECT version, max(n) / sum(n) AS same_opening,
           array_to_string(first(opening ORDER BY n DESC, opening), ' ') AS opening
    FROM (SELECT version, list_slice(string_split_regex(trim(text), '\\s+'), 1, {_OPENING}) AS opening,
                 count(*) AS n FROM x GROUP BY ALL) GROUP BY version"""
_REVIEWED = """
    SELECT version, count(*) AS reviewed, count(*) FILTER (verdict = 'approve') AS approved,
           count(*) FILTER (verdict = 'edit') AS edited, count(*) FILTER (verdict = 'reject') AS rejected
    FROM t SEMI JOIN r USING (media_id) JOIN r USING (media_id)
    WHERE r.caption_version = t.version GROUP BY version"""


def caption_figures(view: LiveView, length: str | None = None) -> dict[str, dict[str, Any]]:
    """Return the figures of each caption version, by version.

    Args:
        length: the length of the texts; the longest of each caption by default.
    """
    columns = [*LENGTH_COLUMNS.values()][::-1] if length is None else [LENGTH_COLUMNS[length]]
    rows = view.read("caption_attempts", ["version", "outcome", "media_id", *LENGTH_COLUMNS.values()])
    counting = view.read("captions", ["version"])["version"]
    texts = rows.append_column("shown", pc.coalesce(*(rows[name] for name in columns)))
    texts = texts.filter(pc.is_valid(texts["shown"])).select(["version", "shown"])
    decisions = standing_decisions(view.read("reviews"))
    found: dict[str, dict[str, Any]] = {}
    with connect() as connection:
        connection.register("t", rows.select(["version", "outcome", "media_id"]))
        connection.register("x", texts.rename_columns(["version", "text"]))
        connection.register("r", decisions.select(["media_id", "verdict", "caption_version"]))
        for row in connection.sql(_OUTCOMES).to_arrow_table().to_pylist():
            found.setdefault(row["version"], {"captions": 0, "outcomes": {}})
            found[row["version"]]["captions"] += row["n"]
            found[row["version"]]["outcomes"][row["outcome"]] = row["n"]
        for sql in (_LENGTHS, _WORDS, _REPEATED, _OPENINGS, _REVIEWED):
            for row in connection.sql(sql).to_arrow_table().to_pylist():
                found[row.pop("version")].update(row)
    counts = {each["values"]: each["counts"] for each in pc.value_counts(counting).to_pylist()}
    return {version: _defaults(each) | {"counts": counts.get(version, 0)} for version, each in found.items()}


def _defaults(figures: dict[str, Any]) -> dict[str, Any]:
    """Return the figures with those of a version without texts or reviews."""
    empty = dict.fromkeys(("texts", "distinct_words", "reviewed", "approved", "edited", "rejected"), 0)
    empty |= dict.fromkeys(("words_5", "words_50", "words_95", "chars_50", "same_opening", "opening"), None)
    merged: dict[str, Any] = empty | {"same_text": 0.0} | figures
    merged["same_text"] = float(merged["same_text"] or 0.0)
    merged["reviewed_share"] = merged["reviewed"] / merged["captions"]
    return merged
