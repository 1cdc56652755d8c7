"""What is left to do. A unit is done when a committed row says so for the same configuration and code."""

from collections.abc import Sequence, Set
from itertools import groupby
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from manifests.records import Source
from manifests.store import Dataset
from manifests.views import Current
from pipeline.config import CutConfig, DedupConfig, SelectConfig, config_digest
from pipeline.crop import crop_of, encoding_of
from pipeline.dedup.decisions import with_duplicates
from pipeline.rules import SIDES
from pipeline.select import rules_digests
from pipeline.stages.cut import CutUnit


def to_analyze(dataset: Dataset, listed: Sequence[Source], analysis: str) -> list[Source]:
    """Return the listed sources without an attempt, good or failed, under `analysis`."""
    table = Current(dataset).sources
    attempted = set(zip(table["source_key"].to_pylist(), table["analysis"].to_pylist(), strict=True))
    return [source for source in listed if (source.source_key, analysis) not in attempted]


def to_select(dataset: Dataset, config: SelectConfig, dedup: DedupConfig) -> pa.Table:
    """Return the clips, with their scores and what they are copies of, that the rules have not decided."""
    current = Current(dataset)
    decided, table = current.selection, with_duplicates(current.clips, current.duplicates, dedup)
    at = pc.index_in(table["clip_id"], decided["clip_id"])
    same = pc.equal(decided["rules"].take(at), rules_digests(table, config))
    return table.filter(pc.invert(pc.fill_null(same, False)))


Again = Literal["none", "failed", "all"]
"""Which clips that could not be cut before are tried again; `failed` leaves those in quarantine there."""


def to_cut(dataset: Dataset, config: CutConfig, again: Again = "none") -> list[CutUnit]:
    """Return the kept clips that have no media of this crop and encoding, by source.

    Those that failed under this very encoding are left out, unless `again` says so.
    """
    encoding = config_digest(config)
    current = Current(dataset)
    settled: set[str] = set()
    if again == "none":
        settled |= _where(current.failures, "unit", stage="cut", config=encoding)
    if again == "failed":
        settled |= quarantined(dataset, "cut", config=encoding)
    kept = _where(current.selection, "clip_id", kept=True) - settled
    wanted = ["clip_id", "source_key", "uri", "start_pts", "end_pts", "time_base_num", "time_base_den"]
    wanted += ["height", "width", *(f"border_{side}" for side in SIDES)]
    table = current.clips.select([name for name in wanted if name in current.clips.column_names])
    have = set(zip(*(current.media[name].to_pylist() for name in ("clip_id", "encoding")), strict=True))
    clips = []
    for clip in table.to_pylist():
        clip["crop"] = crop_of(clip, config)
        if clip["clip_id"] in kept and (clip["clip_id"], encoding_of(clip["crop"], config)) not in have:
            clips.append(clip)
    clips.sort(key=lambda clip: (clip["uri"], clip["source_key"], clip["start_pts"]))
    return [_unit(list(group)) for _, group in groupby(clips, key=lambda clip: clip["source_key"])]


def quarantined(dataset: Dataset, stage: str, **equal: Any) -> Set[str]:
    """Return the units of `stage` that are in quarantine."""
    failures = Current(dataset).failures
    if "quarantined" not in failures.column_names:  # written before there was a quarantine
        return set()
    return _where(failures, "unit", stage=stage, quarantined=True, **equal)


def _unit(clips: Sequence[dict[str, Any]]) -> CutUnit:
    first = clips[0]
    return CutUnit(
        source_key=first["source_key"],
        uri=first["uri"],
        time_base_num=first["time_base_num"],
        time_base_den=first["time_base_den"],
        clip_ids=tuple(clip["clip_id"] for clip in clips),
        spans=tuple((clip["start_pts"], clip["end_pts"]) for clip in clips),
        crops=tuple(clip["crop"] for clip in clips),
    )


def _where(table: pa.Table, column: str, **equal: Any) -> Set[str]:
    """Return the values of `column` in the rows whose other columns equal what is given."""
    return {
        row[column]
        for row in table.select([column, *equal]).to_pylist()
        if all(row[name] == value for name, value in equal.items())
    }
