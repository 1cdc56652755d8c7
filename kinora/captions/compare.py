"""Compare the captions of the same media under two versions or commits: counts, words, what changed."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.records import LENGTH_COLUMNS

Change = Literal["same", "removed", "added"]
_PIECES = re.compile(r"\w+|[^\w\s]|\s+")
_WORDS = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Two captions of one media."""

    media_id: str
    clip_id: str
    before: str
    after: str
    changed: float
    """Share of their words that only one of them has, 0 to 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The captions of two sides, by media."""

    counts: Mapping[str, int]
    """Media with a text on both sides (`both`), those of them whose texts differ (`changed`), and media with
    a text on one side (`only_before`, `only_after`)."""
    outcomes: Mapping[str, int]
    """Media whose outcome differs, as `refused -> ok`."""
    mean_changed: float
    """Mean of `Difference.changed` over `both`."""
    differences: Sequence[Difference]
    """What changed most, first."""


def compare(before: pa.Table, after: pa.Table, length: str | None, most: int) -> Comparison:
    """Compare two tables of captions, one row a media.

    Args:
        length: length of the texts to compare; the longest text of each caption by default.
        most: number of differences to return.
    """
    before, after = _with_text(before, length), _with_text(after, length)
    index = pc.index_in(before["media_id"], value_set=combine(after["media_id"]))
    shared = before.filter(pc.is_valid(index))
    other = after.take(combine(pc.drop_null(index)))
    texts = (shared["shown"], other["shown"])
    both = pc.and_(pc.is_valid(texts[0]), pc.is_valid(texts[1]))
    differs = pc.fill_null(pc.and_(both, pc.not_equal(*texts)), False)
    changed = shared.select(["media_id", "clip_id", "shown"]).append_column("after", other["shown"])
    found = [_difference(row) for row in changed.filter(differs).to_pylist()]
    found.sort(key=lambda each: (-each.changed, each.media_id))
    num_both = _count(both)
    counts = {
        "both": num_both,
        "changed": len(found),
        "only_before": _count(pc.is_valid(before["shown"])) - num_both,
        "only_after": _count(pc.is_valid(after["shown"])) - num_both,
    }
    moves = Counter(
        f"{old} -> {new}"
        for old, new in zip(shared["outcome"].to_pylist(), other["outcome"].to_pylist(), strict=True)
        if old != new
    )
    mean = sum(each.changed for each in found) / num_both if num_both else 0.0
    return Comparison(
        counts=counts, outcomes=dict(moves.most_common()), mean_changed=mean, differences=found[:most]
    )


def word_changes(before: str, after: str) -> Iterator[tuple[Change, str]]:
    """Yield the pieces of both texts in order: words, marks and spaces, and which side has them."""
    old, new = _PIECES.findall(before), _PIECES.findall(after)
    codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    removed = added = ""
    for number, (kind, begin, end, from_, to) in enumerate(codes):
        one, other = "".join(old[begin:end]), "".join(new[from_:to])
        within = 0 < number < len(codes) - 1
        if kind == "equal" and not (within and one.isspace()):  # a space between two changes is part of them
            yield from _change(removed, added)
            removed = added = ""
            yield "same", one
        else:
            removed, added = removed + one, added + other
    yield from _change(removed, added)


def _change(removed: str, added: str) -> Iterator[tuple[Change, str]]:
    """Yield a change, with the spaces that both texts end with behind it."""
    tail = ""
    while removed and added and removed[-1] == added[-1] and removed[-1].isspace():
        removed, added, tail = removed[:-1], added[:-1], removed[-1] + tail
    if removed:
        yield "removed", removed
    if added:
        yield "added", added
    if tail:
        yield "same", tail


def _with_text(captions: pa.Table, length: str | None) -> pa.Table:
    columns = [*LENGTH_COLUMNS.values()][::-1] if length is None else [LENGTH_COLUMNS[length]]
    return captions.append_column("shown", pc.coalesce(*(captions[name] for name in columns)))


def _difference(row: Mapping[str, Any]) -> Difference:
    old, new = (Counter(_WORDS.findall(row[name].lower())) for name in ("shown", "after"))
    only = ((old - new) + (new - old)).total()
    return Difference(
        media_id=row["media_id"],
        clip_id=row["clip_id"],
        before=row["shown"],
        after=row["after"],
        changed=only / max(1, old.total() + new.total()),
    )


def _count(mask: pa.ChunkedArray | pa.Array) -> int:
    return int(pc.sum(mask).as_py() or 0)
