"""Read the bytes of cut clips from the dataset's tars."""

from collections.abc import Mapping
from typing import Any

from manifests.storage import Storage


def read_media(storage: Storage, row: Mapping[str, Any]) -> bytes:
    """Read the bytes of one media row (`path`, `offset`, `length`).

    Raises ValueError if the tar ends before them.
    """
    content = storage.read_range(row["path"], row["offset"], row["length"])
    if len(content) != row["length"]:
        raise ValueError(
            f"{storage.uri}/{row['path']}: ends before the clip {row['clip_id']}; restore it, "
            "or cut the clips again"
        )
    return content
