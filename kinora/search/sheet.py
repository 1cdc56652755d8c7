"""The contact sheet of a search: thumbnails beside scores and captions."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from kinora.captions.sheet import SheetRow, caption_sheet, picture_bytes, picture_kind
from kinora.search.found import span_text


def write_sheet(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of `read_found`, with their thumbnails, as a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture_bytes(caption_sheet([_sheet_row(row) for row in rows]), picture_kind(path)))


def _sheet_row(row: Mapping[str, Any]) -> SheetRow:
    frames = [] if row["thumbnail"] is None else [_decode(row["thumbnail"])]
    return SheetRow(
        title=f"{row['score']:.3f}  {row['clip_id']}{'  dropped' if row['kept'] is False else ''}",
        about=f"{PurePosixPath(row['uri']).name}  {span_text(row)}",
        text=row["caption"] or "no caption",
        frames_HWC=frames,
    )


def _decode(jpeg: bytes) -> np.ndarray:
    decoded: Any = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
