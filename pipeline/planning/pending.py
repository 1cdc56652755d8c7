"""Find the pending units of each stage: those without a committed row for the same configuration and code.

Works on Arrow columns; units become objects one at a time, as they are handed out (`LazyUnits`).
"""

from collections.abc import Collection, Sequence, Set
from dataclasses import fields
from functools import partial
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.live_view import COMMIT_COLUMN, LiveView
from manifests.records import Source
from manifests.shards import sample_keys
from pipeline.caption.units import CaptionUnit
from pipeline.columns import BORDER_NAMES
from pipeline.config import CaptionConfig, CutConfig, DedupConfig, SelectConfig, config_digest
from pipeline.cut.crop import crop_of, encoding_of, encoding_under
from pipeline.cut.unit import CutUnit
from pipeline.cut.windows import count_windows
from pipeline.dedup.decisions import with_duplicates
from pipeline.planning.caption_inputs import make_unit, scores_in_words, with_transcripts
from pipeline.runtime.lazy_units import LazyUnits
from pipeline.select.select import rule_columns, rules_digests
from pipeline.select.where import with_where
from video.seek import SEEKABLE_CODECS

RetryMode = Literal["none", "failed", "all"]
"""`none` is no retry: failed units are left out. `failed` takes only failed units that are not quarantined,
`all` also those in quarantine."""

_MIN_CHUNK_S = 10.0
"""Minimum length of a chunk to cut: each is decoded from the key frame before its first clip."""
_SOURCE_FIELDS = tuple(field.name for field in fields(Source))


def to_analyze(view: LiveView, listed: Sequence[Source], analyses: Collection[str]) -> list[Source]:
    """Return the listed sources that were not analyzed, with or without success, under one of `analyses`."""
    sources = view.read("sources", ["source_key", "analysis"])
    wanted = pc.is_in(sources["analysis"], value_set=pa.array(sorted(analyses), pa.string()))
    attempted = sources.filter(wanted)["source_key"]
    keys = pa.array([source.source_key for source in listed], pa.string())
    done = pc.is_in(keys, value_set=attempted.combine_chunks()).to_numpy(zero_copy_only=False)
    return [source for source, known in zip(listed, done, strict=True) if not known]


def failed_sources(view: LiveView) -> list[Source]:
    """Return the sources whose analysis failed."""
    rows = view.read("sources", [*_SOURCE_FIELDS, "status"])
    return _sources(rows.filter(pc.equal(rows["status"], "failed")))


def _sources(rows: pa.Table) -> list[Source]:
    return [Source(**row) for row in rows.select(_SOURCE_FIELDS).to_pylist()]


def to_select(
    view: LiveView,
    config: SelectConfig,
    dedup: DedupConfig,
    source_keys: Collection[str] | None = None,
) -> pa.Table:
    """Return the clips to select: those without a decision since they were last analyzed and compared.

    The rows hold the columns of the rules and of `with_duplicates`.

    Args:
        source_keys: sources whose clips are considered; all by default.
    """
    measured = view.read("clips", [*rule_columns(view), COMMIT_COLUMN])
    clips = with_duplicates(measured.drop_columns([COMMIT_COLUMN]), view.duplicates, dedup)
    decided = view.read("selections", ["clip_id", "rules", COMMIT_COLUMN])
    decided = decided.select(["rules", COMMIT_COLUMN]).take(
        pc.index_in(clips["clip_id"], value_set=combine(decided["clip_id"]))
    )
    other = pc.not_equal(decided["rules"], rules_digests(clips, config))
    pending = pc.or_(other, pc.greater(measured[COMMIT_COLUMN], decided[COMMIT_COLUMN])).fill_null(True)
    if source_keys is not None:
        pending = pc.and_(
            pending, pc.is_in(clips["source_key"], value_set=pa.array([*source_keys], pa.string()))
        )
    return with_where(clips.filter(pending), view, config)


