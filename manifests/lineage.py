"""Lineage: from any id to the source, clip, media, captions and reviews that it stands for, both ways.

Rows that are no longer live are found too, since shards and batches may be older than the newest commit.
"""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from manifests import schemas
from manifests.arrow import combine, pc
from manifests.dataset import Dataset
from manifests.live_view import COMMIT_COLUMN, LARGE_COLUMNS, LiveView
from manifests.parts import RECORDS, Part, TableName
from manifests.review.decisions import counted_rows
from manifests.scores import DIGEST_PREFIX, score_columns
from manifests.shards import sample_keys

Row = dict[str, Any]
_ID_COLUMNS: Mapping[TableName, tuple[str, ...]] = {
    "media": ("media_id", "clip_id"),
    "clips": ("clip_id", "source_key"),
    "sources": ("source_key", "source_digest", "uri"),
    "reviews": ("review_id",),
}
_KINDS = {
    "media_id": "media",
    "key": "media",
    "clip_id": "clip",
    "source_key": "source",
    "source_digest": "source",
    "uri": "source",
    "review_id": "review",
}
_MAX_LISTED = 5


class UnknownId(ValueError):
    """An id that nothing has, or that several things begin with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What an id stands for."""

    kind: str
    """`media`, `clip`, `source` or `review`."""
    column: str
    """The column that holds the id, such as `clip_id`; `key` for the key of a sample."""
    value: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipLineage:
    """A clip and all that was made of it; each row with `_commit`, the number of the commit that added it."""

    source: Row
    clip: Row
    """With the scores that count, if the clip is live."""
    live: bool
    """Whether the newest analysis of the source still has this clip."""
    selection: Row | None
    duplicate: Row | None
    copies: tuple[Row, ...]
    """Clips that were dropped as copies of this one."""
    media: tuple[Row, ...]
    """Each with `key`, `live`, `captions` (those that count have `counts`) and `reviews` (those that were
    taken back have `withdrawn`)."""
    failures: tuple[Row, ...]


def resolve(dataset: Dataset, text: str) -> Found:
    """Return what an id, or a prefix of one, stands for.

    Raises UnknownId, with examples, if nothing or more than one thing begins with it.
    """
    found: dict[tuple[str, str], Found] = {}
    for column, ids in _all_ids(dataset):
        values = pc.unique(pc.drop_null(ids))
        if pc.any(pc.equal(values, text)).as_py():
            return Found(kind=_KINDS[column], column=column, value=text)
        hits = pc.starts_with(values, pattern=text)
        if column == "uri":  # the name of a file will do
            hits = pc.or_(hits, pc.ends_with(values, pattern=f"/{text}"))
        for value in values.filter(hits).slice(0, _MAX_LISTED + 1).to_pylist():
            found.setdefault((_KINDS[column], _thing(column, value)), _as_found(column, value))
    if text and len(found) == 1:
        return next(iter(found.values()))
    if not found or not text:
        raise UnknownId(
            f"{text!r}: no clip, media, sample, source or review of {dataset.uri} has this id; "
            '`kinora captions sql "SELECT clip_id, media_id, uri FROM captioned"` lists some'
        )
    examples = ", ".join(f"{each.kind} {each.value}" for each in [*found.values()][:_MAX_LISTED])
    raise UnknownId(f"{text!r}: several things begin with it ({examples}); give more of the id")


