"""Conservation checks: at every stage, items in = kept + dropped (by reason) + failed (by reason)."""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.caption_order import count_versions
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.records import LENGTH_COLUMNS
from manifests.review.summary import live_decisions
from manifests.scores import DIGEST_PREFIX, ScorerRequest
from manifests.sql import connect


def violations(dataset: Dataset) -> list[str]:
    """Return one sentence for each violated rule."""
    return _violations(_tables(LiveView(dataset)))


def funnel(dataset: Dataset) -> dict[str, Any]:
    """Count the items of each stage: kept, dropped and failed, by reason."""
    view = LiveView(dataset)
    return _funnel(_tables(view), view)


def audit(view: LiveView) -> tuple[dict[str, Any], list[str]]:
    """Return `funnel` and `violations` of a dataset from one read of its live rows."""
    tables = _tables(view)
    return _funnel(tables, view), _violations(tables)


def _violations(tables: Mapping[str, pa.Table]) -> list[str]:
    with connect() as connection:
        for name, table in tables.items():
            connection.register(name, table)
        found = {rule: connection.sql(_count_query(sql)).fetchall()[0] for rule, sql in _RULES.items()}
    return [_describe(rule, *bad) for rule, bad in found.items() if bad[0]]


def _count_query(sql: str) -> str:
    """Return a query for the number of rows of `sql` and its first three."""
    return f"SELECT count(*), list(name)[1:3] FROM ({sql}) AS bad(name)"


def _funnel(tables: Mapping[str, pa.Table], view: LiveView) -> dict[str, Any]:
    sources, clips, media = tables["sources"], tables["clips"], tables["media"]
    selection, captions, failures = tables["selection"], tables["captions"], tables["failures"]
    failed = {
        stage: _value_counts(failures.filter(pc.equal(failures["stage"], stage))["code"])
        for stage in ("analyze", "cut", "caption")
    }
    reasons, bands = _value_counts(selection["reason"]), _value_counts(selection["review"])
    kept = reasons.pop("kept", 0)
    outcomes = _value_counts(captions["outcome"])
    num_cut = pc.count_distinct(media["clip_id"]).as_py()
    return {
        "sources": {
            "listed": sources.num_rows,
            "ok": _value_counts(sources["status"]).get("ok", 0),
            "failed": failed["analyze"],
            "removed": pc.count_distinct(view.read("removals", ["source_key"])["source_key"]).as_py(),
        },
        "clips": {
            "found": clips.num_rows,
            "repeated": tables["spans"].num_rows - clips.num_rows,
            "gaps": _value_counts(tables["gaps"]["reason"]),
            "seconds": _seconds(clips),
        },
        "scores": _scores(
            tables["scores"], failures, combine(pc.unique(media["clip_id"])), view.scorer_requests
        ),
        "selection": {
            "kept": kept,
            "dropped": reasons,
            "undecided": clips.num_rows - selection.num_rows,
            "review": {rule: count for rule, count in bands.items() if rule},
        },
        "cut": {
            "done": num_cut,
            "failed": failed["cut"],
            "to_do": kept - num_cut - sum(failed["cut"].values()),
            "media": media.num_rows,
            "windowed": pc.count_distinct(
                media.filter(pc.greater(media["num_windows"], 1))["clip_id"]
            ).as_py(),
            "seconds": pc.sum(media["duration_s"]).as_py() or 0.0,
        },
        "captions": {
            "ok": outcomes.pop("ok", 0),
            "other": outcomes,
            "to_do": media.num_rows - captions.num_rows,
            "by": _value_counts(captions["captioner"]),
        },
        "review": _reviews(live_decisions(view), media.num_rows),
        "caption_versions": _caption_versions(tables, view.dataset),
    }


def _reviews(live: pa.Table, num_media: int) -> dict[str, Any]:
    """Count the decisions that stand on live media, by verdict, and the media to review."""
    verdicts = _value_counts(live["verdict"].filter(pc.is_valid(live["verdict"])))
    disagreement, stale = (int(pc.sum(live[name]).as_py() or 0) for name in ("disagreement", "stale"))
    share = len(live) / num_media if num_media else 0.0
    return {
        "media": num_media,
        "reviewed": len(live),
        "share": round(share, 4),
        "verdicts": verdicts,
        "disagreement": disagreement,
        "stale": stale,
    }


def _scores(
    clips: pa.Table, failures: pa.Table, cut: pa.Array, requests: Mapping[str, ScorerRequest]
) -> dict[str, dict[str, int]]:
    """Count the clips that each scorer scored, failed on, and has not seen.

    Args:
        cut: ids of the kept clips that are cut.
    """
    counts: dict[str, dict[str, int]] = {}
    for name, request in requests.items():
        units = combine(failures.filter(pc.equal(failures["stage"], f"score {name}"))["unit"])
        failed = pc.is_in(clips["clip_id"], value_set=units)
        done = pc.and_not(clips[DIGEST_PREFIX + name].is_valid(), failed)
        left = pc.invert(pc.or_(done, failed))
        if request.of_kept:
            left = pc.and_(left, pc.is_in(clips["clip_id"], value_set=cut))
        masks = {"scored": done, "failed": failed, "to_do": left}
        counts[name] = {state: int(pc.sum(mask).as_py() or 0) for state, mask in masks.items()}
    return counts


