"""Photos that a file keeps in several items are composed."""

import cv2
import numpy as np
import pytest
from file_edits import grid_photo

from video.cut import cut
from video.errors import VideoError, VideoErrorCode
from video.frames import read_frames
from video.probe import probe

COLORS = ((200, 40, 40), (40, 180, 60), (40, 60, 200), (220, 220, 60), (90, 90, 90), (250, 250, 250))
TILE_PX = 64


def tile(color: tuple[int, int, int]) -> bytes:
    return cv2.imencode(".avif", np.full((TILE_PX, TILE_PX, 3), color[::-1], np.uint8))[1].tobytes()


def tiled(rows: int, columns: int, rotation: int = 0) -> tuple[bytes, np.ndarray]:
    """Return a photo, and what it shows."""
    colors = np.array(COLORS[: rows * columns], np.uint8).reshape(rows, columns, 3)
    shown_HWC = colors.repeat(TILE_PX, axis=0).repeat(TILE_PX, axis=1)
    media = grid_photo(
        [tile(color) for color in COLORS[: rows * columns]], rows, columns, TILE_PX, rotation=rotation
    )
    return media, np.rot90(shown_HWC, rotation)


@pytest.mark.parametrize(("rows", "columns", "rotation"), [(2, 2, 0), (2, 3, 0), (3, 2, 1), (1, 2, 2)])
def test_a_photo_of_tiles_is_whole(rows, columns, rotation):
    media, shown_HWC = tiled(rows, columns, rotation)
    found = probe(media)
    assert (found.kind, found.height, found.width) == ("image", *shown_HWC.shape[:2])
    (frame,) = read_frames(media)
    assert np.abs(frame.rgb_HWC.astype(int) - shown_HWC).max() <= 8
    (clip,) = cut(media, [(0, 1)])
    assert (clip.height, clip.width) == shown_HWC.shape[:2]


def test_a_photo_of_tiles_of_which_one_is_missing_is_refused():
    media, _ = tiled(2, 2)
    with pytest.raises(VideoError) as caught:
        list(read_frames(media.replace(b"\0\1\0\4\0\2\0\3\0\4\0\5", b"\0\1\0\4\0\2\0\3\0\4\0\x09")))
    assert caught.value.code == VideoErrorCode.TRUNCATED


def test_an_alpha_plane_beside_the_photo_is_shown_over_white():
    bgra_HWC = np.zeros((48, 64, 4), np.uint8)
    bgra_HWC[:, :32] = (*COLORS[0][::-1], 255)
    bgra_HWC[:24, 32:] = (*COLORS[1][::-1], 128)
    (frame,) = read_frames(cv2.imencode(".avif", bgra_HWC)[1].tobytes())
    assert np.abs(frame.rgb_HWC[24, 8].astype(int) - COLORS[0]).max() <= 6
    half = (np.array(COLORS[1]) + 255) / 2
    assert np.abs(frame.rgb_HWC[8, 48] - half).max() <= 8
    assert frame.rgb_HWC[40, 48].min() >= 253
