"""Decide which clips are copies of others: an epoch over the clips that are new and pass the rules."""

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
from manifests.live_view import Current
from manifests.parts import Part
from pipeline.config import CurateConfig, DedupConfig, config_digest
from pipeline.dedup.candidates import Met, candidates, frames_of
from pipeline.dedup.compare_stage import add_compare, compare_some
from pipeline.dedup.decisions import MATCHES, Epoch, decide, epoch
from pipeline.dedup.exact import exact
from pipeline.dedup.semantic_job import semantic
from pipeline.planning.pending import selected
from pipeline.runtime.progress import Progress
from pipeline.runtime.session import RaySession
from pipeline.select.select import passing

_TASK_PAIRS = 16384
"""A task compares at most so many pairs."""
_HERE_PAIRS = 256
"""So many pairs are compared in less time than it takes to start Ray."""
_NEEDED = ("clip_id", "analysis", "source_digest", "stream_index", "kind", "width", "height")
_SPAN = ("start_pts", "end_pts", "time_base_num", "time_base_den")
"""Columns that an epoch needs once it is known what passes the rules."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DedupRun:
    """What deciding on copies came to."""

    fresh: int = 0
    """Clips that were decided on."""
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def dedup(
    current: Current, config: CurateConfig, session: RaySession, progress: Progress
) -> tuple[Dataset, DedupRun]:
    """Decide on all clips that pass the rules and were not decided on; commit it, if there were any."""
    begin, dataset = time.monotonic(), current.dataset
    found = to_dedup(current, config)
    if not found.fresh + len(found.out):
        return dataset, DedupRun()
    progress("dedup", 0, found.fresh)
    settings = config.dedup
    matches = [MATCHES.empty_table()]
    if settings.exact:
        matches.append(exact(found.clips, settings.min_covered).select(MATCHES.names).cast(MATCHES))
    parts = dataset.parts("clips")
    clips = _located(parts, found.clips)
    if settings.near and found.fresh:
        matches.append(_near(dataset, parts, clips, settings, session))
    if settings.semantic and found.fresh:
        several = semantic(dataset, parts, clips, settings, session.cpus)
        matches.append(several.cast(MATCHES))
    decided = decide(found, pa.concat_tables(matches))
    progress("dedup", found.fresh)
    counts = dict(Counter(decided["kind"].to_pylist()))
    seconds = time.monotonic() - begin
    commit = Commit(
        stage="dedup",
        added=(dataset.put("duplicates", decided),),
        config=asdict(settings),
        config_digest=config_digest(settings),
        counts={"units": found.fresh, **counts},
        seconds=round(seconds, 3),
    )
    return dataset.commit(commit, rebase=True), DedupRun(fresh=found.fresh, counts=counts, seconds=seconds)


def to_dedup(current: Current, config: CurateConfig) -> Epoch:
    """Return what is to decide: nothing where nothing is looked for. `place` is as `Current.places` says."""
    settings = config.dedup
    clips = current.read("clips", [*selected(current), "source_digest"])
    clips = clips.append_column("place", pa.array(current.places("clips")))
    clips = clips if settings.exact or settings.near or settings.semantic else clips.slice(0, 0)
    good = passing(clips, config.select)
    clips = _with_rate(clips, current).select([*_NEEDED, *_SPAN, "bytes_per_s", "place"])
    decided = current.read("duplicates", ["clip_id", "kind", "keeper", "config"])
    return epoch(clips, good, decided, settings)


def _with_rate(clips: pa.Table, current: Current) -> pa.Table:
    """Add `bytes_per_s`: bytes of the source over its duration, or all of them for a still."""
    names = ["source_key", "size_bytes", "start_pts", "end_pts", "time_base_num", "time_base_den", "kind"]
    sources = current.read("sources", names)
    sources = sources.filter(sources["time_base_den"].is_valid())
    span = pc.cast(pc.subtract(sources["end_pts"], sources["start_pts"]), pa.float64())
    seconds = pc.divide(
        pc.multiply(span, sources["time_base_num"]), pc.cast(sources["time_base_den"], pa.float64())
    )
    seconds = pc.if_else(pc.equal(sources["kind"], "video"), seconds, 1.0)
    rate = pc.divide(pc.cast(sources["size_bytes"], pa.float64()), pc.max_element_wise(seconds, 1e-6))
    at = pc.index_in(clips["source_key"], sources["source_key"])
    return clips.append_column("bytes_per_s", pc.fill_null(rate.take(at), 0.0))


def _near(
    dataset: Dataset, parts: Sequence[Part], clips: pa.Table, config: DedupConfig, session: RaySession
) -> pa.Table:
    frames = _frames(dataset, parts, clips, mirrored=config.mirrored)
    pairs = _plausible(candidates(frames), clips)
    if len(pairs) <= _HERE_PAIRS:
        return compare_some(pairs, uri=dataset.uri, parts=parts, config=config).cast(MATCHES)
    each = min(_TASK_PAIRS, max(256, -(-len(pairs) // (4 * session.cpus))))
    blocks = [pairs.slice(first, each).combine_chunks() for first in range(0, len(pairs), each)]
    compared = add_compare(ray.data.from_arrow(blocks), dataset.uri, parts, config)
    batches: Iterable[Any] = compared.iter_batches(batch_format="pyarrow", batch_size=None)
    return pa.concat_tables(
        [MATCHES.empty_table(), *(batch.cast(MATCHES) for batch in batches if len(batch))]
    )


def _located(parts: Sequence[Part], clips: pa.Table) -> pa.Table:
    """Add in which part each clip's row lies, `file`, and at which `row` of it."""
    place_N, ends = clips["place"].to_numpy(), np.cumsum([part.rows for part in parts])
    file_N = np.searchsorted(ends, place_N, side="right")
    row_N = place_N - np.array([0, *ends])[file_N]
    return clips.append_column("file", pa.array(file_N)).append_column("row", pa.array(row_N))