def _caption_versions(tables: Mapping[str, pa.Table], dataset: Dataset) -> dict[str, Any]:
    """Count the captions of each version.

    Gives `ok` and `failed` media, those for which the version `counts` (manifests/caption_order.py), and the
    samples of the last shard set that were `packed` with it, by length.
    """
    captions = tables["captions"]
    counted = _value_counts(captions.filter(pc.equal(captions["outcome"], "ok"))["version"])
    packs = [commit.config for commit in dataset.commits if commit.stage == "pack"]
    packed = packs[-1].get("packed", {}) if packs else {}
    return {
        version: counts | {"counts": counted.get(version, 0), "packed": packed.get(version, {})}
        for version, counts in count_versions(tables["attempts"]).items()
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
    "a dropped clip is marked for review": """
        SELECT clip_id FROM selection WHERE review <> '' AND NOT kept""",
    "a clip is both cut and failed to be cut": """
        SELECT m.clip_id FROM media m SEMI JOIN (SELECT unit FROM failures WHERE stage = 'cut') f
        ON f.unit = m.clip_id""",
    "media does not have as many frames as its clip": """
        SELECT clip_id FROM clips c
        JOIN (SELECT clip_id, sum(num_frames) AS total FROM media GROUP BY clip_id) USING (clip_id)
        WHERE total <> c.num_frames""",
    "the windows of a clip do not tile it": """
        WITH steps AS (
            SELECT *, lag(window_end_pts) OVER (PARTITION BY clip_id ORDER BY window_index) AS before
            FROM media WHERE num_windows > 0),
        whole AS (
            SELECT clip_id, min(window_start_pts) AS first, max(window_end_pts) AS last,
                   bool_or(coalesce(before <> window_start_pts, false)) AS broken
            FROM steps GROUP BY clip_id)
        SELECT clip_id FROM whole JOIN clips c USING (clip_id)
        WHERE first <> c.start_pts OR last <> c.end_pts OR broken""",
    "a caption is OK without a text, or has a text without being OK": """
        SELECT media_id FROM captions WHERE (outcome = 'ok') <> has_text""",
    "a caption that is not OK has no row of its failure": """
        SELECT c.media_id FROM captions c
        ANTI JOIN (SELECT unit FROM failures WHERE stage = 'caption') f ON f.unit = c.media_id
        WHERE c.outcome <> 'ok'""",
}


def _tables(view: LiveView) -> dict[str, pa.Table]:
    """Read the columns that the rules and the funnel use."""
    digests = [DIGEST_PREFIX + name for name in view.scorer_requests]
    span = ["source_key", "start_pts", "end_pts"]
    sources = view.read("sources", ["uri", "source_key", "status", "start_pts", "end_pts"])
    clip = ["clip_id", *span, "time_base_num", "time_base_den", "num_frames"]
    spans, clips = view.read("clip_occurrences", clip), view.read("clips", clip)
    gaps = view.read("gaps", [*span, "reason"])
    selection = view.read("selections", ["clip_id", "kept", "reason", "review"])
    window = ["num_windows", "window_index", "window_start_pts", "window_end_pts"]
    media = view.read("media", ["clip_id", "media_id", "num_frames", "duration_s", *window])
    view.derive("captions", "has_text", [*LENGTH_COLUMNS.values()], _has_text)
    captions = view.read("captions", ["media_id", "outcome", "captioner", "version", "has_text"])
    return {
        "sources": sources,
        "spans": spans,
        "clips": clips,
        "gaps": gaps,
        "selection": selection,
        "media": media,
        "captions": captions,
        "attempts": view.read("caption_attempts", ["version", "outcome"]),
        "failures": view.read("failures", ["stage", "unit", "code"]),
        "scores": view.read("clips", ["clip_id", *digests]),
    }


def _has_text(part: pa.Table) -> pa.ChunkedArray:
    return pc.is_valid(pc.coalesce(*(part[column] for column in LENGTH_COLUMNS.values())))


def _describe(rule: str, count: int, names: list[Any]) -> str:
    return f"{rule}: {count} ({', '.join(map(str, names))}{', …' if count > 3 else ''})"


def _value_counts(values: pa.ChunkedArray) -> dict[str, int]:
    counts = pc.value_counts(values)
    return dict(sorted(zip(counts.field(0).to_pylist(), counts.field(1).to_pylist(), strict=True)))


def _seconds(clips: pa.Table) -> float:
    span, num, den = (
        pc.subtract(clips["end_pts"], clips["start_pts"]),
        clips["time_base_num"],
        pc.cast(clips["time_base_den"], pa.float64()),
    )
    return pc.sum(pc.divide(pc.multiply(span, num), den)).as_py() or 0.0
