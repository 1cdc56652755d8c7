"""The rows of the dataset for what a search found, and the clip that an id begins."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from kinora.search.index import SearchIndex
from manifests.arrow import combine, pc
from manifests.dataset import Dataset
from manifests.live_view import THUMBNAIL
from manifests.records import LENGTH_COLUMNS, longest_text
from manifests.row_reads import read_rows

_CLIP = ("uri", "start_pts", "end_pts", "time_base_num", "time_base_den")
_MAX_LISTED = 5


def find_like(index: SearchIndex, text: str) -> int:
    """Return the row of the clip whose id begins with a text. Raises ValueError for none, or several."""
    ids = combine(index.rows["clip_id"])
    hits = pc.indices_nonzero(pc.starts_with(ids, pattern=text)) if text else pa.array([], pa.uint64())
    if len(hits) == 1:
        return hits[0].as_py()
    if not len(hits):
        raise ValueError(f"--like {text!r}: no clip with an embedding has an id that begins so")
    some = ", ".join(ids.take(hits.slice(0, _MAX_LISTED)).to_pylist())
    raise ValueError(f"--like {text!r}: {len(hits)} clips begin with it ({some}); give more of the id")


def read_found(
    dataset: Dataset,
    index: SearchIndex,
    chosen: np.ndarray,
    cosine_N: np.ndarray,
    *,
    thumbnails: bool = False,
) -> list[dict[str, Any]]:
    """Return the clips at `chosen`: score, source, span in seconds, whether it is kept, and captions."""
    rows = index.rows.take(pa.array(chosen))
    names = [*_CLIP, THUMBNAIL] if thumbnails else [*_CLIP]
    clips = read_rows(dataset, "clips", names, rows["clip_row"].to_numpy()).to_pylist()
    captions = _captions(dataset, rows["caption_row"])
    found: list[dict[str, Any]] = []
    for number, (row, clip) in enumerate(zip(rows.to_pylist(), clips, strict=True)):
        unit_s = clip["time_base_num"] / clip["time_base_den"]
        picture = {THUMBNAIL: clip.get(THUMBNAIL)} if thumbnails else {}
        found.append(
            {
                "score": round(float(cosine_N[chosen[number]]), 4),
                "clip_id": row["clip_id"],
                "uri": clip["uri"],
                "start_s": round(clip["start_pts"] * unit_s, 3),
                "end_s": round(clip["end_pts"] * unit_s, 3),
                "kept": row["kept"],
                **captions[number],
                **picture,
            }
        )
    return found


def _captions(dataset: Dataset, caption_row: pa.ChunkedArray) -> list[dict[str, str | None]]:
    """Return the longest text of each caption, and its short one; None for a clip without one."""
    has_K = caption_row.is_valid().to_numpy()
    texts: list[dict[str, str | None]] = [{"caption": None, "short": None} for _ in has_K]
    if has_K.any():
        rows = read_rows(
            dataset, "captions", [*LENGTH_COLUMNS.values()], caption_row.drop_null().to_numpy()
        ).to_pylist()
        for place, row in zip(np.flatnonzero(has_K).tolist(), rows, strict=True):
            texts[place] = {"caption": longest_text(row), "short": row["short"]}
    return texts


def span_text(row: Mapping[str, Any]) -> str:
    """Return the span of a clip in its source, such as 0:12.3-0:15.0."""
    return f"{_clock(row['start_s'])}-{_clock(row['end_s'])}"


def _clock(time_s: float) -> str:
    minutes, seconds = divmod(round(time_s, 1), 60)
    return f"{int(minutes)}:{seconds:04.1f}"
