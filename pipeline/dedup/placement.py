"""Place the pictures of one clip over those of another: borders shift and scale them by part of a cell.

Legend: N frames, H height, W width, D values of a small picture (luma, then chroma), S cells of a line, C the
same with cells beyond its ends.
"""

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
_CUBIC = -0.75
"""Slope of the cubic kernel at a distance of one cell."""
_PAD = 3
"""Cells beyond the edges that the kernel may touch after a move."""
_RIDGE = 0.02
"""Added to the normal equations, as a share of their trace: a plain picture is not moved."""


def placement(picture_ND: np.ndarray, target_ND: np.ndarray) -> np.ndarray | None:
    """Return the move (see `moved`), the same in every frame, by which the pictures fit the target best.

    Both are float32 and aligned in time. Returns None if they would move by nearly nothing, or by more than
    part of a cell: then the target shows another view.
    """
    target_NHW = target_ND[:, : SIDE * SIDE].reshape(-1, SIDE, SIDE)
    picture_NHW = picture_ND[:, : SIDE * SIDE].reshape(-1, SIDE, SIDE)
    move_4 = np.zeros(4, np.float32)
    moved_NHW = picture_NHW
    for _ in range(_STEPS):
        step_4 = _step(moved_NHW, target_NHW)
        move_4 = move_4 + step_4
        if _largest(move_4) > _MAX_MOVE:
            return None
        if _largest(step_4) < _CONVERGED:
            break
        moved_NHW = _resampled(picture_NHW, move_4)
    return move_4 if _largest(move_4) >= _MIN_MOVE else None


def moved(picture_ND: np.ndarray, move_4: np.ndarray) -> np.ndarray:
    """Return the pictures moved and scaled, float32 ND. The outermost cells are guessed.

    Args:
        move_4: the move across at the centre, and how much more of it at the right edge, then down, in cells.
    """
    sides = (SIDE, CHROMA_SIDE, CHROMA_SIDE)
    channels = np.split(picture_ND, np.cumsum([side * side for side in sides])[:-1], axis=1)
    return np.hstack(
        [
            _resampled(each.reshape(-1, side, side), move_4).reshape(len(each), -1)
            for each, side in zip(channels, sides, strict=True)
        ]
    )


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


def _resampled(channel_NHW: np.ndarray, move_4: np.ndarray) -> np.ndarray:
    across_SS, down_SS = (_weights(channel_NHW.shape[-1], *move_4[at : at + 2]) for at in (0, 2))
    return down_SS @ channel_NHW.astype(np.float32) @ across_SS.T


def _weights(side: int, at: float, more: float) -> np.ndarray:
    """Return the weights of cells in each moved cell, along one axis: cubic, edges repeated."""
    place_S = np.arange(side) + side / SIDE * (at + more * np.linspace(-1, 1, side))
    far_SC = np.abs(place_S[:, None] - np.arange(-_PAD, side + _PAD))
    near_SC = ((_CUBIC + 2) * far_SC - (_CUBIC + 3)) * far_SC**2 + 1
    beyond_SC = _CUBIC * (((far_SC - 5) * far_SC + 8) * far_SC - 4)
    weight_SC = np.where(far_SC <= 1, near_SC, np.where(far_SC < 2, beyond_SC, 0))
    weight_SC[:, _PAD] += weight_SC[:, :_PAD].sum(axis=1)
    weight_SC[:, -_PAD - 1] += weight_SC[:, -_PAD:].sum(axis=1)
    return weight_SC[:, _PAD:-_PAD].astype(np.float32)
