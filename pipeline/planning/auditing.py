"""Find the captions to check, and put them into tasks."""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from dataclasses import asdict
from math import ceil

import numpy as np
import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.live_view import LiveView
from pipeline.audit.unit import RUN, AuditUnit

TASK_CAPTIONS = 256
"""Captions of one task, at most: each is compared with the clips of all others."""
_MIN_TASK = 96
_MEDIA = ("media_id", "clip_id", "path", "offset", "length", "num_frames", "height", "width")
_WINDOW = ("window_start_pts", "window_end_pts")
_CLIP = ("clip_id", "source_key", "uri", "start_pts", "end_pts", "time_base_num", "time_base_den")


def to_audit(view: LiveView, version: str, digest: str) -> tuple[list[AuditUnit], int]:
    """Return the OK captions of a version that were not checked under `digest`, as runs in written order.

    Also returns the number of all its OK captions.
    """
    has_audit = "audit" in view.columns("captions")
    names = ["media_id", "outcome", *(["audit"] if has_audit else [])]
    captions = view.read("captions", names, version=version)
    captions = captions.append_column("place", pa.array(view.row_indices("captions", version)))
    captions = captions.filter(pc.equal(captions["outcome"], "ok"))
    total = captions.num_rows
    if has_audit:
        captions = captions.filter(pc.invert(pc.fill_null(pc.equal(captions["audit"], digest), False)))
    if not captions.num_rows:
        return [], total
    media = media_spans(view, captions["media_id"])
    parts = view.dataset.parts("captions")
    ends_P = np.cumsum([part.rows for part in parts])
    place_N = captions["place"].to_numpy()
    part_N = np.searchsorted(ends_P, place_N, side="right")
    row_N = place_N - np.array([0, *ends_P])[part_N]
    units: list[AuditUnit] = []
    for part in np.unique(part_N).tolist():
        of_part = np.flatnonzero(part_N == part)
        for first in range(0, len(of_part), RUN):
            chosen_N = of_part[first : first + RUN]
            units.append(
                AuditUnit(
                    part=asdict(parts[part]),
                    rows=tuple(row_N[chosen_N].tolist()),
                    media=tuple(media.take(pa.array(chosen_N)).to_pylist()),
                )
            )
    return units, total


def audit_tasks(units: list[AuditUnit], cpus: int) -> list[list[AuditUnit]]:
    """Deal runs out to tasks, so that each holds runs from all over the dataset."""
    captions = sum(len(unit.rows) for unit in units)
    count = max(ceil(captions / TASK_CAPTIONS), min(2 * cpus, captions // _MIN_TASK), 1)
    return [units[first::count] for first in range(min(count, len(units)))]


def media_spans(view: LiveView, media_id: pa.ChunkedArray | None = None) -> pa.Table:
    """Return media with their source and span, as `AuditUnit` has them: all, or one for each id."""
    media = view.read("media", [*_MEDIA, *_WINDOW])
    if media_id is not None:
        media = media.take(combine(pc.index_in(media_id, value_set=combine(media["media_id"]))))
    clips = view.read("clips", list(_CLIP))
    clips = clips.take(combine(pc.index_in(media["clip_id"], value_set=combine(clips["clip_id"]))))
    sources = view.read("sources", ["source_key", "start_pts"])
    index = pc.index_in(clips["source_key"], value_set=combine(sources["source_key"]))
    begin = pc.fill_null(combine(sources["start_pts"]).take(combine(index)), 0)
    unit_s = pc.divide(
        pc.cast(clips["time_base_num"], pa.float64()), pc.cast(clips["time_base_den"], pa.float64())
    )
    found = media.select(list(_MEDIA)).append_column("uri", clips["uri"])
    for edge in ("start", "end"):
        pts = clips[f"{edge}_pts"]
        if f"window_{edge}_pts" in media.column_names:
            pts = pc.coalesce(media[f"window_{edge}_pts"], pts)
        seconds = pc.multiply(pc.cast(pc.subtract(pts, begin), pa.float64()), unit_s)
        found = found.append_column(f"{edge}_s", seconds)
    return found.combine_chunks()
