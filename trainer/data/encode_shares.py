"""Share out the work of `kinora encode`: large tasks first, so that no worker is idle for long at the end."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import prod

from trainer.data.encode_tasks import EncodeLatents, EncodeTexts, ReadTexts, Wanted

_MIN_CLIPS, _MAX_CLIPS = 16, 256
"""Clips of one task."""
_MAX_VALUES = 1 << 33
"""Most pixel values that one task encodes."""
_MIN_CHARS, _MAX_CHARS = 1 << 12, 1 << 17
"""Characters of the texts of one task."""
_READ_ROWS = 64
"""Samples whose texts one task reads."""
_SHARE = 2
"""A worker's share of what is left, over one task."""


def read_tasks(rows: Sequence[int]) -> Iterator[ReadTexts]:
    """Share out the reading of texts."""
    for start in range(0, len(rows), _READ_ROWS):
        yield ReadTexts(rows=tuple(rows[start : start + _READ_ROWS]))


def text_tasks(texts: Sequence[str], space: str, num_workers: int) -> Iterator[EncodeTexts]:
    """Share out texts, those of about equal length together, the longest first.

    Args:
        space: digest of the text encoder.
    """
    left = sum(len(text) + 1 for text in texts)
    group: list[str] = []
    chars = 0
    for text in sorted(texts, key=len, reverse=True):
        group.append(text)
        chars += len(text) + 1
        if chars >= _size(left, num_workers, _MIN_CHARS, _MAX_CHARS):
            yield EncodeTexts(texts=tuple(group), space=space)
            left -= chars
            group, chars = [], 0
    if group:
        yield EncodeTexts(texts=tuple(group), space=space)


def latent_tasks(
    wanted: Sequence[Wanted], shapes: Sequence[tuple[int, int, int]], num_workers: int
) -> Iterator[EncodeLatents]:
    """Share out clips, those of one bucket together, the largest buckets first.

    Args:
        shapes: frames, height and width of each row's bucket.
    """
    by_bucket: defaultdict[tuple[int, int, int], list[Wanted]] = defaultdict(list)
    for each in wanted:
        by_bucket[shapes[each.row]].append(each)
    left = len(wanted)
    for shape in sorted(by_bucket, key=prod, reverse=True):
        same = by_bucket[shape]
        limit = max(1, _MAX_VALUES // (3 * prod(shape) * len(same[0].variants)))
        start = 0
        while start < len(same):
            size = min(limit, _size(left, num_workers, _MIN_CLIPS, _MAX_CLIPS))
            yield EncodeLatents(wanted=tuple(same[start : start + size]))
            start, left = start + size, left - min(size, len(same) - start)


def _size(left: int, num_workers: int, least: int, most: int) -> int:
    """Return the size of the next task; one worker takes all that is left."""
    share = left if num_workers == 1 else left // (_SHARE * num_workers)
    return min(most, max(least, share))
