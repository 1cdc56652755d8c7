"""What is left to do. A unit is done when a committed row says so for the same configuration and code.

All is decided by column, and units are made one at a time as they are handed out: at any size the memory is
that of the columns looked at.
"""

from collections.abc import Collection, Sequence, Set
from dataclasses import fields
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.dataset import Dataset
from manifests.live_view import COMMIT_COLUMN, LiveView
from manifests.records import Source
from pipeline.caption.batch import CaptionUnit
from pipeline.config import CutConfig, DedupConfig, SelectConfig, config_digest
from pipeline.cut.crop import crop_of, encoding_of
from pipeline.cut.unit import CutUnit
from pipeline.dedup.decisions import with_duplicates
from pipeline.runtime.lazy_units import LazyUnits
from pipeline.select.rules import SIDES
from pipeline.select.select import rule_columns, rules_digests
from video.seek import SEEKABLE_CODECS

RetryMode = Literal["none", "failed", "all"]
"""`none` is no retry: failed units are left out. `failed` takes only failed units that are not quarantined,
`all` also those in quarantine."""

_LEAST_SHARE_S = 10.0
"""A share of a long file to be cut is no shorter, whatever the number of tasks: each begins at a key frame
before its first clip."""
_LISTED = tuple(field.name for field in fields(Source))


def as_view(at: Dataset | LiveView) -> LiveView:
    """Return the rows that count; who asks several questions makes them once."""
    return at if isinstance(at, LiveView) else LiveView(at)


def to_analyze(at: Dataset | LiveView, listed: Sequence[Source], analysis: str) -> list[Source]:
    """Return the listed sources without an attempt, good or failed, under `analysis`."""
    sources = as_view(at).read("sources", ["source_key", "analysis"])
    attempted = sources.filter(pc.equal(sources["analysis"], analysis))["source_key"]
    keys = pa.array([source.source_key for source in listed], pa.string())
    done = pc.is_in(keys, value_set=attempted.combine_chunks()).to_numpy(zero_copy_only=False)
    return [source for source, known in zip(listed, done, strict=True) if not known]


def failed_sources(at: Dataset | LiveView) -> list[Source]:
    """Return the sources that could not be analysed."""
    rows = as_view(at).read("sources", [*_LISTED, "status"])
    return _sources(rows.filter(pc.equal(rows["status"], "failed")))


def unscored(at: Dataset | LiveView, analysis: str, *, quarantined: bool = False) -> list[Source]:
    """Return the sources of whose clips a scorer failed at one under `analysis`.

    Args:
        quarantined: only where such a clip is in quarantine.
    """
    view = as_view(at)
    failures = view.read("failures", ["stage", "unit", "config", "quarantined"])
    failures = failures.filter(pc.starts_with(failures["stage"], "score "))
    failures = failures.filter(pc.equal(failures["config"], analysis))
    failures = failures.filter(failures["quarantined"]) if quarantined else failures
    clips = view.read("clips", ["clip_id", "source_key"])
    keys = clips.filter(_in(clips["clip_id"], failures["unit"]))["source_key"]
    rows = view.read("sources", [*_LISTED, "source_key"])
    return _sources(rows.filter(_in(rows["source_key"], keys)))


def _sources(rows: pa.Table) -> list[Source]:
    return [Source(**row) for row in rows.select(_LISTED).to_pylist()]


def to_select(
    at: Dataset | LiveView,
    config: SelectConfig,
    dedup: DedupConfig,
    source_keys: Collection[str] | None = None,
) -> pa.Table:
    """Return the clips, with their scores and what they are copies of, that the rules have not decided since
    they were measured.

    Args:
        source_keys: sources whose clips may be decided; all by default.
    """
    view = as_view(at)
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
    return clips.filter(pending)


def to_cut(
    at: Dataset | LiveView,
    config: CutConfig,
    mode: RetryMode = "none",
    source_keys: Collection[str] | None = None,
) -> LazyUnits[CutUnit]:
    """Return the kept clips that have no media of this crop and encoding, by source.

    Args:
        mode: `none` leaves out what failed under this configuration; the other modes take only that.
        source_keys: in a retry, sources of which every clip is taken as well.
    """
    return cut_units(cut_table(at, config, mode, source_keys), config)


def cut_units(table: pa.Table, config: CutConfig, tasks: int = 0) -> LazyUnits[CutUnit]:
    """Return the rows of `cut_table` as units: a source each, or a share of a long one.

    Args:
        tasks: shares are shorter than `share_s` where the work would else not do for so many tasks; 0 for no
            wish.
    """
    columns = ("start_pts", "end_pts", "time_base_num", "time_base_den")
    start_N, end_N, num_N, den_N = (table[name].to_numpy() for name in columns)
    total_s = float(((end_N - start_N) * num_N / den_N).sum())
    share_s = min(config.share_s, max(_LEAST_SHARE_S, total_s / tasks)) if tasks else config.share_s
    share_N = np.zeros(table.num_rows, np.int64)
    if share_s > 0:
        share_N[:] = np.floor(start_N * num_N / den_N / share_s) * table["enterable"].to_numpy()
    return LazyUnits(table.append_column("share", pa.array(share_N)), ("source_key", "share"), _unit)


