"""Videos and stills inside WebDataset tars: each is a source, addressed by its byte range.

Reads headers, by seeking, and small text members only.
"""

import json
import tarfile
from collections.abc import Collection, Iterable, Mapping
from typing import Any, BinaryIO

from manifests.records import Source
from pipeline.sources.left_out import LeftOutCounter, hidden_reason
from pipeline.sources.members import MemberName, owners
from pipeline.sources.uri import TarMember

_MAX_TEXT_BYTES = 2**20
"""Larger `.txt` and `.json` members are not read."""


def list_tar_members(
    file: BinaryIO, tar: Source, extensions: Collection[str], left_out: LeftOutCounter, *, hidden: bool
) -> list[Source]:
    """Return the members of a tar with one of `extensions` (lower case, with the dot) as sources.

    The texts that belong to a member (`pipeline.sources.members`) are carried along: `.txt` as `caption`, the
    fields of `.json` under their own names. A tar that cannot be read to its end is listed after its members:
    its analysis fails with a row of its own.

    Args:
        left_out: counts the other members.
        hidden: whether hidden members are taken.
    """
    media: list[tuple[MemberName, TarMember]] = []
    texts: dict[MemberName, dict[str, Any]] = {}
    is_broken = False
    try:
        with tarfile.open(fileobj=file, mode="r:") as members:
            for each in members:
                members.members.clear()  # type: ignore[attr-defined]  # bounds memory for a large tar
                if not each.isreg():
                    continue
                name = MemberName.parse(each.name)
                if reason := hidden_reason(each.name.split("/"), hidden=hidden):
                    left_out.add(reason, f"{tar.uri}: {each.name}")
                elif name.ending in extensions:
                    span = {"offset": each.offset_data, "length": each.size}
                    media.append((name, TarMember.from_name(each.name, tar=tar.uri, **span)))
                elif name.ending in (".txt", ".json") and each.size <= _MAX_TEXT_BYTES:
                    content = members.extractfile(each)
                    assert content is not None  # a regular member
                    texts[name] = _fields(name.ending, content.read())
                else:
                    left_out.add_ending(f"{tar.uri}: {each.name}")
    except (tarfile.TarError, EOFError, ValueError):
        is_broken = True
    texts_of = owners((name for name, _ in media), texts)
    used = {text for own in texts_of.values() for text in own}
    for name in texts:
        if name not in used:
            left_out.add_ending(f"{tar.uri}: {name.text}")
    sources = [
        Source(
            uri=member.uri,
            size_bytes=member.length,
            etag=tar.etag,
            carried=_to_json(texts[text] for text in texts_of.get(name, ())),
        )
        for name, member in media
    ]
    return [*sources, tar] if is_broken else sources


def _to_json(fields: Iterable[Mapping[str, Any]]) -> str:
    """Return all fields as a JSON object; later ones replace earlier ones."""
    merged: dict[str, Any] = {}
    for each in fields:
        merged |= each
    return json.dumps(merged, ensure_ascii=False, sort_keys=True)


def _fields(ending: str, content: bytes) -> dict[str, Any]:
    text = content.decode("utf-8", "replace")
    if ending == ".txt":
        return {"caption": text.strip()}
    try:
        value = json.loads(text)
    except ValueError as error:
        return {"json_error": str(error)}
    return value if isinstance(value, dict) else {"json": value}
