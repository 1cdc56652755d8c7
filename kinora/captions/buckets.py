"""The bucket that each media would be packed into."""

from typing import Any

import numpy as np
import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.buckets import assign, frames_at, parse_bucket
from manifests.live_view import LiveView
from pipeline.config import PackConfig
from pipeline.planning.last_config import last


def bucket_names(view: LiveView, wanted: str) -> tuple[pa.Array, pa.Array]:
    """Return all media ids, and the bucket of each under the last `kinora pack`, else under its defaults.

    Media that fit no bucket have an empty one. Raises ValueError unless `wanted` is one of the buckets.
    """
    config = last(view.dataset, "pack", PackConfig)
    if parse_bucket(wanted).name not in config.buckets:
        raise ValueError(f"--bucket {wanted}: is none of {', '.join(config.buckets)}")
    buckets = [parse_bucket(name) for name in config.buckets]
    media = view.read("media", ["media_id", "duration_s", "height", "width", "extension"])
    shape = media.append_column("still", pc.not_equal(media["extension"], "mp4"))
    names = ("duration_s", "height", "width", "still")
    codes_N, known = _distinct(shape.select(names))
    found: list[str] = []
    for row in known:
        frames = 1 if row["still"] else frames_at(row["duration_s"], config.fps)
        size = {"height": row["height"], "width": row["width"]}
        bucket = assign(num_frames=frames, **size, buckets=buckets, max_crop=config.max_crop)
        found.append(bucket.name if bucket else "")
    return combine(media["media_id"]), pa.array(found, pa.string()).take(pa.array(codes_N))


def _distinct(table: pa.Table) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Return the distinct rows of a table, and the index of each row among them."""
    text = pc.binary_join_element_wise(*(pc.cast(column, pa.string()) for column in table.columns), " ")
    coded = combine(text).dictionary_encode()
    codes_N = coded.indices.to_numpy()
    _, first_N = np.unique(codes_N, return_index=True)
    return codes_N, table.take(pa.array(first_N)).to_pylist()
