"""Place the pictures of one clip over those of another: borders shift and scale them by part of a cell.

Legend: N frames, H height, W width, D values of a small picture (luma, then chroma).
"""

import cv2
import numpy as np

from pipeline.fingerprint_format import CHROMA_SIDE, SIDE

_MAX_MOVE = 0.75
"""Greatest move of any cell, in cells of luma."""
_MIN_MOVE = 0.02
"""Least move, in cells, below which the pictures are as good as in place."""
_STEPS = 8
"""Most Gauss-Newton steps (Lucas and Kanade, 1981), with weights from the residuals of the one before."""
_CONVERGED = 0.005
"""Steps end when one moves no cell by more, in cells."""
_RIDGE = 0.02
"""Added to the normal equations, as a share of their trace: a plain picture is not moved."""


def placed(picture_ND: np.ndarray, target_ND: np.ndarray) -> np.ndarray | None:
    """Return the pictures moved and scaled as a whole, the same way in every frame, to fit the target best.

    Both are float32 and aligned in time. Returns None if they would move by nearly nothing, or by more than
    part of a cell: then the target shows another view. The outermost cells are guessed.
    """
    target_NHW = target_ND[:, : SIDE * SIDE].reshape(-1, SIDE, SIDE)
    move_4 = np.zeros(4, np.float32)
    moved_ND = picture_ND
    for _ in range(_STEPS):
        moved_NHW = moved_ND[:, : SIDE * SIDE].reshape(-1, SIDE, SIDE)
        step_4 = _step(moved_NHW, target_NHW)
        move_4 = move_4 + step_4
        if _largest(move_4) > _MAX_MOVE:
            return None
        moved_ND = _moved(picture_ND, move_4)
        if _largest(step_4) < _CONVERGED:
            break
    return moved_ND if _largest(move_4) >= _MIN_MOVE else None


def _largest(move_4: np.ndarray) -> float:
    """Return the greatest move of any cell, in cells."""
    return float(max(abs(move_4[0]) + abs(move_4[1]), abs(move_4[2]) + abs(move_4[3])))


def _step(picture_NHW: np.ndarray, target_NHW: np.ndarray) -> np.ndarray:
    """Return the move across (at the centre, and more of it towards the right), and down, in cells."""
    down_NHW, across_NHW = np.gradient(picture_NHW, axis=(1, 2))
    basis_4NHW = np.stack([across_NHW, across_NHW * _PLACE, down_NHW, down_NHW * _PLACE[:, None]])
    inner = np.s_[..., 1:-1, 1:-1]  # what is at the edges may be cut off in one clip
    basis_4P, difference_P = basis_4NHW[inner].reshape(4, -1), (target_NHW - picture_NHW)[inner].ravel()
    spread = 1.5 * float(np.median(np.abs(difference_P))) + 1
    weighted_4P = basis_4P / (1 + np.square(difference_P / spread))  # what one clip alone shows weighs little
    normal = weighted_4P @ basis_4P.T
    normal += (_RIDGE * np.trace(normal) / 4 + 1e-3) * np.eye(4, dtype=np.float32)
    return np.linalg.solve(normal, weighted_4P @ difference_P)


_PLACE = np.linspace(-1, 1, SIDE, dtype=np.float32)


def _moved(picture_ND: np.ndarray, move_4: np.ndarray) -> np.ndarray:
    sides = (SIDE, CHROMA_SIDE, CHROMA_SIDE)
    edges = np.cumsum([side * side for side in sides])[:-1]
    channels = np.split(picture_ND, edges, axis=1)
    return np.hstack([_remapped(each, side, move_4) for each, side in zip(channels, sides, strict=True)])


def _remapped(channel_ND: np.ndarray, side: int, move_4: np.ndarray) -> np.ndarray:
    cell = np.arange(side, dtype=np.float32)
    place, scale = np.linspace(-1, 1, side, dtype=np.float32), side / SIDE
    x_S, y_S = (cell + scale * (at + more * place) for at, more in (move_4[:2], move_4[2:]))
    x_HW, y_HW = (np.ascontiguousarray(each, np.float32) for each in np.meshgrid(x_S, y_S))
    images = channel_ND.reshape(-1, side, side).astype(np.float32)
    moved = [cv2.remap(each, x_HW, y_HW, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE) for each in images]
    return np.stack(moved).reshape(len(images), -1)
