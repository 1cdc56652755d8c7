"""Decide which clip of a group of copies is kept. Pure: tables in, tables out.

Clips are ranked in keeper order: keepers of earlier rounds first, then new clips by pixels, duration and
bytes per second (descending) and clip id. The result does not depend on row order or on how work was split.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from manifests import schemas
from manifests.arrow import combine, pc
from manifests.digest import digest_parts
from manifests.records import Duplicate
from manifests.scores import EMBEDDING_ROW
from pipeline.config import DedupConfig, config_digest

KINDS = ("exact", "near", "semantic")
"""Kinds of copies. A clip that is several is reported as the first of them."""
UNIQUE = "none"
"""`Duplicate.kind` of a keeper."""
INELIGIBLE = "out"
"""`Duplicate.kind` of a clip that was compared in an earlier round and now breaks a selection rule."""
MATCHES = pa.schema(
    [
        ("candidate", pa.int64()),
        ("keeper", pa.int64()),
        ("kind", pa.string()),
        ("distance", pa.float64()),
        ("offset_s", pa.float64()),
        ("detail", pa.string()),
    ]
)
"""Clip `candidate` shows nothing that clip `keeper` does not. Both are ranks, `keeper` < `candidate`."""


def dedup_digest(config: str, analysis: str) -> str:
    """Return the digest of a configuration (its digest) together with the analysis that it compares."""
    return digest_parts("dedup", config, analysis)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DedupRound:
    """The clips that one run compares."""

    clips: pa.Table
    """Keepers and new clips in keeper order, with the columns `rank`, `is_new` and `digest`."""
    ineligible: pa.Table
    """`clip_id` and `digest` of clips that were compared in an earlier round and now break a rule."""

    @property
    def num_new(self) -> int:
        """Number of new clips."""
        return pc.sum(self.clips["is_new"]).as_py() or 0


def plan_round(clips: pa.Table, passing: pa.Array, decided: pa.Table, config: DedupConfig) -> DedupRound:
    """Return the clips to compare, and those that became ineligible.

    Args:
        clips: rows of the clips table, with `bytes_per_s`.
        passing: mask of the clips that break no selection rule: only these are compared.
        decided: the newest `Duplicate` of each clip: `clip_id`, `kind`, `keeper` and `config`.
    """
    clips = clips.append_column("digest", _digests(clips, config))
    index = pc.index_in(clips["clip_id"], decided["clip_id"])
    same = pc.fill_null(pc.equal(decided["config"].take(index), clips["digest"]), False)
    kind = pc.if_else(same, decided["kind"].take(index), None)
    keeper = pc.if_else(same, decided["keeper"].take(index), None)
    keeps = pc.and_(pc.fill_null(pc.equal(kind, UNIQUE), False), passing)
    settled = pc.or_(keeps, pc.is_in(keeper, value_set=clips["clip_id"].filter(keeps)))
    is_new = pc.and_(passing, pc.invert(settled))
    if config.prefer == "best" and pc.any(is_new).as_py():
        keeps, is_new = pc.and_(keeps, False), passing
    was_eligible = pc.fill_null(pc.not_equal(kind, INELIGIBLE), False)
    ineligible = clips.filter(pc.and_(was_eligible, pc.invert(passing))).select(["clip_id", "digest"])
    compared = pc.or_(keeps, is_new) if pc.any(is_new).as_py() else is_new
    table = clips.append_column("is_new", is_new).filter(compared)
    pixels = pc.multiply(table["width"], table["height"])
    table = table.append_column("pixels", pixels).append_column("duration_s", durations(table))
    order = [
        ("is_new", "ascending"),
        *((name, "descending") for name in ("pixels", "duration_s", "bytes_per_s")),
        ("clip_id", "ascending"),
    ]
    table = table.combine_chunks().sort_by(order)  # one chunk sorts twice as fast
    ranked = table.append_column("rank", pa.array(np.arange(len(table))))
    return DedupRound(clips=ranked, ineligible=ineligible)


def resolve(round_: DedupRound, matches: pa.Table) -> pa.Table:
    """Return a row of `Duplicate` for each new and each ineligible clip.

    In keeper order, a clip that matches a keeper is dropped for its best match; any other becomes a keeper.
    So no keeper is a copy of another, and every copy was compared with its own keeper.

    Args:
        matches: rows of `MATCHES`.
    """
    clip_ids, copies = round_.clips["clip_id"], dict[int, dict[str, Any]]()
    for candidate, candidate_matches in _by_candidate(matches).items():
        match = next((match for match in candidate_matches if match["keeper"] not in copies), None)
        if match is not None:
            keeper = clip_ids[match["keeper"]].as_py()
            copies[candidate] = match | {"keeper": keeper, "detail": f"of {keeper}: {match['detail']}"}
    new = round_.clips.filter(round_.clips["is_new"])
    index = pc.index_in(new["rank"], pa.array([*copies], pa.int64()))
    schema = schemas.arrow_schema(Duplicate)
    rows = pa.Table.from_pylist([*copies.values()], schema=schema).take(index)
    for name, value in (("kind", UNIQUE), ("keeper", new["clip_id"]), ("detail", "")):
        rows = _set_column(rows, name, pc.coalesce(rows[name], value))
    rows = _set_column(_set_column(rows, "clip_id", new["clip_id"]), "config", new["digest"])
    ineligible = round_.ineligible.rename_columns(["clip_id", "config"])
    ineligible = ineligible.append_column("keeper", ineligible["clip_id"])
    for name, value in (("kind", INELIGIBLE), ("distance", None), ("offset_s", None), ("detail", "")):
        column = pa.repeat(pa.scalar(value, schema.field(name).type), len(ineligible))
        ineligible = ineligible.append_column(name, column)
    return pa.concat_tables([rows.cast(schema), ineligible.select(schema.names).cast(schema)])


def with_duplicates(clips: pa.Table, decided: pa.Table, config: DedupConfig) -> pa.Table:
    """Add `duplicate_kind`, `duplicate_of` and `duplicate_detail`; null for clips that are no copies."""
    decided = decided.filter(pc.is_in(decided["kind"], value_set=pa.array(KINDS)))
    index = pc.index_in(clips["clip_id"], decided["clip_id"])
    is_copy = pc.fill_null(pc.equal(decided["config"].take(index), _digests(clips, config)), False)
    null = pa.scalar(None, pa.string())
    for name, column in (("kind", "kind"), ("of", "keeper"), ("detail", "detail")):
        values = pc.if_else(is_copy, decided[column].take(index), null)
        clips = clips.append_column(f"duplicate_{name}", values)
    return clips


def _by_candidate(matches: pa.Table) -> dict[int, list[dict[str, Any]]]:
    """Group matches by candidate, in keeper order, the best match first."""
    rows = matches.to_pylist()
    rows.sort(key=lambda row: (row["candidate"], KINDS.index(row["kind"]), row["distance"], row["keeper"]))
    groups: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["candidate"], []).append(row)
    return groups


def _set_column(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def _digests(clips: pa.Table, config: DedupConfig) -> pa.Array:
    """Return `dedup_digest` of each clip. Semantic rounds also depend on embeddings in the scores table."""
    compared = clips["analysis"]
    if config.semantic and EMBEDDING_ROW in clips.column_names:
        both = pc.binary_join_element_wise(compared, clips[EMBEDDING_ROW], " ")
        compared = pc.coalesce(both, compared)
    analyses = combine(compared).dictionary_encode()
    settings = config_digest(config)
    digests = [dedup_digest(settings, analysis) for analysis in analyses.dictionary.to_pylist()]
    return pa.array(digests, pa.string()).take(analyses.indices)


def durations(rows: pa.Table, *, still_s: float = 0.0) -> pa.Array:
    """Return the duration of clips or sources in seconds; `still_s` for stills."""
    span = pc.cast(pc.subtract(rows["end_pts"], rows["start_pts"]), pa.float64())
    seconds = pc.divide(
        pc.multiply(span, rows["time_base_num"]), pc.cast(rows["time_base_den"], pa.float64())
    )
    return pc.if_else(pc.equal(rows["kind"], "video"), seconds, still_s)
