"""The rows of an export: one for each piece of media, with its captions, scores and review.

Everything but the texts is held in memory; texts are sorted on disk and streamed.
"""

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.arrow import combine, pc
from manifests.dataset import Dataset
from manifests.live_view import LARGE_COLUMNS, LiveView
from manifests.records import LENGTH_COLUMNS, Clip, caption_digest
from manifests.redact import redact
from manifests.review.decisions import standing_decisions
from manifests.sandboxed_sql import sandboxed
from manifests.shards import sample_keys
from manifests.sql import connect

CLAIMS = "claims"
"""Column of the captions, if there is one, with the claims of a caption."""
LICENCE_KEYS = ("licence", "license")
"""Columns of a source list that hold the licence."""
CLAIMS_TYPE = pa.list_(
    pa.struct(
        [
            ("text", pa.string()),
            ("verdict", pa.string()),
            ("start_s", pa.float64()),
            ("end_s", pa.float64()),
        ]
    )
)
_CAPTION_FIELDS = (
    "version",
    "short",
    "medium",
    "dense",
    "parts",
    "heard",
    "captioner",
    "model",
    "revision",
    "prompt_digest",
    "caption_digest",
)
_OWN_FIELDS = tuple(
    name for name in _CAPTION_FIELDS if name not in LENGTH_COLUMNS and name != "caption_digest"
)
_REVIEW_TYPE = pa.struct(
    [
        ("verdict", pa.string()),
        ("reviewers", pa.list_(pa.string())),
        ("reason", pa.string()),
        ("note", pa.string()),
        ("short", pa.string()),
        ("medium", pa.string()),
        ("dense", pa.string()),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
        ("disagreement", pa.bool_()),
        ("stale", pa.bool_()),
        ("caption_version", pa.string()),
        ("newest", pa.string()),
    ]
)
_BASE = pa.schema(
    [
        ("key", pa.string()),
        ("clip_id", pa.string()),
        ("media_id", pa.string()),
        ("kind", pa.string()),
        ("uri", pa.string()),
        ("source_digest", pa.string()),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
        ("carried", pa.string()),
        ("licence", pa.string()),
        ("num_frames", pa.int64()),
        ("fps", pa.float64()),
        ("height", pa.int64()),
        ("width", pa.int64()),
        ("duration_s", pa.float64()),
        ("short", pa.string()),
        ("medium", pa.string()),
        ("dense", pa.string()),
        ("parts", pa.string()),
        ("caption_version", pa.string()),
        ("captioner", pa.string()),
        ("edited", pa.bool_()),
        ("captions", pa.list_(pa.struct([(name, pa.string()) for name in _CAPTION_FIELDS]))),
        ("review", _REVIEW_TYPE),
    ]
)
_BATCH_ROWS = 2000
_SORTED = "SELECT * FROM read_parquet('{path}') ORDER BY row, number"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportRow:
    """One piece of media."""

    values: dict[str, Any]
    """The columns of `ExportRows.schema`."""
    media: Mapping[str, Any]
    """Where its bytes are: `clip_id`, `path`, `offset`, `length`, `digest` and `extension`."""


