"""The thumbnail and the sprite sheet of a video, from frames that are seen while it is written.

Legend: T frames, H height, W width, C channels (RGB, uint8).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np

from video.resize import fit_long_side
from video.tags import with_jpeg_tags

COLUMNS, MAX_TILES = 4, 16
"""Shape of a sprite sheet: frames evenly spaced, from left to right and down."""
TILE_PX, THUMBNAIL_PX = 240, 512
"""Long side of a frame in the sheet, and of the thumbnail."""
_QUALITY = 88


class PictureWatch:
    """Keeps the frames for both pictures, made small."""

    def __init__(self, num_frames: int) -> None:
        self._stride = -(-num_frames // MAX_TILES)
        self._tiles: list[np.ndarray] = []
        self._first_HWC: np.ndarray | None = None

    def watch(self, chunks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield chunks of frames_THWC as they are."""
        start = 0
        for chunk_THWC in chunks:
            if self._first_HWC is None:
                self._first_HWC = _fitted(chunk_THWC[0], THUMBNAIL_PX)
            self._tiles += [
                _fitted(frame, TILE_PX) for frame in chunk_THWC[-start % self._stride :: self._stride]
            ]
            start += len(chunk_THWC)
            yield chunk_THWC

    def thumbnail(self) -> np.ndarray:
        """Return the first frame, HWC."""
        assert self._first_HWC is not None, "a video has a frame"
        return self._first_HWC

    def sheet(self) -> np.ndarray:
        """Return the sprite sheet, HWC; places without a frame are black."""
        height, width, channels = self._tiles[0].shape
        columns = min(COLUMNS, len(self._tiles))
        rows = -(-len(self._tiles) // columns)
        sheet_HWC = np.zeros((rows * height, columns * width, channels), np.uint8)
        for place, tile_HWC in enumerate(self._tiles):
            row, column = divmod(place, columns)
            sheet_HWC[row * height : (row + 1) * height, column * width : (column + 1) * width] = tile_HWC
        return sheet_HWC


def write_jpeg(image_HWC: np.ndarray, path: Path, tags: Mapping[str, str]) -> None:
    """Write a picture with tags."""
    ok, content = cv2.imencode(".jpg", image_HWC[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert ok, "a picture of 8 bits is always encoded"
    path.write_bytes(with_jpeg_tags(content.tobytes(), tags))


def _fitted(rgb_HWC: np.ndarray, long_side_px: int) -> np.ndarray:
    height, width = rgb_HWC.shape[:2]
    if max(height, width) <= long_side_px:
        return rgb_HWC.copy()
    width, height = fit_long_side((width, height), long_side_px)
    return cv2.resize(rgb_HWC, (width, height), interpolation=cv2.INTER_AREA)
