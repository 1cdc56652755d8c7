"""Shard plans: buckets, shards and fingerprints of a shard set."""

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from pipeline.config import PackConfig
from pipeline.pack.plan import check_buckets, footage_used, plan_shards
from pipeline.pack.reviews import NO_REVIEW, TRIM
from pipeline.pack.samples import COLUMNS, caption_digests, caption_lengths


def packable(number: int, **changes: Any) -> dict[str, Any]:
    media = {"media_id": f"m{number}", "path": "t", "offset": 0, "length": 1000, "extension": "mp4"}
    media |= {"num_windows": 1, "window_index": 0, "window_start_pts": 0, "window_end_pts": 200}
    shape = {"num_frames": 30, "fps": 15.0, "duration_s": 2.2, "uri": "/a", "source_digest": "s"}
    caption = {
        "short": "s",
        "medium": "m",
        "text": "d" * 90,
        "captioner": "vlm",
        "model": "m",
        "revision": "r",
    }
    clip = {
        "clip_id": f"c{number}",
        "kind": "video",
        "height": 64,
        "width": 96,
        "start_pts": 0,
        "end_pts": 200,
    }
    clip |= {"time_base_num": 1, "time_base_den": 100}
    return clip | media | shape | caption | {"prompt_digest": "p", "version": "v", "parts": None} | changes


def table(rows: list[dict[str, Any]]) -> pa.Table:
    """Return rows as `pipeline.jobs.pack` passes them to `plan_shards`."""
    texts = pa.schema([(name, pa.string()) for name in COLUMNS["captions"]])
    captions = pa.Table.from_pylist([{name: row[name] for name in texts.names} for row in rows], texts)
    names = [*COLUMNS["sources"], *COLUMNS["clips"], *COLUMNS["media"]]
    narrow = pa.Table.from_pylist([{name: row.get(name, "") for name in names} for row in rows])
    columns = {"content": caption_digests(captions), "chars": caption_lengths(captions)}
    columns |= {name: pa.array([row.get(name, "") for row in rows]) for name in ("excluded", *NO_REVIEW)}
    columns |= {name: pa.array([row.get(name) for row in rows], pa.float64()) for name in TRIM}
    for name, column in columns.items():
        narrow = narrow.append_column(name, column)
    return narrow


def test_a_plan_does_not_depend_on_row_order_and_counts_left_out_clips_by_reason():
    config = PackConfig(buckets=("17x64x64", "17x48x80", "1x64x64"), shard_bytes=8000, min_shards=1)
    rows = [packable(n) for n in range(9)]
    rows += [packable(20, duration_s=0.5), packable(21, height=30), packable(22, width=900)]
    planned = plan_shards(table(rows), config)
    assert planned == plan_shards(table(rows[::-1]), config)
    assert planned.left_out == {"crops_too_much": 2, "too_small": 1}
    assert planned.rows["clip_id"].to_pylist() == [f"c{n}" for n in range(9)]
    assert [(shard.first, shard.last) for shard in planned.shards] == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 9)]
    other, same = (
        plan_shards(table([packable(0, **c)]), config).fingerprint for c in ({"text": "other"}, {})
    )
    assert other != same


def test_videos_and_stills_lie_apart_and_each_bucket_has_shards_for_two_workers():
    config = PackConfig(buckets=("17x48x80", "1x48x80"))
    still = {"kind": "image", "extension": "jpg", "height": 96, "width": 160, "duration_s": 0.04}
    rows = [packable(n, height=96, width=160) for n in range(5)]
    rows += [packable(n, duration_s=0.5, height=96, width=160) for n in range(5, 7)]
    rows += [packable(n, **still, length=10 * n) for n in range(7, 10)] + [packable(10, width=160, height=96)]
    planned = plan_shards(table(rows), config)
    assert [(shard.path, shard.num_samples) for shard in planned.shards] == [
        ("tars/images/ar_16-9/dur_image/res_80x48/000000.tar", 2),
        ("tars/images/ar_16-9/dur_image/res_80x48/000001.tar", 1),
        ("tars/videos/ar_16-9/dur_17f_2.1s/res_80x48/000000.tar", 3),
        ("tars/videos/ar_16-9/dur_17f_2.1s/res_80x48/000001.tar", 3),
        ("tars/videos/ar_16-9/dur_image/res_80x48/000000.tar", 1),
        ("tars/videos/ar_16-9/dur_image/res_80x48/000001.tar", 1),
    ]
    assert {shard.bucket for shard in planned.shards if "dur_image" in shard.path} == {"1x48x80"}


