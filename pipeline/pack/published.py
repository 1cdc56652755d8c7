"""The published shard set that a pack replaces: what of it is whole, and which of its tars stay."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa

from manifests.shards import INDEX_FILE, ShardIndex
from pipeline.pack.shard_sets import ShardSet, is_split, tar_names
from pipeline.pack.tars import PlannedTar

DIGESTS_KEY = "tars"
"""Key in the `pack.json` of a split set: the digest of each tar."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A published set, or none."""

    index: pa.Table | None
    """Its index; None if there is none, or if it cannot be read."""
    digests: Mapping[str, str]
    """Digest of each tar of a split set."""
    needed: Mapping[str, int]
    """Bytes that the index reads of each tar."""
    sizes: Mapping[str, int]
    """Size of each of these tars that is there."""

    @classmethod
    def read(cls, place: ShardSet, about: Mapping[str, Any]) -> Self:
        """Read the set that `about`, its `pack.json`, describes."""
        if not about:
            return cls(index=None, digests={}, needed={}, sizes={})
        try:
            index = ShardIndex.load(place.uri)
            needed = index.shard_sizes()
        except (OSError, ValueError):
            return cls(index=None, digests={}, needed={}, sizes=place.sizes(tar_names(about)))
        digests = about.get(DIGESTS_KEY, {}) if is_split(about) else {}
        return cls(index=index.table, digests=digests, needed=needed, sizes=place.sizes(needed))

    @property
    def damage(self) -> str:
        """Name of a file that the set lacks, or that is cut short; empty if it is whole."""
        if self.index is None:
            return INDEX_FILE
        short = (tar for tar, size in self.needed.items() if self.sizes.get(tar, 0) < size)
        return next(short, "")

    @property
    def whole(self) -> list[str]:
        """Names of the tars that are there with all bytes that the index reads."""
        return sorted(tar for tar, size in self.needed.items() if self.sizes.get(tar, 0) >= size)

    def kept(self, tars: Sequence[PlannedTar]) -> set[str]:
        """Return the names of those of `tars` that the set holds."""
        whole = {*self.whole}
        return {tar.name for tar in tars if self.digests.get(tar.name) == tar.digest and tar.name in whole}
