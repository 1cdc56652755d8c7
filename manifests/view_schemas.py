"""The views that SQL statements read, and their columns."""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from manifests import schemas
from manifests.dataset import Dataset
from manifests.live_view import COMMIT_COLUMN, LARGE_COLUMNS, LiveView
from manifests.parts import RECORDS
from manifests.view_tables import TABLES

CAPTIONED = "captioned"
"""View with a row for each media: it, the caption that counts, the clip with its scores, its selection."""
COMMITS = "commits"
"""View with a row for each commit."""
DECISIONS = "decisions"
"""View with a row for each reviewed media: what its reviews come to (`manifests.review.decisions`)."""
VIEW_DOCS: Mapping[str, str] = {
    "sources": "the newest analysis of each source file",
    "clips": "the clips, with the scores that count, of the newest successful analysis of each source",
    "clip_occurrences": "the same, with a row for each file that holds the clip: equal files repeat ids",
    "gaps": "the spans of sources without a clip, and why",
    "scores": "the rows of scorers that ran after the analysis, under all of their settings",
    "selections": "the newest decision to keep or drop each clip",
    "duplicates": "the newest decision of dedup on each clip",
    "media": "the cut and encoded media of the kept clips: one of each, or one of each window",
    "captions": "the caption that counts of each media",
    "caption_attempts": "the caption of each media and version",
    "newest_attempts": "the newest caption of each media, OK or not",
    "reviews": "the decisions of reviewers, all of them and in order",
    "failures": "what failed and has not succeeded since",
    "removals": "the sources that were taken out for good",
    DECISIONS: "the decision that stands for each reviewed media",
    CAPTIONED: "a row for each media: it, the caption that counts, the clip with its scores, its selection",
    COMMITS: "the log: a row for each commit",
}
"""What the rows of each view are."""
VIEWS = tuple(VIEW_DOCS)

COMMITS_SCHEMA = pa.schema(
    [
        pa.field("number", pa.int64(), nullable=False),
        pa.field("at", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("config_digest", pa.string(), nullable=False),
        pa.field("config", pa.string(), nullable=False),
        pa.field("counts", pa.string(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("command", pa.string(), nullable=False),
        pa.field("versions", pa.string(), nullable=False),
    ]
)
_RENAMED = {("captions", "detail"): "caption_detail", ("media", "digest"): "media_digest"}
"""Columns of `captioned` that are ambiguous without their view."""


def view_schema(view: LiveView, name: Any) -> pa.Schema:
    """Return the columns of a live view without `LARGE_COLUMNS`, then `_commit`: what added the row."""
    table = TABLES[name]
    record = schemas.arrow_schema(RECORDS[table])
    found = {field.name: field for field in record}
    if table in (
        "sources",
        "clips",
        "scores",
        "captions",
    ):  # those with columns beside the ones of their record
        found |= {field.name: field for field in view.dataset.schema(table) if field.name not in found}
    if table == "clips":
        for request in view.scorer_requests.values():
            for column, kind in request.columns.items():
                found[column] = pa.field(column, pa.type_for_alias(kind))
    fields = [field for field in found.values() if field.name not in LARGE_COLUMNS]
    return pa.schema([*fields, pa.field(COMMIT_COLUMN, pa.int64())])


def commits_table(dataset: Dataset) -> pa.Table:
    """Return the log as a table; configurations, counts and versions are JSON objects."""
    rows = [
        {
            "number": commit.number,
            "at": commit.at,
            "stage": commit.stage,
            "config_digest": commit.config_digest,
            "config": json.dumps(commit.config, default=str),
            "counts": json.dumps(commit.counts, default=str),
            "seconds": float(commit.seconds),
            "command": commit.command,
            "versions": json.dumps(commit.versions, default=str),
        }
        for commit in dataset.commits
    ]
    return pa.Table.from_pylist(rows, schema=COMMITS_SCHEMA)


def captioned_columns(view: LiveView) -> dict[str, tuple[str, str]]:
    """Return the columns of `captioned`: for each the view and the column it comes from."""
    columns: dict[str, tuple[str, str]] = {}
    for name in ("media", "captions", "clips", "selections"):
        names: list[str] = view_schema(view, name).names
        for column in names:
            if column != COMMIT_COLUMN:
                columns.setdefault(_RENAMED.get((name, column), column), (name, column))
    return columns


def captioned_sql(view: LiveView) -> str:
    """Return the statement that creates `captioned` from the views that it joins."""
    columns = captioned_columns(view)
    listed = ", ".join(f'{name}."{column}" AS "{shown}"' for shown, (name, column) in columns.items())
    return f"""
        CREATE VIEW {CAPTIONED} AS SELECT {listed} FROM media
        LEFT JOIN captions ON captions.media_id = media.media_id
        LEFT JOIN clips ON clips.clip_id = media.clip_id
        LEFT JOIN selections ON selections.clip_id = media.clip_id"""
