"""Read what a dataset report shows, column by column, as datasets may have millions of clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from kinora.report.contents import DroppedClip, file_name
from kinora.report.embed import data_uri
from kinora.report.histograms import Histogram, build_histogram
from kinora.report.reading import Stage, stages
from kinora.review.rules import LastRules
from manifests import conservation
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.review.facts import dataset_figures
from manifests.review.quality import ReviewFigures
from manifests.thumbnails import read_thumbnails
from pipeline.analyze.signals.columns import SCORE_COLUMNS
from pipeline.config import SelectConfig
from pipeline.planning.last_config import last
from pipeline.select.rules import limit, rules_of

EXAMPLES = 4
"""Clips shown per reason, and files listed per failure code."""
FILES = 8
"""Files listed as slowest, and as largest."""
RUNS = 12
"""Newest commits listed."""
MAX_VALUES = 10
"""Values shown of a string column."""
_DERIVED = {
    "duration_s": "seconds",
    "aspect": "width over height",
    "short_side": "pixels of the source's short side",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Clips dropped for one reason, or kept in the review band of one rule."""

    name: str
    clips: int
    examples: Sequence[DroppedClip]


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """Failures of one stage and code."""

    stage: str
    code: str
    units: int
    files: Sequence[str]
    message: str
    """Message of one of them."""
    remedy: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ValueCounts:
    """Value counts of a string column, most frequent first."""

    name: str
    about: str
    counts: Sequence[tuple[str, int]]


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetContents:
    """Contents of a dataset at one commit."""

    number: int
    sources: int
    clips: int
    kept: int
    footage_s: float
    kept_s: float
    funnel: Sequence[Stage]
    faults: Sequence[str]
    histograms: Sequence[Histogram]
    value_counts: Sequence[ValueCounts]
    reasons: Sequence[Reason]
    bands: Sequence[Reason]
    """Kept clips in the review band of each rule."""
    codes: Sequence[Code]
    slowest: Sequence[Mapping[str, Any]]
    largest: Sequence[Mapping[str, Any]]
    reviews: ReviewFigures | None
    """None without reviews."""
    runs: Sequence[Commit]
    """Newest commits that added data, newest first."""
    commands: Sequence[str]
    """Last invocation of each command; rerunning one resumes it."""


def read(dataset: Dataset) -> DatasetContents:
    """Read the contents of a dataset report."""
    view = LiveView(dataset)
    counted, faults = conservation.audit(view)
    with duckdb.connect() as connection:
        for name, table in (("c", view.clips), ("d", view.selections), ("s", view.sources)):
            connection.register(name, table)
        connection.register("f", view.failures)
        about = _own_columns(view)
        columns = _measurements(connection, view.clips.column_names, [*about])
        kept_N = columns.pop("kept").astype(bool)
        limits = _limits(dataset)
        histograms = [
            build_histogram(name, about.get(name) or _about(name), values_N, kept_N, limits.get(name, ()))
            for name, values_N in columns.items()
        ]
        duration_N = columns["duration_s"]
        return DatasetContents(
            number=dataset.number,
            sources=view.sources.num_rows,
            clips=view.clips.num_rows,
            kept=int(kept_N.sum()),
            footage_s=float(np.nansum(duration_N)),
            kept_s=float(np.nansum(duration_N[kept_N])),
            funnel=stages(counted),
            faults=faults,
            histograms=[found for found in histograms if found],
            value_counts=_value_counts(connection, view.clips),
            reasons=_reasons(connection, dataset, column="reason", where="NOT d.kept"),
            bands=_reasons(connection, dataset, column="review", where="d.kept AND d.review <> ''"),
            codes=_codes(connection),
            slowest=_files(connection, view.sources, "analyze_s"),
            largest=_files(connection, view.sources, "size_bytes"),
            reviews=_reviews(view),
            runs=[commit for commit in reversed(dataset.commits) if commit.added][:RUNS],
            commands=_commands(dataset.commits),
        )


def _reviews(view: LiveView) -> ReviewFigures | None:
    if not view.dataset.parts("reviews"):
        return None
    return dataset_figures(view, LastRules(view.dataset))


def _own_columns(view: LiveView) -> dict[str, str]:
    """Return the columns of numbers of scorers of the user's own, with the scorer of each."""
    return {
        name: request.scorer
        for request in view.scorer_requests.values()
        for name, kind in request.columns.items()
        if ":" in request.scorer and kind in ("float64", "int64")
    }


