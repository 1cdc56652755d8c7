"""Videos and stills inside WebDataset tars: each is a source, addressed by its byte range.

Reads headers, by seeking, and small text members only.
"""

import json
import tarfile
from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from manifests.records import Source
from pipeline.sources.uri import TarMember

_MAX_TEXT_BYTES = 2**20
"""Larger `.txt` and `.json` members are not read."""


def list_tar_members(file: BinaryIO, tar: Source, extensions: Collection[str]) -> list[Source]:
    """Return the members of a tar with one of `extensions` (lower case, with the dot) as sources.

    As in WebDataset, members with equal names up to the first dot form one sample: `.txt` is carried along
    as `caption`, the fields of `.json` under their own names. A tar that cannot be read to its end is
    listed after its members: its analysis fails with a row of its own.
    """
    media: list[tuple[str, TarMember]] = []
    carried: dict[str, dict[str, Any]] = {}
    is_broken = False
    try:
        with tarfile.open(fileobj=file, mode="r:") as members:
            for each in members:
                if not each.isreg():
                    continue
                suffix = PurePosixPath(each.name).suffix.lower()
                if suffix in extensions:
                    span = {"offset": each.offset_data, "length": each.size}
                    media.append((_key(each.name), TarMember.from_name(each.name, tar=tar.uri, **span)))
                elif suffix in (".txt", ".json") and each.size <= _MAX_TEXT_BYTES:
                    content = members.extractfile(each)
                    assert content is not None  # a regular member
                    carried.setdefault(_key(each.name), {}).update(_fields(suffix, content.read()))
                members.members.clear()  # type: ignore[attr-defined]  # bounds memory for a large tar
    except (tarfile.TarError, EOFError, ValueError):
        is_broken = True
    sources = [
        Source(
            uri=member.uri,
            size_bytes=member.length,
            etag=tar.etag,
            carried=json.dumps(carried.get(key, {}), ensure_ascii=False, sort_keys=True),
        )
        for key, member in media
    ]
    return [*sources, tar] if is_broken else sources


def _key(name: str) -> str:
    """Return the WebDataset key: the name up to the first dot after the last slash."""
    folder, _, last = name.rpartition("/")
    return f"{folder}/{last.partition('.')[0]}"


def _fields(suffix: str, content: bytes) -> dict[str, Any]:
    text = content.decode("utf-8", "replace")
    if suffix == ".txt":
        return {"caption": text.strip()}
    try:
        value = json.loads(text)
    except ValueError as error:
        return {"json_error": str(error)}
    return value if isinstance(value, dict) else {"json": value}
