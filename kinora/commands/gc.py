"""Delete what no version refers to any more: of a dataset, of a shard set, and of what is encoded for it.

Nothing that the newest commit, or the published shard set, refers to is ever deleted, and nothing that was
referred to, or written, in the last `older_than_h` hours: a running job may need it.
"""

import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from kinora.cli.result import Result
from manifests.dataset import Dataset
from manifests.gc import Garbage, delete_garbage, find_garbage
from manifests.storage import open_storage
from pipeline.pack.shard_sets import OutputRefused
from pipeline.pack.stale_sets import delete_stale_set, find_stale_sets, published_set
from trainer.data.encoded_gc import UnreferencedEncodings
from trainer.data.encoded_gc import drop as drop_encodings
from trainer.data.encoded_gc import unreferenced as find_encodings


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    dataset: str = ""
    """Dataset: a folder or s3://bucket/prefix. Media that were cut anew, orphans and unfinished writes go."""
    shards: str = ""
    """Shard set: the folder or s3://bucket/prefix that `kinora pack` wrote. Replaced and unfinished sets go,
    and latents and text states below `encoded/` that no sample refers to."""
    dry_run: bool = False
    """Print what would be deleted, without deleting."""
    older_than_h: float = 24.0
    """Minimum time in hours since something was written, and since it was last referred to. Must exceed the
    longest time that a job runs; use 0 only while none does."""


@dataclass(kw_only=True, slots=True)
class _Found:
    """Lines of the result: number and bytes by kind."""

    dropped: dict[str, tuple[int, int]] = field(default_factory=dict)
    kept: dict[str, tuple[int, int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def run(config: Config) -> Result:
    """List what is not needed, and delete it unless `dry_run`."""
    if not (config.dataset or config.shards):
        raise ValueError("name what to clean up: --dataset, --shards or both")
    if not config.older_than_h >= 0:
        raise ValueError(f"--older-than-h {config.older_than_h}: must be 0 or more")
    found = _Found()
    if config.dataset:
        _clean_dataset(config, found)
    if config.shards:
        _clean_sets(config, found)
        _clean_encodings(config, found)
    data: dict[str, Any] = {"dry_run": config.dry_run, "notes": found.notes}
    for name, kinds in (("dropped", found.dropped), ("kept", found.kept)):
        data[name] = {kind: {"count": count, "bytes": size} for kind, (count, size) in kinds.items() if count}
    return Result(data, Group(_table(found, dry_run=config.dry_run), *(Text(note) for note in found.notes)))


def _clean_dataset(config: Config, found: _Found) -> None:
    dataset, now_s, age_s = Dataset.open(config.dataset), time.time(), config.older_than_h * 3600
    garbage = find_garbage(dataset, older_than_s=age_s, now_s=now_s)
    if not config.dry_run:
        delete_garbage(dataset, garbage, older_than_s=age_s, now_s=now_s)
    orphans = [o for o in garbage.findings.orphans if now_s - o.modified_s >= age_s]
    writes = [w for w in garbage.findings.incomplete_uploads if now_s - w.started_s >= age_s]
    found.dropped["tars of media that were cut anew"] = len(garbage.tars), sum(o.size for o in garbage.tars)
    found.dropped["orphaned files"] = len(orphans), sum(o.size for o in orphans)
    found.dropped["unfinished writes"] = len(writes), 0
    young = (
        len(garbage.findings.orphans) - len(orphans) + len(garbage.findings.incomplete_uploads) - len(writes)
    )
    found.kept["tars too young to be dropped"] = garbage.young_tars, 0
    found.kept["orphans and unfinished writes too young to be dropped"] = young, 0
    found.kept["tars that also hold media that count"] = garbage.mixed_tars, garbage.mixed_bytes
    found.notes += _lost(garbage, dry_run=config.dry_run)


def _lost(garbage: Garbage, *, dry_run: bool) -> list[str]:
    """Return what readers of earlier commits lose."""
    if not garbage.tars:
        return []
    lose = "would lose" if dry_run else "lost"
    return [
        f"readers of commits before {garbage.commit + 1} (`--at`) {lose} the pixels of {garbage.media} media "
        "that were cut anew since; tables and captions stay"
    ]


def _clean_sets(config: Config, found: _Found) -> None:
    try:
        stale = find_stale_sets(config.shards)
    except OutputRefused as error:
        raise ValueError(
            f"{config.shards}: holds something other than a shard set of Kinora, and nothing of it was "
            "deleted; name what `kinora pack --out` wrote"
        ) from error
    if not (stale or published_set(config.shards)):
        raise ValueError(f"{config.shards}: no shard set is here; name what `kinora pack --out` wrote")
    old = [each for each in stale if each.modified_s <= time.time() - config.older_than_h * 3600]
    for each in [] if config.dry_run else old:
        delete_stale_set(config.shards, each)
    for kind, own in (
        ("replaced or unfinished shard sets", [each for each in old if not each.is_tar]),
        ("tars of replaced or unfinished shard sets", [each for each in old if each.is_tar]),
    ):
        found.dropped[kind] = len(own), sum(each.size_bytes for each in own)
    found.kept["shard sets and tars too young to be dropped"] = len(stale) - len(old), 0


def _clean_encodings(config: Config, found: _Found) -> None:
    uri = published_set(config.shards)
    if not uri:
        found.notes.append(f"{config.shards}: no published shard set, so what is encoded stays")
        return
    if _is_encoding(uri, config):
        found.notes.append(
            f"{config.shards}: something was encoded in the last {config.older_than_h:g} h, so all that is "
            "encoded stays"
        )
        return
    result: UnreferencedEncodings = (find_encodings if config.dry_run else drop_encodings)(uri)
    found.dropped["latents"] = result.latents.rows, result.latents.bytes
    found.dropped["text states"] = result.texts.rows, result.texts.bytes
    found.dropped["texts of samples that are not packed"] = result.samples, 0
    found.dropped["encoded sets of an earlier version"] = int(result.legacy_bytes > 0), result.legacy_bytes


def _is_encoding(uri: str, config: Config) -> bool:
    """Return whether something below `encoded/` is younger than the limit: a job may be writing there."""
    newest = max((info.modified_s for info in open_storage(uri).list("encoded")), default=0.0)
    return newest > time.time() - config.older_than_h * 3600


def _table(found: _Found, *, dry_run: bool) -> Table:
    table = Table("would drop" if dry_run else "dropped", "count", "size", box=None, padding=(0, 3, 0, 0))
    table.columns[1].justify = table.columns[2].justify = "right"
    for kind, (count, size) in found.dropped.items():
        table.add_row(kind, str(count), _size(size) if size else "")
    for kind, (count, size) in found.kept.items():
        if count:
            table.add_row(f"kept: {kind}", str(count), _size(size) if size else "", style="dim")
    return table


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"
