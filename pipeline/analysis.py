"""The result of analysing a source, which `analyze` returns and `score` completes."""

import pickle
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from manifests.records import Failure, Gap, SourceRow

ROW_BYTES = 32 * 2**20
"""A row for the scorers is closed once its JPEGs exceed this size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileChunk:
    """A part of a long file: the shots that begin in [start_pts, end_pts), and the gaps between them."""

    index: int
    count: int
    """Number of chunks of the file."""
    start_pts: int
    """Of the first chunk: before any frame."""
    end_pts: int
    """Of the last chunk: after every frame."""
    first_pts: int
    """Time of the first frame of the file."""
    source_digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Analysis:
    """All rows of one source: either clips and gaps that tile it, or one failure."""

    source: SourceRow
    clips: tuple[dict[str, Any], ...] = ()
    """Fields of `Clip`, and the score columns."""
    frames: tuple[tuple[bytes, ...], ...] = ()
    """JPEGs of each clip for the scorers; empty when all scorers are off."""
    gaps: tuple[Gap, ...] = ()
    failures: tuple[Failure, ...] = ()
    seconds: float = 0.0
    """Wall-clock time of all attempts."""
    chunk: FileChunk | None = None
    """The analysed part of the source; None for the whole source."""


def analyses_to_rows(
    task: int, unit_indices: Iterable[int], analyses: Iterable[Analysis]
) -> Iterator[dict[str, Any]]:
    """Group the analyses of a task's units, frames included, into rows that fit the object store."""
    group: dict[int, Analysis] = {}
    for unit_index, analysis in zip(unit_indices, analyses, strict=True):
        group[unit_index] = analysis
        if sum(len(jpeg) for each in group.values() for frames in each.frames for jpeg in frames) > ROW_BYTES:
            yield _row(task, group)
            group = {}
    if group:
        yield _row(task, group)


def _row(task: int, group: Mapping[int, Analysis]) -> dict[str, Any]:
    return {"task": task, "unit_index": [*group], "analyses": pickle.dumps([*group.values()])}


def analyses_from_row(row: Mapping[str, Any]) -> list[Analysis]:
    """Unpickle the analyses of a row made by `analyses_to_rows`."""
    return pickle.loads(row["analyses"])


def encode_jpeg(rgb_HWC: np.ndarray, quality: int) -> bytes:
    """Encode a frame as a JPEG of `quality` 0 to 100."""
    bgr_HWC = cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr_HWC, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def decode_jpeg(jpeg: bytes) -> np.ndarray:
    """Decode a JPEG made by `encode_jpeg` to rgb_HWC."""
    bgr_HWC = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if bgr_HWC is None:
        raise ValueError("a frame for the scorers is not a readable JPEG")
    return cv2.cvtColor(bgr_HWC, cv2.COLOR_BGR2RGB)
