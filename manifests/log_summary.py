"""Summaries of the log: many entries in one file, so that a log of thousands of commits opens quickly.

A summary repeats `SPAN` entries, byte for byte. It is derived, and believed only as far as the listing of the
log bears it out: each entry is there, of the size repeated, and no younger than the summary. Without one, or
where that is not so, the entries themselves are read. `kinora captions check` compares every byte.
"""

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b

from manifests.storage import ObjectInfo, Storage

SPAN = 200
"""Entries of one summary: at most so many are read one by one."""
_FORMAT = "kinora-log-summary"


def entry_key(number: int) -> str:
    """Return where commit `number` lies."""
    return f"_log/{number:08d}.json"


def summary_key(first: int) -> str:
    """Return where the summary of the entries from `first` lies."""
    return f"_log/summary-{first:08d}.json"


def is_summary(key: str) -> bool:
    """Whether a key is that of a summary."""
    return re.fullmatch(r"_log/summary-\d{8,}\.json", key) is not None


def listed(storage: Storage) -> dict[str, ObjectInfo]:
    """Return what lies in the log, by key."""
    return {stored.key: stored for stored in storage.list("_log")}


def numbers(found: Mapping[str, ObjectInfo]) -> list[int]:
    """Return the numbers of the entries in a listing, in order."""
    matches = (re.fullmatch(r"_log/(\d{8,})\.json", key) for key in found)
    return sorted(int(match[1]) for match in matches if match)


def read(storage: Storage, found: Mapping[str, ObjectInfo], first: int) -> list[bytes] | None:
    """Return the entries from `first` as a summary repeats them; None where it is not to be believed."""
    summary = found.get(summary_key(first))
    entries = [found.get(entry_key(number)) for number in range(first, first + SPAN)]
    if summary is None or any(e is None or e.modified_s > summary.modified_s for e in entries):
        return None
    texts = repeated(storage, first)
    sizes = [entry.size for entry in entries if entry is not None]
    return texts if texts is not None and [len(text) for text in texts] == sizes else None


def repeated(storage: Storage, first: int) -> list[bytes] | None:
    """Return what a summary says, if it is whole."""
    try:
        said = json.loads(storage.read(summary_key(first)))
        texts = [text.encode() for text in said["entries"]]
        whole = said["format"] == _FORMAT and said["first"] == first and said["digest"] == _digest(texts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return texts if whole and len(texts) == SPAN else None


def write_missing(storage: Storage, newest: int) -> None:
    """Write a summary of every whole span up to commit `newest` that has none."""
    found = listed(storage)
    for first in range(0, newest + 2 - SPAN, SPAN):
        if summary_key(first) in found:
            continue
        texts = [storage.read(entry_key(number)) for number in range(first, first + SPAN)]
        content = {"format": _FORMAT, "first": first, "digest": _digest(texts)}
        said = json.dumps(content | {"entries": [text.decode() for text in texts]})
        storage.put(summary_key(first), said.encode())


def problems(storage: Storage, found: Mapping[str, ObjectInfo]) -> list[str]:
    """Return a sentence for each summary that does not repeat its entries."""
    wrong = []
    for key in sorted(filter(is_summary, found)):
        first = int(key[-13:-5])
        texts = repeated(storage, first)
        own = [entry_key(number) for number in range(first, first + SPAN)]
        same = texts is not None and all(
            entry in found and storage.read(entry) == text for entry, text in zip(own, texts, strict=True)
        )
        if not same:
            wrong.append(f"{key}: does not repeat the entries of the log; delete it, it is written anew")
    return wrong


def _digest(texts: Sequence[bytes]) -> str:
    state = blake2b(digest_size=16)
    for text in texts:
        state.update(len(text).to_bytes(8, "big") + text)
    return state.hexdigest()
