"""Find and mark copies: one round over the new clips that pass the selection rules."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import ray.data

from manifests.arrow import pc
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.parts import Part
from manifests.scores import EMBEDDING_DIGEST, EMBEDDING_ROW
from pipeline.config import CurateConfig, DedupConfig, config_digest
from pipeline.dedup.candidates import HashPrefilter, candidate_pairs, frame_table
from pipeline.dedup.compare_stage import add_compare, compare_block
from pipeline.dedup.decisions import MATCHES, DedupRound, durations, plan_round, resolve
from pipeline.dedup.exact import exact_matches
from pipeline.jobs.dedup_semantic import embedding_rows, semantic_matches
from pipeline.runtime.progress import Progress
from pipeline.runtime.session import RaySession
from pipeline.select.select import passes_rules, rule_columns
from pipeline.select.where import with_where

_TASK_PAIRS = 16384
"""Pairs per task, at most."""
_LOCAL_PAIRS = 256
"""Up to this many pairs are compared in the driver: faster than starting Ray."""
_SPAN = ("start_pts", "end_pts", "time_base_num", "time_base_den")
_COLUMNS = ("clip_id", "analysis", "source_digest", "stream_index", "kind", "width", "height", *_SPAN)
"""Columns of the clips table that a round reads, besides those of the rules."""
_SIDES = ("candidate", "keeper")


@dataclass(frozen=True, kw_only=True, slots=True)
class DedupRun:
    """The result of one round."""

    num_new: int = 0
    """Clips that were compared with others."""
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def dedup(
    view: LiveView, config: CurateConfig, session: RaySession, progress: Progress
) -> tuple[Dataset, DedupRun]:
    """Find the copies among new clips that pass the rules, and commit the decisions.

    Returns the unchanged dataset if there is nothing to decide.
    """
    begin, dataset = time.monotonic(), view.dataset
    dedup_round = pending_round(view, config)
    if not dedup_round.num_new + len(dedup_round.ineligible):
        return dataset, DedupRun()
    progress("dedup", 0, dedup_round.num_new)
    settings = config.dedup
    matches = [MATCHES.empty_table()]
    if settings.exact:
        found = exact_matches(dedup_round.clips, settings.min_coverage)
        matches.append(found.select(MATCHES.names).cast(MATCHES))
    parts = dataset.parts("clips")
    clips = _located(parts, dedup_round.clips)
    if settings.near and dedup_round.num_new:
        matches.append(_near(dataset, parts, clips, settings, session))
    if settings.semantic and dedup_round.num_new:
        found = semantic_matches(dataset, *embedding_rows(view, parts, clips), settings, session.cpus)
        matches.append(found.cast(MATCHES))
    decided = resolve(dedup_round, pa.concat_tables(matches))
    progress("dedup", dedup_round.num_new)
    counts = dict(Counter(decided["kind"].to_pylist()))
    seconds = time.monotonic() - begin
    commit = Commit(
        stage="dedup",
        added=(dataset.write_part("duplicates", decided),),
        config=asdict(settings),
        config_digest=config_digest(settings),
        counts={"units": dedup_round.num_new, **counts},
        seconds=round(seconds, 3),
    )
    run = DedupRun(num_new=dedup_round.num_new, counts=counts, seconds=seconds)
    return dataset.commit(commit, rebase=True), run


def pending_round(view: LiveView, config: CurateConfig) -> DedupRound:
    """Return the clips to compare; none if every kind of comparison is off.

    Their column `place` is the row number among all parts of the clips table (`LiveView.row_indices`).
    """
    settings = config.dedup
    clips = view.read("clips", [*rule_columns(view), "source_digest"])
    clips = clips.append_column("place", pa.array(view.row_indices("clips")))
    clips = clips if settings.exact or settings.near or settings.semantic else clips.slice(0, 0)
    passing = passes_rules(with_where(clips, view, config.select), config.select)
    digests = [name for name in (EMBEDDING_DIGEST, EMBEDDING_ROW) if name in clips.column_names]
    clips = _with_rate(clips, view).select([*_COLUMNS, *digests, "bytes_per_s", "place"])
    decided = view.read("duplicates", ["clip_id", "kind", "keeper", "config"])
    return plan_round(clips, passing, decided, settings)


def _with_rate(clips: pa.Table, view: LiveView) -> pa.Table:
    """Add `bytes_per_s`: size of the source over its duration, or its size for a still."""
    sources = view.read("sources", ["source_key", "size_bytes", "kind", *_SPAN])
    sources = sources.filter(sources["time_base_den"].is_valid())
    seconds = pc.max_element_wise(durations(sources, still_s=1.0), 1e-6)
    rate = pc.divide(pc.cast(sources["size_bytes"], pa.float64()), seconds)
    index = pc.index_in(clips["source_key"], sources["source_key"])
    return clips.append_column("bytes_per_s", pc.fill_null(rate.take(index), 0.0))


def _near(
    dataset: Dataset, parts: Sequence[Part], clips: pa.Table, config: DedupConfig, session: RaySession
) -> pa.Table:
    frames = _load_frames(dataset, parts, clips, mirrored=config.mirrored)
    pairs = _with_locations(candidate_pairs(frames), clips)
    if len(pairs) <= _LOCAL_PAIRS:
        return compare_block(pairs, uri=dataset.uri, parts=parts, config=config).cast(MATCHES)
    block_pairs = min(_TASK_PAIRS, max(256, -(-len(pairs) // (4 * session.cpus))))
    starts = range(0, len(pairs), block_pairs)
    blocks = [pairs.slice(start, block_pairs).combine_chunks() for start in starts]
    compared = add_compare(ray.data.from_arrow(blocks), dataset.uri, parts, config)
    batches: Iterable[Any] = compared.iter_batches(batch_format="pyarrow", batch_size=None)
    return pa.concat_tables(
        [MATCHES.empty_table(), *(batch.cast(MATCHES) for batch in batches if len(batch))]
    )


def _located(parts: Sequence[Part], clips: pa.Table) -> pa.Table:
    """Add the index of the part that holds each clip, `file`, and its `row` there."""
    place_N, ends = clips["place"].to_numpy(), np.cumsum([part.rows for part in parts])
    file_N = np.searchsorted(ends, place_N, side="right")
    row_N = place_N - np.array([0, *ends])[file_N]
    return clips.append_column("file", pa.array(file_N)).append_column("row", pa.array(row_N))


def _load_frames(dataset: Dataset, parts: Sequence[Part], clips: pa.Table, *, mirrored: bool) -> pa.Table:
    """Read the frames of new clips, and those frames of keepers that may match one of them."""
    is_new = clips["is_new"]

    def read(part: Part, rows: pa.Table) -> pa.Table:
        hashes = dataset.read_part(part, ["frame_hashes"])
        if not hashes.column_names:  # an analysis older than the fingerprints
            return frame_table(rows.slice(0, 0).append_column("frame_hashes", pa.array([], pa.binary())))
        column = hashes["frame_hashes"].take(rows["row"])
        return frame_table(rows.append_column("frame_hashes", column), mirrored=mirrored)

    new_parts = [*_by_part(parts, clips.filter(is_new))]
    new = pa.concat_tables(dataset.map_parallel(lambda each: read(*each), new_parts))
    prefilter = HashPrefilter(new)
    keeper_parts = [*_by_part(parts, clips.filter(pc.invert(is_new)))]
    return pa.concat_tables(
        [new, *dataset.map_parallel(lambda each: prefilter.filter(read(*each)), keeper_parts)]
    )


def _by_part(parts: Sequence[Part], clips: pa.Table) -> Iterator[tuple[Part, pa.Table]]:
    """Group clips by the part that holds them."""
    clips = clips.select(["rank", "is_new", "file", "row"]).sort_by(
        [("file", "ascending"), ("row", "ascending")]
    )
    files, counts = np.unique(clips["file"].to_numpy(), return_counts=True)
    first = 0
    for file, count in zip(files.tolist(), counts.tolist(), strict=True):
        yield parts[file], clips.slice(first, count)
        first += count


def _with_locations(pairs: pa.Table, clips: pa.Table) -> pa.Table:
    """Add `_file`, `_row` and `_s` of both clips; drop pairs of a video and a still, and of one file."""
    for side in _SIDES:
        for name in ("file", "row", "duration_s", "kind", "source_digest"):
            column = clips[name].take(pairs[side])
            pairs = pairs.append_column(f"{side}_{'s' if name == 'duration_s' else name}", column)
    same_kind = pc.equal(pairs["candidate_kind"], pairs["keeper_kind"])
    other_file = pc.not_equal(pairs["candidate_source_digest"], pairs["keeper_source_digest"])
    pairs = pairs.filter(pc.and_(same_kind, other_file))
    pairs = pairs.sort_by([(f"{side}_file", "ascending") for side in _SIDES])
    return pairs.drop_columns([f"{side}_{name}" for side in _SIDES for name in ("kind", "source_digest")])
