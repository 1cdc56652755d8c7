"""Read the words of a set's captions."""

from collections.abc import Iterator

from manifests.shards import ShardIndex
from trainer.data.decode import read_sample
from trainer.vocabulary import words_of

MAX_CAPTIONS = 1000
"""Samples whose captions are read."""


def read_vocabulary(index: ShardIndex) -> list[str]:
    """Return the words of the short and dense captions of at most `MAX_CAPTIONS` samples, spread over a set.

    Samples that cannot be read are left out. Empty for a set on S3, where each would be a request.
    """
    return [] if index.out_uri.startswith("s3://") else sorted(words_of(_captions(index)))


def _captions(index: ShardIndex) -> Iterator[str]:
    for row in range(0, index.num_samples, max(1, -(-index.num_samples // MAX_CAPTIONS))):
        try:
            sample = read_sample(index, index.sample(row))
        except (ValueError, OSError):  # reported when the set was encoded
            continue
        yield from (sample.short, sample.dense)