def to_cut(
    view: LiveView,
    config: CutConfig,
    mode: RetryMode = "none",
    source_keys: Collection[str] | None = None,
) -> pa.Table:
    """Return the kept clips without media of the wanted crop, encoding and windows, by source and time.

    Columns: the clip, `crop`, `encoding`, `num_windows`, `media_id` to keep (or an empty string), and
    `seekable`: whether its source can be cut in chunks. A clip that was cut whole before there were windows
    stays whole, with its media id, while its crop is the same and `window_s` is the default.

    Args:
        mode: whether failed clips are left out or the only ones taken.
        source_keys: in a retry, sources whose clips are all taken as well.
    """
    names = ["clip_id", "source_key", "uri", "start_pts", "end_pts", "time_base_num", "time_base_den"]
    names += ["height", "width", "kind", "num_frames", *BORDER_NAMES]
    clips = _with_windows(view.read("clips", names), config)
    selection = view.read("selections", ["clip_id", "kept"])
    clips = clips.filter(_in(clips["clip_id"], selection.filter(selection["kept"])["clip_id"]))
    earlier = {commit.config_digest for commit in view.dataset.commits if commit.stage == "cut"}
    crops = _crops(clips, config, earlier | {config_digest(config)})
    shape = [name for name in clips.column_names if name in crops.column_names]
    stays_whole = f"m.num_windows = 0 AND (c.num_windows = 1 OR {config.window_s == CutConfig.window_s})"
    same_shape = " AND ".join(f"c.{name} IS NOT DISTINCT FROM k.{name}" for name in shape)
    if mode == "none":
        wanted = "NOT EXISTS (SELECT 1 FROM f WHERE f.unit = c.clip_id)"
    else:
        wanted = "(c.clip_id IN (SELECT unit FROM f) OR c.source_key IN (SELECT key FROM o))"
    return view.query(
        f"""
        WITH m AS (
            SELECT clip_id, any_value(encoding) AS encoding, any_value(media_id) AS media_id,
                   max(num_windows) AS num_windows
            FROM media GROUP BY clip_id),
        p AS (
            SELECT c.*, k.crop, k.encoding,
                   coalesce({stays_whole} AND list_contains(k.same_crop, m.encoding), false) AS is_kept,
                   m.media_id AS old_id, m.encoding AS old_encoding, m.num_windows AS old_windows
            FROM c JOIN k ON {same_shape} LEFT JOIN m USING (clip_id))
        SELECT c.clip_id, c.source_key, c.uri, c.start_pts, c.end_pts, c.time_base_num, c.time_base_den,
               c.crop, c.encoding, CASE WHEN is_kept THEN 1 ELSE c.num_windows END AS num_windows,
               CASE WHEN is_kept THEN old_id ELSE '' END AS media_id, s.source_key IS NOT NULL AS seekable
        FROM p c LEFT JOIN s USING (source_key)
        WHERE NOT coalesce(old_encoding = c.encoding AND (is_kept OR old_windows = c.num_windows), false)
          AND {wanted}
        ORDER BY c.uri, c.source_key, c.start_pts, c.clip_id
        """,
        c=clips,
        k=crops,
        s=_seekable_sources(view),
        media=view.read("media", ["clip_id", "media_id", "encoding", "num_windows"]),
        f=_failed_cuts(view, config_digest(config), mode),
        o=pa.table({"key": pa.array([*(source_keys or ())], pa.string())}),
    )


def _failed_cuts(view: LiveView, config: str, mode: RetryMode) -> pa.Table:
    """Return the failures to leave out (`none`) or to retry, by the digest of the configuration."""
    if mode == "none":
        return failed_units(view, "cut", config=config)
    failed = failed_units(view, "cut")
    if mode == "all":
        return failed
    quarantine = failed_units(view, "cut", config=config, quarantined=True)
    return failed.filter(pc.invert(_in(failed["unit"], quarantine["unit"])))


def cut_units(clips: pa.Table, config: CutConfig, num_tasks: int = 0) -> LazyUnits[CutUnit]:
    """Group the rows of `to_cut` into units: one per source, or per chunk of a long one.

    Args:
        num_tasks: shorten chunks until there are about this many units; 0 for chunks of `max_chunk_s`.
    """
    columns = ("start_pts", "end_pts", "time_base_num", "time_base_den")
    start_N, end_N, num_N, den_N = (clips[name].to_numpy() for name in columns)
    total_s = float(((end_N - start_N) * num_N / den_N).sum())
    chunk_s = config.max_chunk_s
    if num_tasks:
        chunk_s = min(chunk_s, max(_MIN_CHUNK_S, total_s / num_tasks))
    chunk_N = np.zeros(clips.num_rows, np.int64)
    if chunk_s > 0:
        chunk_N[:] = np.floor(start_N * num_N / den_N / chunk_s) * clips["seekable"].to_numpy()
    return LazyUnits(clips.append_column("chunk", pa.array(chunk_N)), ("source_key", "chunk"), _cut_unit)


def _seekable_sources(view: LiveView) -> pa.Table:
    """Return the keys of local sources that can be decoded from the middle, judged by container and codec."""
    sources = view.read("sources", ["source_key", "codec", "uri"])
    codec = pc.is_in(sources["codec"], value_set=pa.array(SEEKABLE_CODECS))
    local = pc.match_substring_regex(sources["uri"], r"(?i)^(file:///|/).*\.(mp4|mov|m4v|mkv|webm)$")
    return sources.filter(pc.and_(codec, local)).group_by("source_key").aggregate([])


