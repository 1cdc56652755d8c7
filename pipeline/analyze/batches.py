"""How many sources go into one task, and into what chunks a long file is split."""

from collections.abc import Iterator, Sequence

from manifests.records import Source
from pipeline.runtime.units import batch_units, batch_weight

_TASK_BYTES = 256 * 2**20
_TASK_SOURCES = 64
"""A task takes at most this many sources, and this many bytes of them (or one larger file)."""
_MIN_CHUNK_BYTES = 8 * 2**20
"""A smaller file is never split."""


def batch_sources(sources: Sequence[Source], cpus: int) -> Iterator[list[Source]]:
    """Split `sources` into the batches of one task each."""
    return batch_units(sources, cpus=cpus, max_weight=_TASK_BYTES, weight=_weight)


def chunk_bytes(sources: Sequence[Source], cpus: int) -> int:
    """Return the size from which a file is split into chunks of that size; 0 if no source is that large."""
    if cpus <= 1:
        return 0
    limit = max(_MIN_CHUNK_BYTES, batch_weight(sources, cpus=cpus, max_weight=_TASK_BYTES, weight=_weight))
    return limit if any(source.size_bytes > limit for source in sources) else 0


def _weight(source: Source) -> int:
    """Return the bytes to read, with a minimum that bounds the number of small files in a task."""
    return max(source.size_bytes, _TASK_BYTES // _TASK_SOURCES)