def cut_table(
    at: Dataset | LiveView,
    config: CutConfig,
    mode: RetryMode = "none",
    source_keys: Collection[str] | None = None,
) -> pa.Table:
    """Return the rows of `to_cut`: the clips, by source and time, with the crop and encoding wanted, and
    `enterable`, whether its source may be shared out among tasks."""
    view = as_view(at)
    wanted = ["clip_id", "source_key", "uri", "start_pts", "end_pts", "time_base_num", "time_base_den"]
    wanted += ["height", "width", *(f"border_{side}" for side in SIDES)]
    clips = view.read("clips", wanted)
    selection = view.read("selections", ["clip_id", "kept"])
    clips = clips.filter(_in(clips["clip_id"], selection.filter(selection["kept"])["clip_id"]))
    crops = _crops(clips, config)
    media = view.read("media", ["clip_id", "encoding"])
    name = config_digest(config)
    if mode == "none":
        failed = failed_units(view, "cut", config=name)
        wanted_sql = "NOT EXISTS (SELECT 1 FROM f WHERE f.unit = c.clip_id)"
    else:
        failed = failed_units(view, "cut")
        if mode == "failed":
            left = failed_units(view, "cut", config=name, quarantined=True)
            failed = failed.filter(pc.invert(_in(failed["unit"], left["unit"])))
        wanted_sql = "(c.clip_id IN (SELECT unit FROM f) OR c.source_key IN (SELECT key FROM o))"
    shape = [name for name in clips.column_names if name in crops.column_names]
    same = " AND ".join(f"c.{name} IS NOT DISTINCT FROM k.{name}" for name in shape)
    return view.query(
        f"""
        SELECT c.clip_id, c.source_key, c.uri, c.start_pts, c.end_pts, c.time_base_num, c.time_base_den,
               k.crop, k.encoding, e.source_key IS NOT NULL AS enterable
        FROM c JOIN k ON {same} LEFT JOIN e USING (source_key)
        WHERE NOT EXISTS (SELECT 1 FROM m WHERE m.clip_id = c.clip_id AND m.encoding = k.encoding)
          AND {wanted_sql}
        ORDER BY c.uri, c.source_key, c.start_pts, c.clip_id
        """,
        c=clips,
        k=crops,
        e=_enterable(view),
        m=media,
        f=failed,
        o=pa.table({"key": pa.array([*(source_keys or ())], pa.string())}),
    )


def _enterable(view: LiveView) -> pa.Table:
    """Return the keys of sources on a disk that can be decoded from the middle, by what their names say."""
    sources = view.read("sources", ["source_key", "codec", "uri"])
    fit = pc.is_in(sources["codec"], value_set=pa.array(SEEKABLE_CODECS))
    local = pc.match_substring_regex(sources["uri"], r"(?i)^(file:///|/).*\.(mp4|mov|m4v|mkv|webm)$")
    return sources.filter(pc.and_(fit, local)).group_by("source_key").aggregate([])


def _crops(clips: pa.Table, config: CutConfig) -> pa.Table:
    """Return each shape of picture and border that occurs, with its crop and the name of its encoding."""
    shape = [name for name in clips.column_names if name in ("height", "width") or name.startswith("border_")]
    shapes = clips.select(shape).group_by(shape).aggregate([])
    crops = [crop_of(row, config) for row in shapes.to_pylist()]
    named = [encoding_of(crop, config) for crop in crops]
    return shapes.append_column("crop", pa.array(crops, pa.list_(pa.int64()))).append_column(
        "encoding", pa.array(named, pa.string())
    )


def _unit(clips: Sequence[dict[str, Any]]) -> CutUnit:
    first = clips[0]
    return CutUnit(
        source_key=first["source_key"],
        uri=first["uri"],
        time_base_num=first["time_base_num"],
        time_base_den=first["time_base_den"],
        clip_ids=tuple(clip["clip_id"] for clip in clips),
        spans=tuple((clip["start_pts"], clip["end_pts"]) for clip in clips),
        crops=tuple(None if clip["crop"] is None else tuple(clip["crop"]) for clip in clips),
    )


def to_caption(at: Dataset | LiveView, version: str, *, retry: bool) -> tuple[LazyUnits[CaptionUnit], int]:
    """Return the media that `version` was not tried on, and how many media there are in all.

    With `retry`, those instead where it failed.
    """
    view = as_view(at)
    names = ["media_id", "clip_id", "path", "offset", "length", "num_frames", "height", "width"]
    media = view.read("media", names)
    captions = view.read("captions", ["media_id", "outcome"], version=version)
    wanted = pc.invert(_in(media["media_id"], captions["media_id"]))
    if retry:
        wanted = _in(media["media_id"], captions.filter(pc.not_equal(captions["outcome"], "ok"))["media_id"])
    some = media.filter(wanted)
    clips = view.read("clips", ["clip_id", "uri"])
    uris = pc.take(clips["uri"], pc.index_in(some["clip_id"], value_set=combine(clips["clip_id"])))
    some = some.append_column("uri", uris)
    return LazyUnits(some, (), lambda rows: CaptionUnit(**rows[0])), media.num_rows


def failed_units(at: Dataset | LiveView, stage: str, **equal: Any) -> pa.Table:
    """Return the failures (column `unit`) of `stage` that count, and whose columns equal `equal`."""
    names = ["stage", "unit", "config", "quarantined"]
    failures = as_view(at).read("failures", names, stage=stage)
    for name, value in equal.items():
        failures = failures.filter(pc.equal(failures[name], pa.scalar(value)))
    return failures.select(["unit"])


def quarantined(at: Dataset | LiveView, stage: str, **equal: Any) -> Set[str]:
    """Return the units of `stage` that are in quarantine."""
    return set(failed_units(at, stage, quarantined=True, **equal)["unit"].to_pylist())


def _in(column: pa.ChunkedArray, those: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.is_in(column, value_set=combine(those))
