"""The live media of a dataset as one table, with what a queue needs to know of their clips."""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.buckets import assign, frames_of, parse_bucket, shard_folder
from manifests.dataset import Commit
from manifests.digest import digest_bytes
from manifests.live_view import LiveView
from manifests.records import Bucket, Media
from manifests.review.cards import RuleResult, SpanBucket
from manifests.schemas import arrow_schema
from manifests.scores import newest_rows

_CLIP = ("clip_id", "source_key", "uri", "kind", "start_pts", "end_pts", "time_base_num", "time_base_den")
_MEDIA = tuple(name for name in arrow_schema(Media).names if name != "encoding")
_SPAN = ("window_start_pts", "window_end_pts")
_NONE_FITS = "no bucket"
_SORT_BITS = 62
_SIDE_BITS = 20
"""Bits of the height or width of a picture."""


class SelectionRules(Protocol):
    """The rules that kept the clips, which `kinora` passes in."""

    @property
    def columns(self) -> Sequence[str]:
        """Columns of the clips view that the rules read."""
        ...

    @property
    def digest(self) -> str:
        """Digest of the limits: with other ones, other clips are near to them."""
        ...

    def nearest(self, clips: pa.Table) -> pa.Table:
        """Return the rule nearest to its limit for each clip.

        Columns: `margin` (distance from the limit as a fraction of it, null if no rule was measured) and
        `detail`, such as `motion 0.0041, limit 0.004`.
        """
        ...

    def check(self, clip: Mapping[str, Any]) -> Sequence[RuleResult]:
        """Return what each rule measured in one clip, nearest to its limit first."""
        ...


def live_media(view: LiveView, rules: SelectionRules | None) -> pa.Table:
    """Return the live media with the columns of the table `media` of `manifests.review.database`.

    `uri` stands for `source`, and there is no `row`, `live` or `sort`.
    """
    clips = _clips(view, rules)
    media = view.read("media", _MEDIA)
    index = pc.index_in(media["clip_id"], value_set=combine(clips["clip_id"]))
    clips = clips.drop_columns(["clip_id"]).take(combine(index))
    columns = {name: media[name] for name in _MEDIA if name not in _SPAN}
    starts = pc.coalesce(media["window_start_pts"], clips["start_pts"])
    ends = pc.coalesce(media["window_end_pts"], clips["end_pts"])
    return pa.table(
        {
            **columns,
            "kind": clips["kind"],
            "uri": clips["uri"],
            "start_s": _seconds(starts, clips),
            "end_s": _seconds(ends, clips),
            "bucket": bucket_names(media, bucket_settings(view.dataset.commits)),
            **{name: clips[name] for name in ("selection", "margin", "near", "band", "clip_row", "scored")},
        }
    )


def copies(view: LiveView) -> pa.Table:
    """Return the copies of live clips: `keeper`, `clip_id`, `kind`, `detail`."""
    rows = view.read("duplicates", ["keeper", "clip_id", "kind", "detail"])
    kinds = pa.array(["exact", "near", "semantic"])
    return rows.filter(pc.is_in(rows["kind"], value_set=kinds))


def sort_key(media_id: str) -> int:
    """Return a uniform hash of a media id, which orders the queues; below 2^62."""
    return int(digest_bytes(media_id.encode(), size=8), 16) >> (64 - _SORT_BITS)


def start_of(seed: int) -> int:
    """Return the sort key at which the order of a seed begins; that of seed 0 is 0."""
    return sort_key(f"seed {seed}") if seed else 0


def bucket_settings(commits: Iterable[Commit]) -> dict[str, Any]:
    """Return the buckets of the last pack; empty before the first."""
    packs = [commit.config for commit in commits if commit.stage == "pack" and "buckets" in commit.config]
    return {name: packs[-1][name] for name in ("buckets", "fps", "max_crop")} if packs else {}


def bucket_names(media: pa.Table, settings: Mapping[str, Any]) -> pa.Array:
    """Return the bucket of each media by the settings of a pack, or its aspect ratio without any."""
    buckets = [parse_bucket(name) for name in settings.get("buckets", ())]
    frames_N = frames_of(media["duration_s"].to_numpy(), settings.get("fps", 1.0))
    frames_N[media["num_frames"].to_numpy() == 1] = 1
    code_N = (frames_N << 2 * _SIDE_BITS) + (media["height"].to_numpy() << _SIDE_BITS)
    distinct, shape_N = np.unique(code_N + media["width"].to_numpy(), return_inverse=True)
    largest = (1 << _SIDE_BITS) - 1
    shapes = (
        (code >> 2 * _SIDE_BITS, code >> _SIDE_BITS & largest, code & largest) for code in distinct.tolist()
    )
    names = [_bucket_name(*shape, buckets, settings) for shape in shapes]
    return pa.array(names, pa.string()).take(pa.array(shape_N))


