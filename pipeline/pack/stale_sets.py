"""Find and delete shard sets that were replaced, or that a killed run left unfinished.

On S3 these are also the tars of split sets that the published one does not share.
"""

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifests.shards import INDEX_FILE, PARQUET_FILE, SET_KEY, TARS
from manifests.storage import LocalStorage, open_storage
from pipeline.pack.shard_sets import OLD_BUCKETS, SETS, SPLIT_TARS, is_split, open_shard_set, tar_names

_PARTIAL = re.compile(r"[0-9a-f]{32}\.(partial|old)")
_ROOT_FILES = {INDEX_FILE, PARQUET_FILE, TARS}
"""What a set at the root of a prefix consists of, besides its `pack.json` and former folders of buckets."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StaleSet:
    """A set, or a tar, that no `pack.json` names."""

    name: str
    keys: Sequence[str]
    """Its objects on S3; empty for a folder."""
    size_bytes: int
    modified_s: float
    """When its newest file was written."""

    @property
    def is_tar(self) -> bool:
        """Whether it is one tar of a split set on S3."""
        return self.name.endswith(".tar")


def find_stale_sets(uri: str) -> list[StaleSet]:
    """Return the sets at `uri` besides the published one. Raises OutputRefused if it is no shard set."""
    place = open_shard_set(uri)
    published = place.read_description()
    if uri.startswith("s3://"):
        return _on_s3(place.uri, published)
    return _on_disk(Path(place.uri), is_published=bool(published))


def published_set(uri: str) -> str:
    """Return the absolute URI of the shard set at `uri`, empty if none is published there."""
    place = open_shard_set(uri)
    return place.uri if place.read_description() else ""


def delete_stale_set(uri: str, stale: StaleSet) -> None:
    """Delete one set that `find_stale_sets` found at `uri`."""
    place = open_shard_set(uri)
    if stale.keys:
        storage = open_storage(place.uri)
        for key in stale.keys:
            storage.delete(key)
    else:
        shutil.rmtree(Path(place.uri).with_name(stale.name), ignore_errors=True)


def _on_s3(uri: str, about: Mapping[str, Any]) -> list[StaleSet]:
    """Return the sets below a prefix that `about`, its `pack.json`, does not describe.

    These include the parts of one at its root if the published one is not there, and single tars of split
    sets.
    """
    published = str(about.get(SET_KEY, ""))
    shared = tar_names(about) if is_split(about) else set[str]()
    found: dict[str, list[tuple[str, int, float]]] = {}
    for info in open_storage(uri).list():
        name = info.key.partition("/")[0]
        at_root = name in _ROOT_FILES or name.startswith(OLD_BUCKETS)
        if name in SPLIT_TARS and info.key.endswith(".tar"):
            name, is_stale = info.key, info.key not in shared and (published or not about)
        else:
            is_stale = (name.startswith(SETS) and name != published) or (at_root and published)
        if is_stale:
            found.setdefault(name, []).append((info.key, info.size, info.modified_s))
    return [
        StaleSet(
            name=name,
            keys=[key for key, _, _ in files],
            size_bytes=sum(size for _, size, _ in files),
            modified_s=max(modified_s for _, _, modified_s in files),
        )
        for name, files in sorted(found.items())
    ]


def _on_disk(out: Path, *, is_published: bool) -> list[StaleSet]:
    """Return the hidden folders that runs killed while they wrote or replaced `out` left beside it.

    While there is no set at `out`, a former one that was moved away is the only copy, and is left out.
    """
    prefix = f".{out.name}."
    stale: list[StaleSet] = []
    for path in sorted(out.parent.glob(f"{prefix}*")) if out.parent.is_dir() else []:
        name = path.name.removeprefix(prefix)
        if not _PARTIAL.fullmatch(name) or (name.endswith(".old") and not is_published):
            continue
        files = [*LocalStorage(path).list()]
        modified_s = max([path.stat().st_mtime, *(info.modified_s for info in files)])
        size_bytes = sum(info.size for info in files)
        stale.append(StaleSet(name=path.name, keys=(), size_bytes=size_bytes, modified_s=modified_s))
    return stale
