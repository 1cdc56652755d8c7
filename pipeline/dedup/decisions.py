"""Which clip of several that show the same is kept, in epochs: what was decided stands when data is added.

Pure: tables in, tables out. A clip's rank is its place in the order of keepers: those of earlier epochs come
first, then new clips by pixels, duration and bytes a second (more is better) and clip id. So the outcome
depends neither on the order of the rows nor on how the work was spread.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from manifests import schemas
from manifests.arrow import pc
from manifests.records import Duplicate, digest
from pipeline.config import DedupConfig, config_digest

KINDS = ("exact", "near", "semantic")
"""Of copies; what is more than one is the first of them."""
MATCHES = pa.schema(
    [
        ("part", pa.int64()),
        ("whole", pa.int64()),
        ("kind", pa.string()),
        ("distance", pa.float64()),
        ("offset_s", pa.float64()),
        ("detail", pa.string()),
    ]
)
"""Clip `part` (rank) shows no more than clip `whole` (rank, less than `part`) does."""


def dedup_digest(config: DedupConfig, analysis: str) -> str:
    """Name the configuration together with what it looks at."""
    return dedup_name(config_digest(config), analysis)


def dedup_name(config: str, analysis: str) -> str:
    """Return `dedup_digest` by the digest of the configuration."""
    return digest("dedup", config, analysis)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Epoch:
    """What one run has to decide."""

    clips: pa.Table
    """Keepers and new clips in the order of `rank`, with the columns `rank`, `fresh` and `digest`."""
    out: pa.Table
    """`clip_id` and `digest` of clips that were decided on and break a rule now."""

    @property
    def fresh(self) -> int:
        """How many clips are new."""
        return pc.sum(self.clips["fresh"]).as_py() or 0


def epoch(clips: pa.Table, passing: pa.Array, decided: pa.Table, config: DedupConfig) -> Epoch:
    """Find what is to decide.

    Args:
        clips: rows of the clips table, with `bytes_per_s`.
        passing: which of them pass the rules: only these are worth keeping, so only they have copies.
        decided: the newest `Duplicate` of each: `clip_id`, `kind`, `keeper` and `config`.
    """
    clips = clips.append_column("digest", _digests(clips, config))
    at = pc.index_in(clips["clip_id"], decided["clip_id"])
    same = pc.fill_null(pc.equal(decided["config"].take(at), clips["digest"]), False)
    kind = pc.if_else(same, decided["kind"].take(at), None)
    keeper = pc.if_else(same, decided["keeper"].take(at), None)
    keeps = pc.and_(pc.fill_null(pc.equal(kind, "none"), False), passing)
    stands = pc.or_(keeps, pc.is_in(keeper, value_set=clips["clip_id"].filter(keeps)))
    fresh = pc.and_(passing, pc.invert(stands))
    if config.prefer == "best" and pc.any(fresh).as_py():
        keeps, fresh = pc.and_(keeps, False), passing
    was = pc.fill_null(pc.not_equal(kind, "out"), False)
    out = clips.filter(pc.and_(was, pc.invert(passing))).select(["clip_id", "digest"])
    wanted = pc.or_(keeps, fresh) if pc.any(fresh).as_py() else fresh  # without new clips nothing is compared
    table = clips.append_column("fresh", fresh).filter(wanted)
    pixels = pc.multiply(table["width"], table["height"])
    table = table.append_column("pixels", pixels).append_column("duration_s", _durations(table))
    order = [
        ("fresh", "ascending"),
        *((name, "descending") for name in ("pixels", "duration_s", "bytes_per_s")),
    ]
    table = table.combine_chunks().sort_by([*order, ("clip_id", "ascending")])  # in half the time
    return Epoch(clips=table.append_column("rank", pa.array(np.arange(len(table)))), out=out)


def decide(found: Epoch, matches: pa.Table) -> pa.Table:
    """Return a row of `Duplicate` for each new clip, and for each that is out.

    In the order of keepers: a clip with a match to a keeper is dropped for the best of them, else it becomes
    a keeper. So no keeper is a copy of another, and each copy was held against its keeper itself.

    Args:
        matches: rows of `MATCHES`.
    """
    names, copies = found.clips["clip_id"], dict[int, dict[str, Any]]()
    for part, some in _by_part(matches).items():
        match = next((match for match in some if match["whole"] not in copies), None)
        if match is not None:
            keeper = names[match["whole"]].as_py()
            copies[part] = match | {"keeper": keeper, "detail": f"of {keeper}: {match['detail']}"}
    fresh = found.clips.filter(found.clips["fresh"])
    at = pc.index_in(fresh["rank"], pa.array([*copies], pa.int64()))
    schema = schemas.schema(Duplicate)
    told = pa.Table.from_pylist([*copies.values()], schema=schema).take(at)
    for name, value in (("kind", "none"), ("keeper", fresh["clip_id"]), ("detail", "")):
        told = _set(told, name, pc.coalesce(told[name], value))
    decided = _set(_set(told, "clip_id", fresh["clip_id"]), "config", fresh["digest"])
    out = found.out.rename_columns(["clip_id", "config"])
    out = out.append_column("keeper", out["clip_id"])
    for name, value in (("kind", "out"), ("distance", None), ("offset_s", None), ("detail", "")):
        out = out.append_column(name, pa.repeat(pa.scalar(value, schema.field(name).type), len(out)))
    return pa.concat_tables([decided.cast(schema), out.select(schema.names).cast(schema)])


def with_duplicates(clips: pa.Table, decided: pa.Table, config: DedupConfig) -> pa.Table:
    """Add `duplicate_kind`, `duplicate_of`, `duplicate_detail`; null for what is no copy under `config`."""
    decided = decided.filter(pc.is_in(decided["kind"], value_set=pa.array(KINDS)))
    at = pc.index_in(clips["clip_id"], decided["clip_id"])
    copies = pc.fill_null(pc.equal(decided["config"].take(at), _digests(clips, config)), False)
    none = pa.scalar(None, pa.string())
    for name, column in (("kind", "kind"), ("of", "keeper"), ("detail", "detail")):
        clips = clips.append_column(f"duplicate_{name}", pc.if_else(copies, decided[column].take(at), none))
    return clips


def _by_part(matches: pa.Table) -> dict[int, list[dict[str, Any]]]:
    """Return the matches of each clip by rank, in the order of keepers, the best first."""
    rows = matches.to_pylist()
    rows.sort(key=lambda m: (m["part"], KINDS.index(m["kind"]), m["distance"], m["whole"]))
    found: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["part"], []).append(row)
    return found


def _set(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def _digests(clips: pa.Table, config: DedupConfig) -> pa.Array:
    analyses = clips["analysis"].combine_chunks().dictionary_encode()
    names = [dedup_digest(config, name) for name in analyses.dictionary.to_pylist()]
    return pa.array(names, pa.string()).take(analyses.indices)


def _durations(clips: pa.Table) -> pa.Array:
    span = pc.cast(pc.subtract(clips["end_pts"], clips["start_pts"]), pa.float64())
    seconds = pc.divide(
        pc.multiply(span, clips["time_base_num"]), pc.cast(clips["time_base_den"], pa.float64())
    )
    return pc.if_else(pc.equal(clips["kind"], "video"), seconds, 0.0)