def trace_clips(view: LiveView, clip_ids: Sequence[str], only_media: str | None = None) -> list[ClipLineage]:
    """Return the lineage of clips, in their order.

    Args:
        only_media: the one media to include; all of each clip by default.

    Raises UnknownId for a clip without a row of it or of its source.
    """
    dataset = view.dataset
    clips = _newest(_rows(dataset, "clips", "clip_id", clip_ids), "clip_id")
    if missing := [clip_id for clip_id in clip_ids if clip_id not in clips]:
        raise UnknownId(
            f"{missing[0]}: is in media of {dataset.uri}, but no clip has this id; "
            "`kinora captions check` lists damage"
        )
    live = {row["clip_id"]: row for row in _live_clips(view, clip_ids)}
    sources = _rows(dataset, "sources", "source_key", {clip["source_key"] for clip in clips.values()})
    selections = _newest(_rows(dataset, "selections", "clip_id", clip_ids), "clip_id")
    duplicates = _newest(_rows(dataset, "duplicates", "clip_id", clip_ids), "clip_id")
    copies = _where_in(view.read("duplicates"), "keeper", clip_ids).to_pylist()
    media = _newest(_rows(dataset, "media", "clip_id", clip_ids), "media_id")
    chosen = [row for row in media.values() if only_media in (None, row["media_id"])]
    by_clip = _grouped(_with_captions(view, chosen), "clip_id")
    failures = _where_in(view.read("failures"), "unit", [*clip_ids, *media]).to_pylist()
    return [
        ClipLineage(
            source=_source(dataset, clips[clip_id], sources),
            clip=clips[clip_id] | live.get(clip_id, {}),
            live=clip_id in live,
            selection=selections.get(clip_id),
            duplicate=duplicates.get(clip_id),
            copies=tuple(row for row in copies if row["keeper"] == clip_id and row["clip_id"] != clip_id),
            media=tuple(by_clip.get(clip_id, ())),
            failures=tuple(
                row
                for row in failures
                if row["unit"] in {clip_id, *(each["media_id"] for each in by_clip.get(clip_id, ()))}
            ),
        )
        for clip_id in clip_ids
    ]


def clips_of(view: LiveView, source: Row) -> list[str]:
    """Return the ids of the live clips of a source, in order of time."""
    rows = view.read("clip_occurrences", ["clip_id", "source_key", "start_pts"])
    rows = rows.filter(pc.equal(rows["source_key"], source["source_key"])).sort_by("start_pts")
    return rows["clip_id"].to_pylist()


def source_of(dataset: Dataset, found: Found) -> Row:
    """Return the newest row of the source that an id stands for."""
    return _rows(dataset, "sources", found.column, [found.value])[-1]


def clip_of(dataset: Dataset, found: Found) -> tuple[str, str | None]:
    """Return the clip id that a clip, media, sample key or review stands for, and the media id if one."""
    if found.kind == "clip":
        return found.value, None
    if found.kind == "review":
        row = _rows(dataset, "reviews", "review_id", [found.value])[0]
        if not row["clip_id"]:
            raise UnknownId(
                f"{found.value}: takes back {row['withdraws']}, an action on clips; trace one of them. "
                "`kinora captions sql \"SELECT clip_id, action FROM reviews WHERE action <> ''\"` lists them"
            )
        return row["clip_id"], row["media_id"] or None
    if found.column == "key":
        clip_id, _, index = found.value.rpartition("-")
        rows = _rows(dataset, "media", "clip_id", [clip_id])
        row = [row for row in rows if row["num_windows"] > 1 and row["window_index"] == int(index)][-1]
    else:
        row = _rows(dataset, "media", "media_id", [found.value])[-1]
    return row["clip_id"], row["media_id"]


def commits_of(lineage: ClipLineage) -> list[int]:
    """Return the numbers of the commits that added the rows of a lineage, ascending."""
    rows: list[Row | None] = [lineage.source, lineage.clip, lineage.selection, lineage.duplicate]
    for media in lineage.media:
        rows += [media, *media["captions"], *media["reviews"]]
    return sorted({row[COMMIT_COLUMN] for row in rows if row})


def _all_ids(dataset: Dataset) -> Iterable[tuple[str, Any]]:
    """Yield the columns of ids, sample keys of clips with several windows among them."""
    for table, columns in _ID_COLUMNS.items():
        names = [*columns, "num_windows", "window_index"] if table == "media" else columns
        rows = dataset.read(table, names)
        for column in columns:
            yield column, combine(rows[column])
        if table == "media":
            several = rows.filter(pc.greater(rows["num_windows"], 1))
            yield "key", sample_keys(several)


def _thing(column: str, value: str) -> str:
    """Return what tells two things apart: the key of a window is none beside its clip."""
    return value.rpartition("-")[0] if column == "key" else value


def _as_found(column: str, value: str) -> Found:
    if column == "key":  # a prefix of a key that is no whole key is one of the clip
        return Found(kind="clip", column="clip_id", value=value.rpartition("-")[0])
    return Found(kind=_KINDS[column], column=column, value=value)


