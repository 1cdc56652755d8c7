"""Draw a trial from a listing: the same sources each time, and more of them with a larger trial."""

from collections.abc import Sequence

from manifests.digest import digest_parts
from manifests.records import Source

_BITS = 128


def draw(sources: Sequence[Source], *, limit: int, sample: float) -> list[Source]:
    """Return the sources of a trial, in their order.

    Each URI has a place in [0, 1), by its digest. Those below `sample` are drawn, and of these the `limit`
    with the lowest places. So a larger trial, or none, contains every smaller one.

    Args:
        limit: maximum number of sources; 0 for no limit.
        sample: fraction of the sources, above 0 and at most 1.
    """
    if sample >= 1 and (not limit or len(sources) <= limit):
        return [*sources]
    places = [int(digest_parts("trial", source.uri), 16) for source in sources]
    drawn = [index for index, place in enumerate(places) if place < sample * 2**_BITS]
    if limit:
        drawn = sorted(sorted(drawn, key=places.__getitem__)[:limit])
    return [sources[index] for index in drawn]