def span_buckets(settings: Mapping[str, Any], height: int, width: int) -> tuple[SpanBucket, ...]:
    """Return the bucket of each length that a span of a video of this size may have, shortest first."""
    buckets = [parse_bucket(name) for name in settings["buckets"]]
    found = list[SpanBucket]()
    for num_frames in sorted({bucket.num_frames for bucket in buckets}):
        shape = {"num_frames": num_frames, "height": height, "width": width}
        bucket = assign(**shape, buckets=buckets, max_crop=settings["max_crop"])
        if bucket is not None:
            found.append(SpanBucket(from_frames=num_frames, name=bucket.name, num_frames=bucket.num_frames))
    return tuple(found)


def _bucket_name(
    frames: int, height: int, width: int, buckets: Sequence[Bucket], settings: Mapping[str, Any]
) -> str:
    if not settings:
        shape = Bucket(num_frames=frames, height=height, width=width)
        kind = "still" if frames == 1 else "video"
        return f"{shard_folder(shape, 1.0).split('/')[0].removeprefix('ar_')} {kind}"
    found = assign(
        num_frames=frames, height=height, width=width, buckets=buckets, max_crop=settings["max_crop"]
    )
    return found.name if found else _NONE_FITS


def _clips(view: LiveView, rules: SelectionRules | None) -> pa.Table:
    """Return the live clips: when they begin, why they were kept, the rows that hold their scores."""
    wanted = rules.columns if rules else ()
    clips = view.read("clips", [*dict.fromkeys((*_CLIP, *wanted))])
    nearest = rules.nearest(clips) if rules else None
    nulls = pa.nulls(len(clips), pa.float64())
    selections = view.read("selections", ["clip_id", "detail", "review"])
    selected = selections.take(
        combine(pc.index_in(clips["clip_id"], value_set=combine(selections["clip_id"])))
    )
    sources = view.read("sources", ["source_key", "start_pts"])
    source = combine(pc.index_in(clips["source_key"], value_set=combine(sources["source_key"])))
    first = pc.coalesce(combine(sources["start_pts"]).take(source), 0)
    return pa.table(
        {
            **{name: clips[name] for name in _CLIP if name != "source_key"},
            "first_pts": first,
            "selection": pc.coalesce(selected["detail"], ""),
            "band": pc.coalesce(selected["review"], ""),
            "margin": nearest["margin"] if nearest else nulls,
            "near": nearest["detail"] if nearest else pa.array([""] * len(clips), pa.string()),
            "clip_row": view.row_indices("clips"),
            "scored": _scored(view, clips["clip_id"]),
        }
    )


def _scored(view: LiveView, clip_ids: pa.ChunkedArray) -> pa.Array:
    """Return for each clip a JSON object, the row of the scores table by scorer; empty without any."""
    if not view.scorer_requests or not len(clip_ids):
        return pa.array([""] * len(clip_ids), pa.string())
    scores = view.read("scores", ["clip_id", "scorer", "digest"])
    numbers = pa.array(view.row_indices("scores"))
    found = {
        name: numbers.take(newest_rows(scores, request, clip_ids)).cast(pa.string())
        for name, request in view.scorer_requests.items()
    }
    entries = [  # null_handling="skip" is no way: it drops the rows in which all columns are null
        pc.fill_null(pc.binary_join_element_wise(f"{json.dumps(name)}: ", row, ", ", ""), "")
        for name, row in found.items()
    ]
    inside = pc.utf8_rtrim(pc.binary_join_element_wise(*entries, ""), ", ")
    return pc.if_else(pc.equal(inside, ""), "", pc.binary_join_element_wise("{", inside, "}", ""))


def _seconds(pts: pa.ChunkedArray, clips: pa.Table) -> pa.ChunkedArray:
    """Return times in seconds from the first frame of the source."""
    since = pc.subtract(pts, clips["first_pts"]).cast(pa.float64())
    scale = pc.divide(clips["time_base_num"].cast(pa.float64()), clips["time_base_den"].cast(pa.float64()))
    return pc.multiply(since, scale)
