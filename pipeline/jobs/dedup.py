"""Decide which clips are copies of others: an epoch over the clips that are new and pass the rules."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import ray.data

from manifests.arrow import pc
from manifests.parts import Part
from manifests.store import Commit, Dataset
from manifests.views import Current
from pipeline.config import CurateConfig, DedupConfig, config_digest
from pipeline.dedup.candidates import candidates, frames_of
from pipeline.dedup.decisions import MATCHES, Epoch, decide, epoch
from pipeline.dedup.exact import exact
from pipeline.jobs.progress import Progress
from pipeline.jobs.semantic import semantic
from pipeline.jobs.session import RaySession
from pipeline.select import select
from pipeline.stages.compare import add_compare
from pipeline.todo import current_of, selected

_TASK_PAIRS = 16384
"""A task compares at most so many pairs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DedupRun:
    """What deciding on copies came to."""

    fresh: int = 0
    """Clips that were decided on."""
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def dedup(
    dataset: Dataset, config: CurateConfig, session: RaySession, progress: Progress
) -> tuple[Dataset, DedupRun]:
    """Decide on all clips that pass the rules and were not decided on; commit it, if there were any."""
    begin = time.monotonic()
    found = to_dedup(dataset, config)
    if not found.fresh + len(found.out):
        return dataset, DedupRun()
    progress("dedup", 0, found.fresh)
    settings = config.dedup
    matches = [MATCHES.empty_table()]
    if settings.exact:
        matches.append(exact(found.clips, settings.min_covered).select(MATCHES.names).cast(MATCHES))
    parts = dataset.parts("clips")
    if settings.near or settings.semantic:
        clips = _located(dataset, parts, found.clips, hashes=settings.near)
        if settings.near:
            matches.append(_near(dataset, parts, clips, settings, session))
        if settings.semantic:
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
        counts=counts,
        seconds=round(seconds, 3),
    )
    return dataset.commit(commit, rebase=True), DedupRun(fresh=found.fresh, counts=counts, seconds=seconds)


def to_dedup(at: Dataset | Current, config: CurateConfig) -> Epoch:
    """Return what is to decide: nothing where nothing is looked for."""
    settings, current = config.dedup, current_of(at)
    clips = current.read("clips", [*selected(current), "source_digest"])
    clips = clips if settings.exact or settings.near or settings.semantic else clips.slice(0, 0)
    passing = select(clips, config.select)["kept"]
    return epoch(_with_rate(clips, current), passing, current.duplicates, settings)


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
    pairs = candidates(frames_of(clips, mirrored=config.mirrored))
    pairs = _plausible(pairs, clips)
    if not len(pairs):
        return MATCHES.empty_table()
    each = min(_TASK_PAIRS, max(256, -(-len(pairs) // (4 * session.cpus))))
    blocks = [pairs.slice(first, each).combine_chunks() for first in range(0, len(pairs), each)]
    compared = add_compare(ray.data.from_arrow(blocks), dataset.uri, parts, config)
    batches: Iterable[Any] = compared.iter_batches(batch_format="pyarrow", batch_size=None)
    return pa.concat_tables(
        [MATCHES.empty_table(), *(batch.cast(MATCHES) for batch in batches if len(batch))]
    )


def _located(dataset: Dataset, parts: Sequence[Part], clips: pa.Table, *, hashes: bool) -> pa.Table:
    """Add where each clip's row lies (`file`, `row`), and its `frame_hashes` where they are asked for."""
    keys = ["clip_id", "source_key", "analysis"]
    tables = []
    for number, part in enumerate(parts):
        table = _with_hashes(dataset, part, keys) if hashes else dataset.read_part(part, keys)
        table = table.append_column("file", pa.array(np.full(len(table), number)))
        tables.append(table.append_column("row", pa.array(np.arange(len(table)))))
    rows = pa.concat_tables(tables[::-1])  # the newest first: it counts
    names = pc.binary_join_element_wise(*(rows[key] for key in keys), " ")
    wanted = pc.binary_join_element_wise(*(clips[key] for key in keys), " ")
    at = pc.index_in(wanted, names)
    for name in ("file", "row", *(("frame_hashes",) if hashes else ())):
        clips = clips.append_column(name, rows[name].take(at))
    return clips


def _with_hashes(dataset: Dataset, part: Part, keys: list[str]) -> pa.Table:
    table = dataset.read_part(part, [*keys, "frame_hashes"])
    if "frame_hashes" not in table.column_names:  # an analysis from before there were any
        return table.append_column("frame_hashes", pa.nulls(len(table), pa.binary()))
    return table


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
