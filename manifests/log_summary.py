"""Log summaries: copies of many log entries in one file, so that a long log opens with few requests.

A summary holds `SPAN` entries, byte for byte. It is used only if the listing of the log has each entry with
the same size and not newer than the summary; otherwise the entries are read one by one. `kinora captions
check` compares every byte.
"""

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b

from manifests.storage import ObjectInfo, Storage

SPAN = 200
"""Entries in one summary."""
_FORMAT = "kinora-log-summary"


def entry_key(number: int) -> str:
    """Return the key of commit `number`."""
    return f"_log/{number:08d}.json"


def summary_key(first: int) -> str:
    """Return the key of the summary of the entries from `first`."""
    return f"_log/summary-{first:08d}.json"


def is_summary(key: str) -> bool:
    """Return whether `key` names a summary."""
    return re.fullmatch(r"_log/summary-\d{8,}\.json", key) is not None


def list_log(storage: Storage) -> dict[str, ObjectInfo]:
    """List the files of the log, by key."""
    return {stored.key: stored for stored in storage.list("_log")}


def commit_numbers(found: Mapping[str, ObjectInfo]) -> list[int]:
    """Return the commit numbers in a listing, ascending."""
    matches = (re.fullmatch(r"_log/(\d{8,})\.json", key) for key in found)
    return sorted(int(match[1]) for match in matches if match)


def read_entries(storage: Storage, found: Mapping[str, ObjectInfo], first: int) -> list[bytes] | None:
    """Return the entries from `first` of a summary that matches the listing, else None."""
    summary = found.get(summary_key(first))
    entries = [found.get(entry_key(number)) for number in range(first, first + SPAN)]
    if summary is None or any(e is None or e.modified_s > summary.modified_s for e in entries):
        return None
    texts = _read_summary(storage, first)
    sizes = [entry.size for entry in entries if entry is not None]
    return texts if texts is not None and [len(text) for text in texts] == sizes else None


def _read_summary(storage: Storage, first: int) -> list[bytes] | None:
    """Read a summary; None if it is missing or damaged."""
    try:
        content = json.loads(storage.read(summary_key(first)))
        texts = [text.encode() for text in content["entries"]]
        valid = (
            content["format"] == _FORMAT and content["first"] == first and content["digest"] == _digest(texts)
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return texts if valid and len(texts) == SPAN else None


def write_missing(storage: Storage, newest: int) -> None:
    """Write the missing summaries of the complete spans up to commit `newest`."""
    found = list_log(storage)
    for first in range(0, newest + 2 - SPAN, SPAN):
        if summary_key(first) in found:
            continue
        texts = [storage.read(entry_key(number)) for number in range(first, first + SPAN)]
        content: dict[str, object] = {"format": _FORMAT, "first": first, "digest": _digest(texts)}
        content["entries"] = [text.decode() for text in texts]
        storage.put(summary_key(first), json.dumps(content).encode())


def problems(storage: Storage, found: Mapping[str, ObjectInfo]) -> list[str]:
    """Return a sentence for each summary that differs from its entries."""
    wrong: list[str] = []
    for key in sorted(filter(is_summary, found)):
        first = int(key[-13:-5])
        texts = _read_summary(storage, first)
        own = [entry_key(number) for number in range(first, first + SPAN)]
        same = texts is not None and all(
            entry in found and storage.read(entry) == text for entry, text in zip(own, texts, strict=True)
        )
        if not same:
            wrong.append(f"{key}: differs from the entries of the log; delete it, it is written again")
    return wrong


def _digest(texts: Sequence[bytes]) -> str:
    state = blake2b(digest_size=16)
    for text in texts:
        state.update(len(text).to_bytes(8, "big") + text)
    return state.hexdigest()