def _measurements(
    connection: duckdb.DuckDBPyConnection, names: Sequence[str], own: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Return `kept` and one array per measurement, NaN where missing, all in the same clip order."""
    scores = [c.name for c in SCORE_COLUMNS if c.name in names and c.type in ("float64", "int64")]
    scores += own
    wanted = ", ".join(f"c.{name}::DOUBLE AS {name}" for name in scores)
    found = connection.sql(f"""
        SELECT coalesce(d.kept, false) AS kept,
            CASE WHEN c.kind = 'video' THEN (c.end_pts - c.start_pts) * c.time_base_num / c.time_base_den END
                AS duration_s,
            c.width / c.height AS aspect, least(c.width, c.height)::DOUBLE AS short_side
            {", " + wanted if wanted else ""}
        FROM c LEFT JOIN d USING (clip_id)
    """).fetchnumpy()
    return {
        name: np.ma.filled(values.astype(float), np.nan) if name != "kept" else np.asarray(values)
        for name, values in found.items()
    }


def _limits(dataset: Dataset) -> dict[str, list[float]]:
    """Return the limits of the last selection's rules by measurement."""
    config = last(dataset, "select", SelectConfig)
    limits: dict[str, list[float]] = {}
    for rule in rules_of(config):
        limits.setdefault(rule.column, []).append(limit(config, rule.limit))
    limits["short_side"] = limits.get("side_px", [])
    return limits


def _about(name: str) -> str:
    return _DERIVED.get(name) or next(column.about for column in SCORE_COLUMNS if column.name == name)


def _value_counts(connection: duckdb.DuckDBPyConnection, clips: pa.Table) -> list[ValueCounts]:
    found = []
    for column in SCORE_COLUMNS:
        if column.name in clips.column_names and column.type == "string":
            query = f"FROM c WHERE {column.name} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MAX_VALUES}"
            if counts := connection.sql(f"SELECT {column.name}, count(*) {query}").fetchall():
                found.append(ValueCounts(name=column.name, about=column.about, counts=counts))
    return found


def _reasons(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, *, column: str, where: str
) -> list[Reason]:
    """Count the selections for which `where` holds by `column`, with examples of each."""
    rows = connection.sql(f"""
        SELECT d.{column}, d.clip_id, d.detail, c.uri, count(*) OVER (PARTITION BY d.{column}) AS clips
        FROM d JOIN c USING (clip_id) WHERE {where}
        QUALIFY row_number() OVER (PARTITION BY d.{column} ORDER BY d.clip_id) <= {EXAMPLES}
        ORDER BY clips DESC, d.{column}, d.clip_id
    """).fetchall()
    pictures = read_thumbnails(dataset, [row[1] for row in rows])
    reasons: dict[tuple[str, int], list[DroppedClip]] = {}
    for reason, clip_id, detail, uri, clips in rows:
        jpeg = pictures.get(clip_id)
        picture = data_uri("image/jpeg", jpeg) if jpeg else ""
        reject = DroppedClip(picture=picture, reason=reason, detail=detail, source=file_name(uri))
        reasons.setdefault((reason, clips), []).append(reject)
    return [Reason(name=name, clips=clips, examples=examples) for (name, clips), examples in reasons.items()]


def _codes(connection: duckdb.DuckDBPyConnection) -> list[Code]:
    rows = connection.sql(f"""
        SELECT stage, code, count(*), list(uri ORDER BY uri)[:{EXAMPLES}], min(message), min(remedy)
        FROM f GROUP BY stage, code ORDER BY 3 DESC, 1, 2
    """).fetchall()
    return [
        Code(
            stage=stage,
            code=code,
            units=units,
            files=list(dict.fromkeys(map(file_name, uris))),
            message=message,
            remedy=remedy,
        )
        for stage, code, units, uris, message, remedy in rows
    ]


def _files(connection: duckdb.DuckDBPyConnection, sources: pa.Table, by: str) -> list[dict[str, Any]]:
    """Return the files with the highest values of column `by`; none if the column does not exist."""
    if by not in sources.column_names:
        return []
    seconds = "analyze_s" if "analyze_s" in sources.column_names else "NULL::DOUBLE"
    sql = f"""
        SELECT uri, size_bytes, width, height, num_frames, codec, {seconds} AS analyze_s FROM s
        WHERE {by} IS NOT NULL ORDER BY {by} DESC, uri LIMIT {FILES}
    """
    rows = connection.sql(sql).to_arrow_table().to_pylist()
    return [{**row, "file": file_name(row["uri"])} for row in rows]


def _commands(commits: Sequence[Commit]) -> list[str]:
    last = {" ".join(commit.command.split()[:2]): commit.command for commit in commits if commit.command}
    return list(last.values())