def _frames(dataset: Dataset, parts: Sequence[Part], clips: pa.Table, *, mirrored: bool) -> pa.Table:
    """Return the frames of new clips, and of the others those that may meet one of them."""
    fresh = clips["fresh"]

    def read(some: tuple[Part, pa.Table]) -> pa.Table:
        part, rows = some
        hashes = dataset.read_part(part, ["frame_hashes"])
        if not hashes.column_names:  # an analysis from before there were any
            return frames_of(rows.slice(0, 0).append_column("frame_hashes", pa.array([], pa.binary())))
        column = hashes["frame_hashes"].take(rows["row"])
        return frames_of(rows.append_column("frame_hashes", column), mirrored=mirrored)

    new = pa.concat_tables(dataset.each(read, [*_by_part(parts, clips.filter(fresh))]))
    met = Met(new)
    others = [*_by_part(parts, clips.filter(pc.invert(fresh)))]
    return pa.concat_tables([new, *dataset.each(lambda some: met.some(read(some)), others)])


def _by_part(parts: Sequence[Part], clips: pa.Table) -> Iterator[tuple[Part, pa.Table]]:
    """Yield each part that holds some of the clips, with those."""
    clips = clips.select(["rank", "fresh", "file", "row"]).sort_by(
        [("file", "ascending"), ("row", "ascending")]
    )
    files, counts = np.unique(clips["file"].to_numpy(), return_counts=True)
    first = 0
    for file, count in zip(files.tolist(), counts.tolist(), strict=True):
        yield parts[file], clips.slice(first, count)
        first += count


def _plausible(pairs: pa.Table, clips: pa.Table) -> pa.Table:
    """Add what a comparison needs; leave out a video with a still, and two clips of one file."""
    for side in ("part", "whole"):
        for name in ("file", "row", "duration_s", "kind", "source_digest"):
            column = clips[name].take(pairs[side])
            pairs = pairs.append_column(f"{side}_{'s' if name == 'duration_s' else name}", column)
    alike = pc.equal(pairs["part_kind"], pairs["whole_kind"])
    apart = pc.not_equal(pairs["part_source_digest"], pairs["whole_source_digest"])
    pairs = pairs.filter(pc.and_(alike, apart)).sort_by(
        [(f"{s}_file", "ascending") for s in ("part", "whole")]
    )
    return pairs.drop_columns([f"{s}_{n}" for s in ("part", "whole") for n in ("kind", "source_digest")])
