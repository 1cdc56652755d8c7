"""Where the media of a dataset lie in a shard set, and which caption each sample has there."""

import io
import json
import tarfile
from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from manifests.shards import ShardIndex


def samples_of(index: ShardIndex, media_ids: Collection[str], keys: Collection[str]) -> list[dict[str, Any]]:
    """Return the samples with one of `media_ids`, or of `keys` in sets that record no media ids.

    Each has the fields of `SampleRef`, `row`, `shards`, and `caption`: that of the sample's record, with the
    version.
    """
    names, wanted = index.column("media_id"), {*media_ids}
    rows = [row for row, name in enumerate(names) if name in wanted]
    if not rows and not any(names):
        rows = [row for row, key in enumerate(index.column("key")) if key in {*keys}]
    return [_sample(index, row) for row in rows]


def _sample(index: ShardIndex, row: int) -> dict[str, Any]:
    ref = index.sample(row)
    about = asdict(ref) | {"bucket": ref.bucket.name, "row": row, "shards": index.out_uri}
    with tarfile.open(fileobj=io.BytesIO(index.read(ref)), mode="r:") as tar:
        member = next((each for each in tar if each.name == f"{ref.key}.json"), None)
        handle = tar.extractfile(member) if member else None
        record = json.load(handle) if handle else {}
    return about | {"caption": record.get("caption", {}), "source": record.get("source", {})}
