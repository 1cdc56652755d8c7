"""Where the bytes of media lie in a dataset, and their thumbnails."""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from manifests.digest import digest_parts

ID = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z_-]{0,126}[0-9A-Za-z])?")
"""Form of the ids that an address may name: no dots, no slashes, no escapes."""
PLACE_COLUMNS = ("media_id", "clip_id", "path", "offset", "length", "extension", "digest")
"""Columns of media that `media_place` reads."""
_TAR = re.compile(r"media/[0-9A-Za-z][0-9A-Za-z_.-]*\.tar")
CONTENT_TYPES = {"mp4": "video/mp4", "png": "image/png"}


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaPlace:
    """The place of one medium: `length` bytes of a tar from `offset`."""

    media_id: str
    clip_id: str
    path: str
    """The tar, relative to the dataset."""
    offset: int
    length: int
    extension: str
    version: str
    """Changes with the bytes: the entity tag."""

    @property
    def content_type(self) -> str:
        return CONTENT_TYPES.get(self.extension, "application/octet-stream")


def media_place(row: Mapping[str, Any]) -> MediaPlace:
    """Return the place that a row of the media table names.

    Raises ValueError if the row does not name a tar directly in the dataset's folder `media`.
    """
    if not _TAR.fullmatch(row["path"]) or ".." in row["path"] or row["offset"] < 0 or row["length"] <= 0:
        raise ValueError(
            f"media {row['media_id']}: the dataset names {row['path']!r} as its tar, which "
            "is no tar in media/; run `kinora captions check`"
        )
    place = (row["path"], row["offset"], row["length"])
    return MediaPlace(
        media_id=row["media_id"],
        clip_id=row["clip_id"],
        path=row["path"],
        offset=row["offset"],
        length=row["length"],
        extension=row["extension"],
        version=row["digest"] or digest_parts("place", *place),
    )


def is_id(text: str) -> bool:
    """Return whether `text` has the form of a media or clip id."""
    return ID.fullmatch(text) is not None
