"""Read the samples of a `StreamPlan`: blocks of consecutive samples, each with one request, through
webdataset's readers of tars."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from itertools import groupby
from tarfile import TarError
from typing import Any

import numpy as np
from webdataset.tariterators import group_by_keys, tar_file_expander

from manifests.records import SampleRef
from manifests.shards import ShardIndex
from trainer.data.decode import RawSample, damaged_tar, raw_sample
from trainer.data.stream_plan import Block

BLOCK_BYTES = 8_000_000
"""Aim for the bytes of a block: enough that a request's delay is a small part of its time."""
MAX_BLOCK_SIZE = 64
MAX_GAP_BYTES = 1_000_000
"""Samples of other splits between those of a block are fetched too, unless they are more."""


class BlockReader:
    """Samples from blocks that are kept until each of their samples was read, or memory is short."""

    def __init__(self, index: ShardIndex, buffer_bytes: int) -> None:
        """Args:
        buffer_bytes: limit of the samples that wait; the block that was used least recently is dropped, and
            is read again if it is needed.
        """
        self.index, self.buffer_bytes = index, buffer_bytes
        self._blocks: OrderedDict[Block, dict[int, RawSample]] = OrderedDict()
        self._bytes = 0

    def read(self, row: int, block: Block) -> RawSample:
        """Return a sample of `block`. Raises ValueError where the tar lacks it or is damaged."""
        samples = self._blocks.pop(block, {})
        if row not in samples:
            self._bytes -= sum(len(sample.media) for sample in samples.values())
            samples = dict(self._fetch(block))
            self._bytes += sum(len(sample.media) for sample in samples.values())
        sample = samples.pop(row)
        self._bytes -= len(sample.media)
        if samples:
            self._blocks[block] = samples
        while self._bytes > self.buffer_bytes and self._blocks:
            _, dropped = self._blocks.popitem(last=False)
            self._bytes -= sum(len(sample.media) for sample in dropped.values())
        return sample

    def _fetch(self, block: Block) -> Iterator[tuple[int, RawSample]]:
        refs = {row: self.index.sample(row) for row in block}
        for span in _spans(refs):
            first, last = refs[span[0]], refs[span[-1]]
            source = {
                "url": f"{self.index.root}/{first.shard}",
                "stream": BytesIO(self.index.read(_stretch(first, last))),
            }
            found: dict[str, dict[str, Any]] = {}
            try:
                for part in group_by_keys(tar_file_expander([source])):  # two of each sample of a split set
                    found[part["__key__"]] = found.get(part["__key__"], {}) | part
            except TarError as error:
                raise damaged_tar(self.index, first, error) from error
            for row in span:
                yield row, raw_sample(self.index, refs[row], found.get(refs[row].key, {}))


def _stretch(first: SampleRef, last: SampleRef) -> SampleRef:
    """Return the place of consecutive samples of a tar as if they were one."""
    return replace(
        first,
        length=last.offset + last.length - first.offset,
        sidecar_length=last.sidecar_offset + last.sidecar_length - first.sidecar_offset,
    )


def _spans(refs: dict[int, SampleRef]) -> Iterator[list[int]]:
    """Divide the rows of a block into spans that one request reads."""
    for _, group in groupby(refs, key=lambda row: refs[row].shard):
        span: list[int] = []
        for row in group:
            if span and refs[row].offset - refs[span[-1]].offset - refs[span[-1]].length > MAX_GAP_BYTES:
                yield span
                span = []
            span.append(row)
        yield span


def rows_of_shards(index: ShardIndex, rows: np.ndarray) -> list[np.ndarray]:
    """Return `rows` by shard, in the order of each file; shards by name."""
    shards, offsets = (np.array(index.column(name))[rows] for name in ("shard", "offset"))
    order = np.lexsort((offsets, shards))
    starts = np.flatnonzero(shards[order][1:] != shards[order][:-1]) + 1
    return np.split(rows[order], starts)


def block_size_of(index: ShardIndex) -> int:
    """Return the samples of a block: about `BLOCK_BYTES`, at most `MAX_BLOCK_SIZE`."""
    mean_bytes = float(np.mean(index.column("length")))
    return int(np.clip(BLOCK_BYTES / mean_bytes, 1, MAX_BLOCK_SIZE))
