"""Take sources out of a dataset for good: their clips, media and captions go, and no later run takes them.

Name them by --uri, by --source-key, or by an SQL condition over their columns. Prints which shard sets hold
samples of them and have to be packed again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Group
from rich.text import Text

from kinora.cli.result import Exit, Result
from kinora.removed_samples import AffectedSet, affected_sets, drop_encodings
from manifests.arrow import pc
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.purge import Purged, purge
from manifests.records import Removal
from manifests.removals import (
    Affected,
    affected_by,
    commit_removals,
    copies_of,
    find_by_name,
    find_where,
    new_removals,
)
from manifests.tombstones import clips_of, removed_sources
from pipeline.sources.stat import path_to_uri

WORDS = {"uri": 1, "source_key": 1, "shards": 1}
_MAX_COPIES = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    dataset: str
    """Dataset: a folder or s3://bucket/prefix."""
    uri: tuple[str, ...] = ()
    """A file or object, or a tar with all its members; may be repeated. What lies there later is not taken
    either."""
    source_key: tuple[str, ...] = ()
    """The key of one version of a file (`kinora trace` prints it); may be repeated."""
    where: str = ""
    """An SQL condition over the columns of the view `sources` and those of your source list, such as
    `licence = 'CC BY-NC'`."""
    purge: bool = False
    """Also delete their bytes and texts: media, thumbnails, measurements, captions, what is encoded. Without
    it, commits before this one still show them (`--at`)."""
    reason: str = ""
    """Why, for the record."""
    shards: tuple[str, ...] = ()
    """A shard set to look at besides those that the dataset's log names; may be repeated."""
    dry_run: bool = False
    """Print what would go, without changing anything."""


def run(config: Config) -> Result:
    """Remove; exit with 3 if no source has the name, with 10 if some names have none."""
    if not (config.uri or config.source_key or config.where):
        raise ValueError("name the sources to remove: --uri, --source-key or --where")
    dataset = Dataset.open(config.dataset)
    found, missing = _find(LiveView(dataset), config)
    if not found:
        names = ", ".join(missing) or config.where
        text = f"nothing to do: no source of {dataset.uri} is {names}"
        return Result({"error": text, "unknown": missing}, text, Exit.NOTHING)
    removals = new_removals(dataset, found, purge=config.purge, reason=config.reason or config.where)
    view = LiveView(dataset)
    affected, gone = affected_by(view, removals)
    copies = copies_of(view, gone)
    purged = Purged()
    if removals and not config.dry_run:
        dataset = commit_removals(dataset, removals, asdict(affected))
    if config.purge and not config.dry_run:
        dataset, purged = purge(dataset)
    clips = gone | {*clips_of(dataset, removed_sources(dataset)).to_pylist()}
    sets = affected_sets(dataset, config.shards, clips)
    if config.purge and not config.dry_run:
        sets = [drop_encodings(each, clips) for each in sets]
    data: dict[str, Any] = {
        "dry_run": config.dry_run,
        "commit": dataset.number,
        "removed": asdict(affected),
        "already_removed": not removals,
        "unknown": missing,
        "purged": asdict(purged),
        "copies": copies,
        "pack_again": [asdict(each) for each in sets],
    }
    text = _describe(config, removals, affected, purged, sets, [*_notes(copies, missing)])
    return Result(data, text, Exit.FAILED if missing else Exit.DONE)


def _find(view: LiveView, config: Config) -> tuple[list[Removal], list[str]]:
    """Return the removals of what is named, and the names that no source has."""
    uris = [_as_uri(uri) for uri in config.uri]
    found, missing = find_by_name(view, uris, config.source_key, _file_uris)
    return [*found, *(find_where(view, config.where) if config.where else ())], missing


def _file_uris(uris: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return `pipeline.sources.uri.file_uri` of each of a column of URIs."""
    return pc.replace_substring_regex(uris, pattern=r"(?s)^tar\+(.+)#\d+\+\d+/[^#]*$", replacement=r"\1")


def _as_uri(text: str) -> str:
    """Return a path as the absolute one that sources have; a URI as it is."""
    if "://" in text or text.startswith("tar+"):
        return text
    return path_to_uri(str(Path(text).expanduser().absolute()))


def _describe(
    config: Config,
    removals: Sequence[Removal],
    affected: Affected,
    purged: Purged,
    sets: Sequence[AffectedSet],
    notes: Sequence[str],
) -> Group:
    verb = "would remove" if config.dry_run else "removed"
    lines = [
        f"{verb} {affected.sources} sources, {affected.clips} clips, {affected.media} media, "
        f"{affected.captions} captions"
        if affected.sources
        else "nothing to do: these sources were removed before"
    ]
    if purged.parts or purged.media:
        lines.append(
            f"deleted {purged.media} media ({purged.media_bytes / 1e6:.1f} MB): {purged.tars_deleted} tars "
            f"went, {purged.tars_rewritten} were written anew, as were {purged.parts} parts of tables"
        )
    elif not config.purge:
        lines.append("their bytes stay, for readers of earlier commits; `--purge` deletes them")
    lines += [each.describe(config.dataset) for each in sets]
    return Group(*map(Text, [*lines, *notes]))


def _notes(copies: Sequence[str], missing: Sequence[str]) -> Iterator[str]:
    if copies:
        yield f"copies of its clips are in other files, which stay: {', '.join(copies[:_MAX_COPIES])}"
    yield from (f"unknown: no source is {name}" for name in missing)