@pytest.mark.parametrize(
    ("lengths", "min_shards", "shards"),
    [
        ([10], 2, [1]),
        ([10, 1_000_000], 2, [1, 1]),
        ([1_000_000, 1, 1], 3, [1, 1, 1]),
        ([1, 1, 1_000_000], 3, [1, 1, 1]),
        ([500] * 12, 4, [3] * 4),
        ([5_000] * 12, 2, [1] * 12),  # the maximum size of a shard decides
    ],
)
def test_a_bucket_has_min_shards_of_about_equal_size(lengths, min_shards, shards):
    config = PackConfig(buckets=("17x64x64",), min_shards=min_shards, shard_bytes=12_000)
    rows = [packable(n, clip_id=f"c{n:02}", width=64, length=length) for n, length in enumerate(lengths)]
    planned = plan_shards(table(rows), config)
    assert [shard.num_samples for shard in planned.shards] == shards


def test_shards_of_stills_that_change_format_stay_below_the_limit():
    still = {"kind": "image", "extension": "jpg", "height": 100, "width": 100}
    rows = table([packable(n, **still) for n in range(4)])
    config = PackConfig(buckets=("1x64x64",), shard_bytes=60_000, min_shards=1)
    assert [shard.num_samples for shard in plan_shards(rows, config).shards] == [1, 1, 1, 1]
    jpg = replace(config, image_format="jpg")
    assert [shard.num_samples for shard in plan_shards(rows, jpg).shards] == [4]


def test_footage_used_weighs_by_duration_and_leaves_out_stills():
    config = PackConfig(buckets=("17x64x64", "9x64x64", "1x64x64"), fps=8)
    rows = [packable(0, width=64, duration_s=4.25), packable(1, width=64, duration_s=1.5)]
    rows.append(packable(2, width=64, kind="image", duration_s=10.0))
    used = footage_used(plan_shards(table(rows), config).rows)
    assert used == {
        "all": pytest.approx((4.25 * 17 / 34 + 1.5 * 9 / 12) / 5.75),
        "17x64x64": 0.5,
        "9x64x64": 0.75,
    }


@pytest.mark.parametrize(
    ("bucket", "time_factor", "remedy"),
    [
        ("16x64x64", 4, "use 13x64x64 or 17x64x64"),
        ("18x48x80", 4, "use 17x48x80 or 21x48x80"),
        ("2x64x64", 4, "use 1x64x64 or 5x64x64"),
        ("17x64x64", 5, "use 16x64x64 or 21x64x64"),
    ],
)
def test_a_bucket_that_the_vae_cannot_encode_is_refused_with_the_nearest_ones(bucket, time_factor, remedy):
    config = PackConfig(buckets=("1x64x64", bucket), time_factor=time_factor)
    with pytest.raises(ValueError, match=remedy):
        check_buckets(config)
    for off in (0, 1):
        assert len(check_buckets(replace(config, time_factor=off))) == 2


@pytest.mark.parametrize("layout", ["joined", "split"])
def test_a_clip_that_leaves_moves_no_bounds_of_a_split_set(layout):
    config = PackConfig(buckets=("17x64x64",), shard_bytes=8000, min_shards=1, layout=layout)
    rows = [packable(n, width=64) for n in range(9)]
    whole = plan_shards(table(rows), config)
    rows[3]["excluded"] = "rejected by review"
    rows[8]["excluded"] = "rejected by review"
    rest = plan_shards(table(rows), config)
    assert rest.rows["clip_id"].to_pylist() == ["c0", "c1", "c2", "c4", "c5", "c6", "c7"]
    assert rest.left_out == {}
    spans = [(shard.path, shard.last - shard.first) for shard in rest.shards]
    if layout == "joined":
        assert [count for _, count in spans] == [2, 2, 2, 1]
        return
    folder = "media/videos/ar_1-1/dur_17f_2.1s/res_64x64"
    assert spans == [(f"{folder}/{number:06d}.tar", count) for number, count in enumerate((2, 1, 2, 2))]
    same = {shard.path: shard.digest for shard in whole.shards}
    changed = [shard.path[-5] for shard in rest.shards if same[shard.path] != shard.digest]
    assert changed == ["1"]
    longer = [packable(n, width=64, text="d" * 900) for n in range(9)]
    edited = plan_shards(table(longer), config)
    assert [shard.digest for shard in edited.shards] == [*same.values()]
    assert all(a.sidecar_digest != b.sidecar_digest for a, b in zip(edited.shards, whole.shards, strict=True))


def test_sets_of_earlier_versions_are_recognized():
    config = PackConfig(buckets=("17x64x64",))
    planned = plan_shards(table([packable(n, width=64) for n in range(3)]), config)
    assert planned.former_fingerprints() == {
        "04f29c8fb99ce9da6dedcf891cf54044",
        "775f49043eaea12ded7420ceeb3b390c",
    }
