"""Shard plans: buckets, shards and fingerprints of a shard set."""

from typing import Any

import pyarrow as pa

from pipeline.config import PackConfig
from pipeline.pack.plan import COLUMNS, caption_digests, caption_lengths, plan_shards


def packable(number: int, **changes: Any) -> dict[str, Any]:
    media = {"media_id": f"m{number}", "path": "t", "offset": 0, "length": 1000, "extension": "mp4"}
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
    return clip | media | shape | caption | {"prompt_digest": "p", "version": "v"} | changes


def table(rows: list[dict[str, Any]]) -> pa.Table:
    """Return rows as `pipeline.jobs.pack` passes them to `plan_shards`."""
    captions = pa.Table.from_pylist([{name: row[name] for name in COLUMNS["captions"]} for row in rows])
    names = [*COLUMNS["sources"], *COLUMNS["clips"], *COLUMNS["media"]]
    narrow = pa.Table.from_pylist([{name: row.get(name, "") for name in names} for row in rows])
    return narrow.append_column("content", caption_digests(captions)).append_column(
        "chars", caption_lengths(captions)
    )


def test_a_plan_does_not_depend_on_row_order_and_counts_left_out_clips_by_reason():
    config = PackConfig(buckets=("17x64x64", "17x48x80", "1x64x64"), shard_bytes=8000)
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
