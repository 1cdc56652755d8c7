"""Does everything add up? Items in = kept + dropped (reason) + failed (reason), at every stage."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import duckdb
import pyarrow as pa

from manifests import views
from manifests.store import Dataset


def check(dataset: Dataset) -> list[str]:
    """Return one sentence for each thing that does not add up; none where all does."""
    return _check(_tables(dataset))


def funnel(dataset: Dataset) -> dict[str, Any]:
    """Return how many items each stage had, kept, dropped and failed, by reason."""
    return _funnel(_tables(dataset))


def look(dataset: Dataset) -> tuple[dict[str, Any], list[str]]:
    """Return `funnel` and `check` for the price of one."""
    tables = _tables(dataset)
    return _funnel(tables), _check(tables)


def _check(tables: Mapping[str, pa.Table]) -> list[str]:
    with duckdb.connect() as connection:
        for name, table in tables.items():
            connection.register(name, table)
        found = [(rule, connection.sql(sql).fetchall()) for rule, sql in _RULES.items()]
    return [_sentence(rule, rows) for rule, rows in found if rows]


def _funnel(tables: Mapping[str, pa.Table]) -> dict[str, Any]:
    sources, clips, media = tables["sources"], tables["clips"], tables["media"]
    selection, captions, failures = tables["selection"], tables["captions"], tables["failures"]
    failed = {
        stage: _counted([row["code"] for row in failures.to_pylist() if row["stage"] == stage])
        for stage in ("analyze", "cut", "caption")
    }
    reasons = _counted(selection["reason"].to_pylist())
    kept = reasons.pop("kept", 0)
    outcomes = _counted(captions["outcome"].to_pylist())
    return {
        "sources": {
            "listed": sources.num_rows,
            "ok": sources["status"].to_pylist().count("ok"),
            "failed": failed["analyze"],
        },
        "clips": {
            "found": clips.num_rows,
            "repeated": tables["spans"].num_rows - clips.num_rows,
            "gaps": _counted(tables["gaps"]["reason"].to_pylist()),
            "seconds": _seconds(clips),
        },
        "selection": {"kept": kept, "dropped": reasons, "undecided": clips.num_rows - selection.num_rows},
        "cut": {
            "done": media.num_rows,
            "failed": failed["cut"],
            "to_do": kept - media.num_rows - sum(failed["cut"].values()),
            "seconds": sum(media["duration_s"].to_pylist()),
        },
        "captions": {
            "ok": outcomes.pop("ok", 0),
            "other": outcomes,
            "to_do": media.num_rows - captions.num_rows,
            "by": _counted(captions["captioner"].to_pylist()),
        },
    }


_RULES = {
    "a source is neither ok nor failed with a row of its failure": """
        SELECT s.uri FROM sources s LEFT JOIN failures f ON f.stage = 'analyze' AND f.unit = s.source_key
        WHERE NOT ((s.status = 'ok' AND f.unit IS NULL) OR (s.status = 'failed' AND f.unit IS NOT NULL))""",
    "clips and gaps do not tile their source": """
        WITH pieces AS (
            SELECT source_key, start_pts, end_pts FROM spans
            UNION ALL SELECT source_key, start_pts, end_pts FROM gaps),
        steps AS (
            SELECT *, lag(end_pts) OVER (PARTITION BY source_key ORDER BY start_pts) AS before FROM pieces),
        whole AS (
            SELECT source_key, min(start_pts) AS first, max(end_pts) AS last,
                   bool_or(before IS NOT NULL AND before <> start_pts) AS broken
            FROM steps GROUP BY source_key)
        SELECT s.uri FROM sources s LEFT JOIN whole w USING (source_key)
        WHERE s.status = 'ok' AND (w.first IS DISTINCT FROM s.start_pts OR w.last IS DISTINCT FROM s.end_pts
                                   OR w.broken)""",
    "a clip is not one of kept, dropped and undecided": """
        SELECT clip_id FROM selection WHERE kept <> (reason = 'kept')""",
    "a clip is both cut and failed to be cut": """
        SELECT m.clip_id FROM media m SEMI JOIN (SELECT unit FROM failures WHERE stage = 'cut') f
        ON f.unit = m.clip_id""",
    "media does not have as many frames as its clip": """
        SELECT m.clip_id FROM media m JOIN clips c USING (clip_id) WHERE m.num_frames <> c.num_frames""",
    "a caption is OK without a text, or has a text without being OK": """
        SELECT media_id FROM captions WHERE (outcome = 'ok') <> (text IS NOT NULL AND short IS NOT NULL)""",
    "a caption that is not OK has no row of its failure": """
        SELECT c.media_id FROM captions c
        ANTI JOIN (SELECT unit FROM failures WHERE stage = 'caption') f ON f.unit = c.media_id
        WHERE c.outcome <> 'ok'""",
}


def _tables(dataset: Dataset) -> dict[str, pa.Table]:
    current = views.Current(dataset)
    return {
        "sources": current.sources,
        "spans": current.spans,
        "clips": current.clips,
        "gaps": current.gaps,
        "selection": current.selection,
        "media": current.media,
        "captions": current.captions(),
        "failures": current.failures,
    }


def _sentence(rule: str, rows: list[tuple[Any, ...]]) -> str:
    shown = ", ".join(str(row[0]) for row in rows[:3])
    return f"{rule}: {len(rows)} ({shown}{', …' if len(rows) > 3 else ''})"


def _counted(values: list[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _seconds(clips: pa.Table) -> float:
    columns = ("start_pts", "end_pts", "time_base_num", "time_base_den")
    rows = zip(*(clips[name].to_pylist() for name in columns), strict=True)
    return float(sum((end - start) * num / den for start, end, num, den in rows))
