"""Which samples are held out, which of them are validated on, and which rank validates on which batch.

Nothing here depends on the order of the rows: units, samples and buckets are ordered by keyed hashes.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar

import numpy as np

from trainer.data.batch_plan import held_out

T = TypeVar("T")

MAX_OVERSHOOT = 2.0
"""Largest fraction of held-out samples by whole sources, as a multiple of the requested fraction."""
ONE_SOURCE = (
    "all samples are of one source, so that clips near those of training are validated on and the validation "
    "numbers are too good; pack a second source, or set data.validation_fraction to 0"
)
NO_SOURCES = (
    "packed by a version that did not record the source of each sample, so that neighbouring shots of one "
    "source may be trained and validated on; pack again to split by source"
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Split:
    """Rows of an index, each on one side."""

    training_rows: np.ndarray
    held_rows: np.ndarray
    warning: str | None
    """Why clips of one source may be on both sides; None where they are not."""


def split_rows(
    *, sources: Sequence[str], clip_ids: Sequence[str], buckets: Sequence[Hashable], fraction: float
) -> Split:
    """Hold out about `fraction` of the samples: all of a source, or of a clip where there is one source only.

    A source is held out by its hash, as long as at most `MAX_OVERSHOOT` times the fraction is. Then each
    bucket without a held-out sample gets a source, within the same limit; at least one source is held out.
    """
    warning = None
    if fraction and not all(sources):
        units, warning = clip_ids, NO_SOURCES
        held = {clip_id for clip_id in set(clip_ids) if held_out(clip_id, fraction)}
    elif fraction and len(set(sources)) == 1:
        units, warning = clip_ids, ONE_SOURCE
        held = _held_units(clip_ids, buckets, fraction)
    else:
        units = sources
        held = _held_units(sources, buckets, fraction) if fraction else set()
    is_held = np.array([unit in held for unit in units], bool)
    return Split(
        training_rows=np.flatnonzero(~is_held).astype(np.int32),
        held_rows=np.flatnonzero(is_held).astype(np.int32),
        warning=warning,
    )


def _held_units(units: Sequence[str], buckets: Sequence[Hashable], fraction: float) -> set[str]:
    sizes = Counter(units)
    if len(sizes) < 2:
        return set()
    limit = MAX_OVERSHOOT * fraction * len(units)
    held: set[str] = set()
    size = 0

    def hold(unit: str) -> bool:
        nonlocal size
        if size + sizes[unit] > min(limit, len(units) - 1):
            return False
        held.add(unit)
        size += sizes[unit]
        return True

    order = sorted(sizes, key=lambda unit: (_draw(unit), unit))
    for unit in order:
        if held_out(unit, fraction):
            hold(unit)
    buckets_of: defaultdict[str, set[Hashable]] = defaultdict(set)
    for unit, bucket in zip(units, buckets, strict=True):
        buckets_of[unit].add(bucket)
    covered = set[Hashable]().union(*(buckets_of[unit] for unit in held))
    for unit in order:
        if not buckets_of[unit] <= covered and hold(unit):
            covered |= buckets_of[unit]
    return held or {min(order, key=lambda unit: sizes[unit])}


def stratify(
    rows: Sequence[int], *, keys: Mapping[int, str], buckets: Mapping[int, str], limit: int
) -> list[int]:
    """Return at most `limit` of `rows`, spread over the buckets in proportion, with at least one of each.

    Where there are more buckets than `limit`, those with most rows are kept. Sorted by bucket, then by hash.

    Args:
        keys: the key of each row, unique.
        buckets: the name of each row's bucket.
    """
    by_bucket: defaultdict[str, list[int]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (_draw(keys[row]), keys[row])):
        by_bucket[buckets[row]].append(row)
    quotas = _quotas({name: len(same) for name, same in by_bucket.items()}, limit)
    return [row for name in sorted(by_bucket) for row in by_bucket[name][: quotas[name]]]


def _quotas(counts: Mapping[str, int], limit: int) -> dict[str, int]:
    """Divide `limit` in proportion to `counts` by the largest remainder, one each first."""
    total = sum(counts.values())
    if total <= limit:
        return dict(counts)
    largest = sorted(counts, key=lambda name: (-counts[name], name))
    quotas = {name: int(name in largest[:limit]) for name in counts}
    while sum(quotas.values()) < limit:
        short = {name: limit * counts[name] / total - quotas[name] for name in counts}
        open_buckets = [name for name in largest if quotas[name] < counts[name]]
        quotas[max(open_buckets, key=lambda name: short[name])] += 1
    return quotas


def share_of_rank(batches: Sequence[T], rank: int, world_size: int) -> list[tuple[T, bool]]:
    """Return every `world_size`-th batch from `rank` on, and whether it counts.

    Each rank gets the same number of batches, so that none waits for another in a collective operation: the
    first batch is repeated, and does not count, where there is none left.
    """
    count = -(-len(batches) // world_size)
    mine = [(batch, True) for batch in batches[rank::world_size]]
    return mine + [(batch, False) for batch in batches[:1]] * (count - len(mine))


def _draw(name: str) -> int:
    """Return a hash that orders units and samples; for units it is the one that `held_out` compares."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8, person=b"validation").digest(), "little")
