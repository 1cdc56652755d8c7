"""Decide which clips are kept, and commit the decisions. Runs in the driver."""

import time
from collections import Counter
from collections.abc import Collection
from dataclasses import asdict

from manifests.arrow import pc
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from pipeline.config import CurateConfig, config_digest
from pipeline.planning import pending
from pipeline.runtime.run_stage import StageResult
from pipeline.select.select import select

_PART_CLIPS = 100_000
"""Clips that are decided at a time and written as one part."""


def select_clips(
    view: LiveView, config: CurateConfig, source_keys: Collection[str] | None
) -> tuple[Dataset, StageResult]:
    """Decide on the pending clips, of `source_keys` alone if given. The counts are by reason."""
    begin, dataset = time.monotonic(), view.dataset
    rows = pending.to_select(view, config.select, config.dedup, source_keys)
    parts, reasons = [], Counter[str]()
    for start in range(0, rows.num_rows, _PART_CLIPS):
        decided = select(rows.slice(start, _PART_CLIPS), config.select)
        parts.append(dataset.write_part("selections", decided))
        for count in pc.value_counts(decided["reason"]).to_pylist():
            reasons[count["values"]] += count["counts"]
    counts = dict(sorted(reasons.items()))
    if parts:
        commit = Commit(
            stage="select",
            added=tuple(parts),
            config=asdict(config.select),
            config_digest=config_digest(config.select),
            counts=counts,
            seconds=round(time.monotonic() - begin, 3),
        )
        dataset = dataset.commit(commit, rebase=True)
    seconds = time.monotonic() - begin
    return dataset, StageResult(units=sum(counts.values()), counts=counts, seconds=seconds)
