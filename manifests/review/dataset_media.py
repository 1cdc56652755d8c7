"""Media, thumbnails and source spans of a dataset, looked up by media id."""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import RLock
from typing import Any

import pyarrow as pa

from manifests.arrow import pc
from manifests.dataset import Dataset, Part
from manifests.live_view import THUMBNAIL, LiveView
from manifests.review.media import PLACE_COLUMNS, MediaPlace, media_place
from manifests.review.pictures import SourceSpan

_MEDIA_COLUMNS = (*PLACE_COLUMNS, "num_windows", "window_start_pts", "window_end_pts")
_CLIP_COLUMNS = ("clip_id", "uri", "source_key", "start_pts", "end_pts", "time_base_num", "time_base_den")
_REFRESH_S = 5.0
"""Shortest time between two looks for newer commits."""
_PARTS_HELD = 4
"""Parts whose thumbnails are held in memory."""


class DatasetMedia:
    """Looks up live media of the newest snapshot; safe to use from several threads."""

    def __init__(self, dataset: Dataset, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock, self._clock = RLock(), clock
        self._view, self._looked_s = LiveView(dataset), clock()
        self._thumbnails: OrderedDict[str, pa.Table] = OrderedDict()

    def place(self, media_id: str) -> MediaPlace | None:
        """Return the place of a medium; None if the dataset has none of that id."""
        row = self._media_row(media_id)
        return media_place(row) if row else None

    def poster(self, media_id: str) -> bytes | None:
        """Return the JPEG thumbnail of a medium's clip; None if there is none."""
        row = self._media_row(media_id)
        with self._lock:
            for part in reversed(self._view.dataset.parts("clips") if row else ()):
                rows = self._part_thumbnails(part)
                at = pc.index(rows["clip_id"], row["clip_id"]).as_py() if row and len(rows) else -1
                if at >= 0 and (found := rows[THUMBNAIL][at].as_py()):
                    return found
        return None

    def source_span(self, media_id: str) -> SourceSpan | None:
        """Return the span of the source that a medium shows: its window, or the whole clip."""
        row = self._media_row(media_id)
        if row is None:
            return None
        with self._lock:
            clip = _row(self._view.read("clips", _CLIP_COLUMNS), "clip_id", row["clip_id"])
        if clip is None:
            return None
        start, end = row["window_start_pts"], row["window_end_pts"]
        return SourceSpan(
            uri=clip["uri"],
            source_key=clip["source_key"],
            start_pts=clip["start_pts"] if start is None else start,
            end_pts=clip["end_pts"] if end is None else end,
            time_base_num=clip["time_base_num"],
            time_base_den=clip["time_base_den"],
        )

    def _media_row(self, media_id: str) -> dict[str, Any] | None:
        with self._lock:
            row = _row(self._view.read("media", _MEDIA_COLUMNS), "media_id", media_id)
            if row is None and self._clock() - self._looked_s > _REFRESH_S:
                self._looked_s = self._clock()
                newer = self._view.dataset.refresh()
                if newer.number > self._view.dataset.number:
                    self._view = self._view.advanced_to(newer)
                    row = _row(self._view.read("media", _MEDIA_COLUMNS), "media_id", media_id)
            return row

    def _part_thumbnails(self, part: Part) -> pa.Table:
        """Return the clip ids and thumbnails of a part; no rows if it has no thumbnails."""
        if part.path in self._thumbnails:
            self._thumbnails.move_to_end(part.path)
            return self._thumbnails[part.path]
        rows = self._view.dataset.read_part(part, ["clip_id", THUMBNAIL])
        rows = rows if THUMBNAIL in rows.column_names else rows.slice(0, 0)
        self._thumbnails[part.path] = rows
        if len(self._thumbnails) > _PARTS_HELD:
            self._thumbnails.popitem(last=False)
        return rows


def _row(table: pa.Table, column: str, value: str) -> dict[str, Any] | None:
    at = pc.index(table[column], value).as_py() if len(table) else -1
    return table.slice(at, 1).to_pylist()[0] if at >= 0 else None