def _with_windows(clips: pa.Table, config: CutConfig) -> pa.Table:
    """Append `num_windows`, the number of windows that each clip is to be divided into."""
    columns = ("start_pts", "end_pts", "time_base_num", "time_base_den", "num_frames")
    start_N, end_N, num_N, den_N, frames_N = (clips[name].to_numpy() for name in columns)
    is_still_N = pc.equal(clips["kind"], "image").to_numpy(zero_copy_only=False)
    duration_N = np.where(is_still_N, 0.0, (end_N - start_N) * num_N / den_N)
    return clips.append_column("num_windows", pa.array(count_windows(duration_N, frames_N, config.window_s)))


def _crops(clips: pa.Table, config: CutConfig, earlier: Collection[str]) -> pa.Table:
    """Return each distinct frame size and border, with its crop and the name of its encoding.

    Args:
        earlier: digests of the settings of cuts, which give the encodings of the same crop (`same_crop`).
    """
    shape = [name for name in clips.column_names if name in ("height", "width") or name.startswith("border_")]
    shapes = clips.select(shape).group_by(shape).aggregate([])
    crops = [crop_of(row, config) for row in shapes.to_pylist()]
    encodings = [encoding_of(crop, config) for crop in crops]
    same_crop = [[encoding_under(crop, each) for each in sorted(earlier)] for crop in crops]
    shapes = shapes.append_column("crop", pa.array(crops, pa.list_(pa.int64())))
    shapes = shapes.append_column("encoding", pa.array(encodings, pa.string()))
    return shapes.append_column("same_crop", pa.array(same_crop, pa.list_(pa.string())))


def _cut_unit(clips: Sequence[dict[str, Any]]) -> CutUnit:
    first = clips[0]
    return CutUnit(
        source_key=first["source_key"],
        uri=first["uri"],
        time_base_num=first["time_base_num"],
        time_base_den=first["time_base_den"],
        clip_ids=tuple(clip["clip_id"] for clip in clips),
        spans=tuple((clip["start_pts"], clip["end_pts"]) for clip in clips),
        crops=tuple(None if clip["crop"] is None else tuple(clip["crop"]) for clip in clips),
        windows=tuple(clip["num_windows"] for clip in clips),
        media_ids=tuple(clip["media_id"] for clip in clips),
    )


def to_caption(
    view: LiveView, version: str, *, retry: bool, config: CaptionConfig | None = None
) -> tuple[LazyUnits[CaptionUnit], int]:
    """Return the media without an attempt by caption `version`, and the total number of media.

    Args:
        retry: return the media where `version` failed instead.
        config: says which transcripts and scores the units need; by default none.

    Raises ValueError for a column of transcripts or scores that there is not.
    """
    config = config or CaptionConfig()
    names = ["media_id", "clip_id", "path", "offset", "length", "num_frames", "height", "width"]
    media = view.read("media", [*names, "num_windows", "window_index"])
    captions = view.read("captions", ["media_id", "outcome"], version=version)
    wanted = pc.invert(_in(media["media_id"], captions["media_id"]))
    if retry:
        wanted = _in(media["media_id"], captions.filter(pc.not_equal(captions["outcome"], "ok"))["media_id"])
    media_to_caption = media.filter(wanted)
    clips = view.read("clips", ["clip_id", "uri"])
    clip_rows = pc.index_in(media_to_caption["clip_id"], value_set=combine(clips["clip_id"]))
    rows = media_to_caption.select(names).append_column("uri", pc.take(clips["uri"], clip_rows))
    rows = rows.append_column("key", sample_keys(media_to_caption))
    if config.score_words:
        rows = rows.append_column("score_words", scores_in_words(view, clip_rows, config.score_words))
    if config.transcripts:
        rows = with_transcripts(view, rows, config.transcripts)
    return LazyUnits(rows, (), partial(make_unit, config.transcripts)), media.num_rows


def failed_units(view: LiveView, stage: str, **equal: Any) -> pa.Table:
    """Return the view failures of `stage` (column `unit`) whose other columns equal `equal`."""
    names = ["stage", "unit", "config", "quarantined"]
    failures = view.read("failures", names, stage=stage)
    for name, value in equal.items():
        failures = failures.filter(pc.equal(failures[name], pa.scalar(value)))
    return failures.select(["unit"])


def quarantined_units(view: LiveView, stage: str, **equal: Any) -> Set[str]:
    """Return the units of `stage` in quarantine."""
    return set(failed_units(view, stage, quarantined=True, **equal)["unit"].to_pylist())


def _in(column: pa.ChunkedArray, values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.is_in(column, value_set=combine(values))
