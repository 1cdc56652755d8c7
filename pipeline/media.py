"""Read the bytes of cut clips, by their place in the dataset's tars."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_media(root: Path, row: Mapping[str, Any]) -> bytes:
    """Read the bytes of one media row (`path`, `offset`, `length`). ValueError if they are cut short."""
    path = root / row["path"]
    with path.open("rb") as tar:
        tar.seek(row["offset"])
        content = tar.read(row["length"])
    if len(content) != row["length"]:
        raise ValueError(f"{path}: ends before the clip {row['clip_id']}; restore it, or cut the clips again")
    return content