def _source(dataset: Dataset, clip: Row, sources: list[Row]) -> Row:
    own = [row for row in sources if row["source_key"] == clip["source_key"]]
    good = [row for row in own if row["source_digest"] == clip["source_digest"]]
    if not good:
        raise UnknownId(
            f"{clip['clip_id']}: its source {clip['uri']} is not among the sources of {dataset.uri}; "
            "`kinora captions check` lists damage"
        )
    return good[-1]


def _live_clips(view: LiveView, clip_ids: Sequence[str]) -> list[Row]:
    """Return the live rows of clips: their commit, and the scores of the scorers that count."""
    names = ["clip_id", COMMIT_COLUMN, *score_columns(view.scorer_requests)]
    names += [DIGEST_PREFIX + name for name in view.scorer_requests]
    rows = view.read("clips", [name for name in names if name not in LARGE_COLUMNS])
    return _where_in(rows, "clip_id", clip_ids).to_pylist()


def _with_captions(view: LiveView, media: list[Row]) -> Iterable[Row]:
    """Yield rows of media with `key`, `live`, `captions` and `reviews`."""
    dataset, names = view.dataset, [row["media_id"] for row in media]
    captions = _grouped(_rows(dataset, "captions", "media_id", names), "media_id")
    counting = view.read("captions", ["media_id", "version", COMMIT_COLUMN])
    counting = {tuple(row.values()) for row in _where_in(counting, "media_id", names).to_pylist()}
    reviews = _grouped(_rows(dataset, "reviews", "media_id", names), "media_id")
    counted = _counted_ids(view) if reviews else set[str]()
    live = {*_where_in(view.read("media", ["media_id"]), "media_id", names)["media_id"].to_pylist()}
    for row, key in zip(media, _keys(media), strict=True):
        name = row["media_id"]
        marked = [
            each | {"counts": (name, each["version"], each[COMMIT_COLUMN]) in counting}
            for each in captions.get(name, ())
        ]
        yield row | {
            "key": key,
            "live": name in live,
            "captions": marked,
            "reviews": [
                each | {"withdrawn": each["review_id"] not in counted} for each in reviews.get(name, ())
            ],
        }


def _counted_ids(view: LiveView) -> set[str]:
    """Return the ids of the reviews that were not taken back."""
    reviews = view.read("reviews", ["review_id", "verdict", "action", "withdraws"])
    return {*reviews.filter(counted_rows(reviews))["review_id"].to_pylist()}


def _keys(media: list[Row]) -> list[str]:
    if not media:
        return []
    return sample_keys(pa.Table.from_pylist(media)).to_pylist()


def _rows(dataset: Dataset, table: TableName, column: str, values: Iterable[str]) -> list[Row]:
    """Return all rows of `table`, live or not, with one of `values`, oldest first, with their commit.

    Whole rows are read from the parts that have one of them, without `LARGE_COLUMNS`.
    """
    wanted = pa.array(sorted(values), pa.string())
    numbers = {part.path: commit.number for commit in dataset.commits for part in commit.added}
    record = schemas.arrow_schema(RECORDS[table]).names

    def read(part: Part) -> list[Row]:
        hits = pc.is_in(dataset.read_part(part, [column])[column], value_set=wanted)
        if not pc.any(hits).as_py():
            return []
        stored = dataset.part_schema(part).names
        names = [*dict.fromkeys([*record, *(name for name in stored if name not in LARGE_COLUMNS)])]
        rows = dataset.read_part(part, names).filter(hits)
        return [row | {COMMIT_COLUMN: numbers[part.path]} for row in rows.to_pylist()]

    return [row for rows in dataset.map_parallel(read, dataset.parts(table)) for row in rows]


def _newest(rows: list[Row], key: str) -> dict[str, Row]:
    """Return the last row of each key, in the order of the keys' last rows."""
    found: dict[str, Row] = {}
    for row in rows:
        found.pop(row[key], None)
        found[row[key]] = row
    return found


def _grouped(rows: Iterable[Row], key: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    return groups


def _where_in(rows: pa.Table, column: str, values: Sequence[str]) -> pa.Table:
    return rows.filter(pc.is_in(rows[column], value_set=pa.array(values, pa.string())))
