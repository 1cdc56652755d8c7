"""The live media of a dataset as one table, with what a queue needs to know of their clips."""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.buckets import assign, frames_at, parse_bucket, shard_folder
from manifests.dataset import Commit, Dataset
from manifests.digest import digest_bytes
from manifests.live_view import LiveView
from manifests.records import Bucket
from manifests.review.cards import RuleResult
from manifests.scores import newest_rows

_CLIP = ("clip_id", "source_key", "uri", "kind", "start_pts", "end_pts", "time_base_num", "time_base_den")
_MEDIA = (
    "media_id",
    "clip_id",
    "path",
    "offset",
    "length",
    "extension",
    "num_frames",
    "height",
    "width",
    "fps",
    "duration_s",
    "digest",
    "window_index",
    "num_windows",
    "window_start_pts",
    "window_end_pts",
)
_NONE_FITS = "no bucket"
_SORT_BITS = 62


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


def live_media(dataset: Dataset, rules: SelectionRules | None) -> pa.Table:
    """Return the live media with the columns of the table `media` of `manifests.review.database`.

    `uri` stands for `source`, and there is no `row`, `live` or `sort`.
    """
    view = LiveView(dataset)
    clips = _clips(view, rules)
    media = view.read("media", _MEDIA)
    index = pc.index_in(media["clip_id"], value_set=combine(clips["clip_id"]))
    clips = clips.drop_columns(["clip_id"]).take(combine(index))
    columns = {
        name: media[name] for name in _MEDIA if not name.startswith("window_s") and name != "window_end_pts"
    }
    starts = pc.coalesce(media["window_start_pts"], clips["start_pts"])
    ends = pc.coalesce(media["window_end_pts"], clips["end_pts"])
    return pa.table(
        {
            **columns,
            "kind": clips["kind"],
            "uri": clips["uri"],
            "start_s": _seconds(starts, clips),
            "end_s": _seconds(ends, clips),
            "bucket": bucket_names(media, bucket_settings(dataset.commits)),
            **{name: clips[name] for name in ("selection", "margin", "near", "band", "clip_row", "scored")},
        }
    )


def copies(dataset: Dataset) -> pa.Table:
    """Return the copies of live clips: `keeper`, `clip_id`, `kind`, `detail`."""
    rows = LiveView(dataset).read("duplicates", ["keeper", "clip_id", "kind", "detail"])
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
    known: dict[tuple[float, int, int], str] = {}
    names = list[str]()
    shapes = (media[name].to_pylist() for name in ("duration_s", "height", "width", "num_frames"))
    for duration_s, height, width, num_frames in zip(*shapes, strict=True):
        frames = num_frames if num_frames == 1 else frames_at(duration_s, settings.get("fps", 1.0))
        shape = (frames, height, width)
        if shape not in known:
            known[shape] = _bucket_name(frames, height, width, buckets, settings)
        names.append(known[shape])
    return pa.array(names, pa.string())


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
    """Return for each clip a JSON object: the row of the scores table by scorer."""
    if not view.scorer_requests or not len(clip_ids):
        return pa.array([""] * len(clip_ids), pa.string())
    scores = view.read("scores", ["clip_id", "scorer", "digest"])
    numbers = pa.array(view.row_indices("scores"))
    found = {
        name: numbers.take(newest_rows(scores, request, clip_ids)).to_pylist()
        for name, request in view.scorer_requests.items()
    }
    rows = zip(*found.values(), strict=True)
    return pa.array(
        [
            json.dumps({name: row for name, row in zip(found, each, strict=True) if row is not None})
            for each in rows
        ],
        pa.string(),
    )


def _seconds(pts: pa.ChunkedArray, clips: pa.Table) -> pa.ChunkedArray:
    """Return times in seconds from the first frame of the source."""
    since = pc.subtract(pts, clips["first_pts"]).cast(pa.float64())
    scale = pc.divide(clips["time_base_num"].cast(pa.float64()), clips["time_base_den"].cast(pa.float64()))
    return pc.multiply(since, scale)
