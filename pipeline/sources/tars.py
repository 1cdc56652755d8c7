"""Videos and stills inside existing WebDataset tars: each is a source of its own, with its bytes' place.

Only headers are read, by seeking, and the small text members beside the media.
"""

import json
import tarfile
from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from manifests.records import Source
from pipeline.sources.uri import TarMember

_MOST_TEXT_BYTES = 2**20
"""A larger `.txt` or `.json` is no caption; it is not read."""


def list_tar(file: BinaryIO, tar: Source, wanted: Collection[str]) -> list[Source]:
    """Return the members of the tar in `file` that end in one of `wanted` (lower case, with the dot).

    Members of the same name up to the first dot belong together, as WebDataset has it: the text of `.txt` is
    carried along as `caption`, the fields of `.json` as themselves. A tar that cannot be read to its end is a
    source too, after its members: analysing it fails with a row of its own.
    """
    found: list[tuple[str, TarMember]] = []
    carried: dict[str, dict[str, Any]] = {}
    broken = False
    try:
        with tarfile.open(fileobj=file, mode="r:") as members:
            for each in members:
                if not each.isreg():
                    continue
                suffix = PurePosixPath(each.name).suffix.lower()
                if suffix in wanted:
                    span = {"offset": each.offset_data, "length": each.size}
                    found.append((_key(each.name), TarMember.named(each.name, tar=tar.uri, **span)))
                elif suffix in (".txt", ".json") and each.size <= _MOST_TEXT_BYTES:
                    content = members.extractfile(each)
                    assert content is not None  # a regular member
                    carried.setdefault(_key(each.name), {}).update(_fields(suffix, content.read()))
                members.members.clear()  # type: ignore[attr-defined]  # else a large tar's headers pile up
    except (tarfile.TarError, EOFError, ValueError):
        broken = True
    sources = [
        Source(
            uri=member.uri,
            size_bytes=member.length,
            etag=tar.etag,
            carried=json.dumps(carried.get(key, {}), ensure_ascii=False, sort_keys=True),
        )
        for key, member in found
    ]
    return [*sources, tar] if broken else sources


def _key(name: str) -> str:
    """Return a member's name up to the first dot of its last part."""
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