class ExportRows:
    """All rows of an export, ordered by key."""

    def __init__(self, dataset: Dataset, *, version: str = "", where: str = "") -> None:
        self.dataset, self._version = dataset, version or None
        self._view = LiveView(dataset)
        self.media = _select_media(self._view, where)
        """The media of the export, with their `key`."""
        self.clips = self._join_clips()
        """The clip of each row of `media`, with what its source list carried, and `licence`."""
        self.scores = _score_columns(self._view)
        self._score_rows = self._join_scores()
        self._has_claims = CLAIMS in self._view.columns("captions")
        self.counting = self._counting_versions()
        self.reviews = self._standing_reviews()

    def __len__(self) -> int:
        return self.media.num_rows

    def count_versions(self) -> dict[str, int]:
        """Return the number of OK captions of these media by version."""
        captions, _ = self._ok_captions()
        groups = captions.group_by("version").aggregate([([], "count_all")]).to_pylist()
        return {row["version"]: row["count_all"] for row in sorted(groups, key=lambda row: row["version"])}

    def score_values(self) -> dict[str, pa.ChunkedArray]:
        """Return the scores of the clips of these media, a value a clip."""
        codes_N = combine(combine(self.media["clip_id"]).dictionary_encode()).indices.to_numpy()
        rows = self._score_rows.take(pa.array(np.unique(codes_N, return_index=True)[1]))
        return {name: rows[name] for name in self.scores}

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the rows."""
        extra = [pa.field(CLAIMS, CLAIMS_TYPE)] if self._has_claims else []
        if self.scores:
            types = self._score_rows.schema
            struct = pa.struct([(name, types.field(name).type) for name in self.scores])
            extra.append(pa.field("scores", struct))
        return pa.schema([*_BASE, *extra])

    def __iter__(self) -> Iterator[ExportRow]:
        with self._sorted_captions() as captions:
            following = next(captions, None)
            for first in range(0, len(self), _BATCH_ROWS):
                media = self.media.slice(first, _BATCH_ROWS).to_pylist()
                clips = self.clips.slice(first, _BATCH_ROWS).to_pylist()
                scores = self._score_rows.slice(first, _BATCH_ROWS).to_pylist()
                for row, (medium, clip, score) in enumerate(zip(media, clips, scores, strict=True), first):
                    found: list[dict[str, Any]] = []
                    if following is not None and following[0] == row:
                        found, following = following[1], next(captions, None)
                    yield self._row(row, medium, clip, score, found)

    def _row(
        self,
        row: int,
        media: Mapping[str, Any],
        clip: Mapping[str, Any],
        scores: Mapping[str, Any],
        captions: Sequence[dict[str, Any]],
    ) -> ExportRow:
        review = self.reviews.get(media["media_id"])
        counting = next((each for each in captions if each["version"] == self.counting[row]), None)
        texts = {length: counting[length] if counting else None for length in LENGTH_COLUMNS}
        edits = {length: review[length] for length in LENGTH_COLUMNS if review and review[length] is not None}
        edits = {} if review and review["stale"] else edits
        unit_s = clip["time_base_num"] / clip["time_base_den"]
        names = ("start_pts", "end_pts")
        span = [media[f"window_{name}"] for name in names]
        span = [clip[name] for name in names] if None in span else span
        about = ("clip_id", "media_id", "num_frames", "fps", "height", "width", "duration_s", "key")
        values: dict[str, Any] = {name: media[name] for name in about}
        values |= {name: clip[name] for name in ("kind", "source_digest", "carried", "licence")}
        values |= {"uri": redact(clip["uri"]), "start_s": span[0] * unit_s, "end_s": span[1] * unit_s}
        values |= texts | edits | {"edited": bool(edits)}
        values |= {"caption_version": counting["version"] if counting else None, "review": review}
        values |= {name: counting[name] if counting else None for name in ("captioner", "parts")}
        values["captions"] = [{name: each[name] for name in _CAPTION_FIELDS} for each in captions]
        if self._has_claims:
            values[CLAIMS] = (counting or {}).get(CLAIMS) or []
        if self.scores:
            values["scores"] = dict(scores)
        where = ("clip_id", "path", "offset", "length", "digest", "extension")
        return ExportRow(
            values={name: values[name] for name in self.schema.names},
            media={name: media[name] for name in where},
        )

    def _join_clips(self) -> pa.Table:
        """Return the clip and the carried columns of each row of media."""
        names = ["kind", "uri", "source_key", "source_digest", "start_pts", "end_pts"]
        names += ["time_base_num", "time_base_den"]
        clips = self._view.read("clips", ["clip_id", *names])
        index = pc.index_in(self.media["clip_id"], value_set=combine(clips["clip_id"]))
        clips = clips.take(index)
        sources = self._view.read("sources", ["source_key", "carried"])
        index = pc.index_in(clips["source_key"], value_set=combine(sources["source_key"]))
        carried = combine(pc.coalesce(sources["carried"].take(index), "{}")).dictionary_encode()
        licences = pa.array([licence_of(each) for each in carried.dictionary.to_pylist()], pa.string())
        clips = clips.append_column("carried", carried.dictionary.take(carried.indices))
        return clips.append_column("licence", licences.take(carried.indices)).combine_chunks()

    def _join_scores(self) -> pa.Table:
        """Return the scores of each row of media."""
        clips = self._view.read("clips", ["clip_id", *self.scores])
        index = pc.index_in(self.media["clip_id"], value_set=combine(clips["clip_id"]))
        return clips.select(self.scores or ["clip_id"]).take(index).combine_chunks()

    def _counting_versions(self) -> list[str | None]:
        """Return the version of the OK caption that counts of each row of media."""
        captions = self._view.read("captions", ["media_id", "version", "outcome"], version=self._version)
        captions = captions.filter(pc.equal(captions["outcome"], "ok"))
        index = pc.index_in(self.media["media_id"], value_set=combine(captions["media_id"]))
        return captions["version"].take(index).to_pylist()

    def _standing_reviews(self) -> dict[str, dict[str, Any]]:
        """Return the decision that stands on each reviewed media."""
        reviews = self._view.read("reviews")
        if not reviews.num_rows:
            return {}
        self._view.derive("captions", "caption_digest", [*LENGTH_COLUMNS.values()], _caption_digests)
        current = self._view.read("captions", ["media_id", "caption_digest"], version=self._version)
        found: dict[str, dict[str, Any]] = {}
        for row in standing_decisions(reviews, current).to_pylist():
            row |= {length: row[column] for length, column in LENGTH_COLUMNS.items()}
            found[row["media_id"]] = {field.name: row[field.name] for field in _REVIEW_TYPE}
        return found

    @contextmanager
    def _sorted_captions(self) -> Generator[Iterator[tuple[int, list[dict[str, Any]]]]]:
        """Yield the OK captions of each row of media that has any, in order, oldest version first."""
        with TemporaryDirectory(prefix="kinora-export-") as folder, connect() as connection:
            path = Path(folder) / "captions.parquet"
            if not self._spool_captions(path):
                yield iter(())
                return
            reader = connection.sql(_SORTED.format(path=path)).to_arrow_reader(_BATCH_ROWS)
            rows = (row for batch in reader for row in batch.to_pylist())
            yield ((row, list(group)) for row, group in groupby(rows, key=lambda each: each["row"]))

    def _ok_captions(self) -> tuple[pa.Table, np.ndarray]:
        """Return the newest OK caption of each media and version, and its number among all captions."""
        keys = self._view.read("caption_attempts", ["media_id", "version", "outcome"])
        numbers_N = self._view.row_indices("caption_attempts")
        wanted = pc.and_(
            pc.equal(keys["outcome"], "ok"),
            pc.is_in(keys["media_id"], value_set=combine(self.media["media_id"])),
        )
        if self._version is not None:
            wanted = pc.and_(wanted, pc.equal(keys["version"], self._version))
        return keys.filter(wanted), numbers_N[wanted.to_numpy()]

    def _spool_captions(self, path: Path) -> bool:
        """Write the newest OK caption of each media and version to a file; return whether there are any."""
        keys, numbers_N = self._ok_captions()
        row_N = pc.index_in(keys["media_id"], value_set=combine(self.media["media_id"])).to_numpy()
        writer: pq.ParquetWriter | None = None
        first = begin = 0
        for part in self.dataset.parts("captions"):
            first, last = first + part.rows, begin
            begin = int(np.searchsorted(numbers_N, first))
            if begin > last:
                names = [*LENGTH_COLUMNS.values(), *_OWN_FIELDS, *([CLAIMS] if self._has_claims else [])]
                chosen_N = numbers_N[last:begin]
                rows = self.dataset.read_part(part, names).take(pa.array(chosen_N - (first - part.rows)))
                table = self._spooled(rows, row_N[last:begin], chosen_N)
                writer = writer or pq.ParquetWriter(path, table.schema)
                writer.write_table(table)
        if writer:
            writer.close()
        return writer is not None

    def _spooled(self, rows: pa.Table, row_N: np.ndarray, numbers_N: np.ndarray) -> pa.Table:
        """Return captions with the row of their media, and their texts under the names of lengths."""
        columns: dict[str, Any] = {"row": pa.array(row_N.astype(np.int64)), "number": pa.array(numbers_N)}
        columns |= {length: rows[column] for length, column in LENGTH_COLUMNS.items()}
        columns |= {name: rows[name] for name in _CAPTION_FIELDS if name in rows.column_names}
        columns["caption_digest"] = _caption_digests(rows)
        if self._has_claims:
            present = CLAIMS in rows.column_names
            columns[CLAIMS] = rows[CLAIMS].cast(CLAIMS_TYPE) if present else pa.nulls(len(rows), CLAIMS_TYPE)
        return pa.table(columns).replace_schema_metadata(None)


def licence_of(carried: str) -> str | None:
    """Return the licence in the columns that a source list carried along; None if it names none."""
    columns = parse_carried(carried)
    found = (value for name, value in columns.items() if name.lower() in LICENCE_KEYS)
    return next((str(value) for value in found if value not in (None, "")), None)


def parse_carried(carried: str) -> dict[str, Any]:
    """Return the columns that a source list carried along."""
    value = json.loads(carried or "{}")
    return value if isinstance(value, dict) else {}


def _select_media(view: LiveView, where: str) -> pa.Table:
    names = ["clip_id", "media_id", "path", "offset", "length", "extension", "num_frames", "height"]
    names += ["width", "fps", "duration_s", "digest"]
    windows = ["num_windows", "window_index", "window_start_pts", "window_end_pts"]
    media = view.read("media", [*names, *windows])
    if where:
        with sandboxed(LiveView(view.dataset)) as sql:
            wanted = pa.array(sql.matching(where), pa.string())
        media = media.filter(pc.is_in(media["media_id"], value_set=wanted))
    media = media.append_column("key", sample_keys(media))
    return media.take(pc.sort_indices(media, [("key", "ascending")])).combine_chunks()


def _score_columns(view: LiveView) -> list[str]:
    """Return the columns of scores that a table can hold as numbers or texts."""
    own = {field.name for field in fields(Clip)} | {*LARGE_COLUMNS}
    names = [name for name in view.columns("clips") if name not in own and not name.startswith("_")]
    schema = view.read("clips", names).schema.remove_metadata() if names else pa.schema([])
    plain = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean, pa.types.is_string)
    return [field.name for field in schema if any(is_kind(field.type) for is_kind in plain)]


def _caption_digests(captions: pa.Table) -> pa.Array:
    texts = zip(*(captions[column].to_pylist() for column in LENGTH_COLUMNS.values()), strict=True)
    return pa.array([caption_digest(*each) for each in texts], pa.string())
