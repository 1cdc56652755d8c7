"""Tell whether a change of light explains the difference of two small pictures, by their colours.

Light multiplies each channel by a gain and may add white to all of them (a flash, haze). Another scene of the
same shapes has colours that no such change gives.

Legend: H height, W width, C channels (RGB), P pixels.
"""

from typing import NamedTuple

import numpy as np

_UNEXPLAINED = 10.0
"""Difference of a channel from what the light gives, of 255, from which on a pixel is unexplained."""


class Relighting(NamedTuple):
    """What the best change of light leaves unexplained, in the direction in which that is less."""

    unexplained: float
    """Share of pixels."""
    residual: float
    """Root mean square, relative to the contrast of the picture explained."""
    contrast: float
    """Root mean square deviation from the mean colour, of 255, in the picture with less of it."""


def relighting(old_HWC: np.ndarray, new_HWC: np.ndarray) -> Relighting:
    """Fit gains for each channel and an addition of white, both at least 0, by least squares."""
    old_PC, new_PC = (each.reshape(-1, 3).astype(np.float32) for each in (old_HWC, new_HWC))
    contrasts = [
        float(np.sqrt(np.square(each - each.mean(axis=0)).sum(axis=1).mean())) for each in (old_PC, new_PC)
    ]
    fits = [_fit(old_PC, new_PC, contrasts[1]), _fit(new_PC, old_PC, contrasts[0])]
    return Relighting(min(fit[0] for fit in fits), min(fit[1] for fit in fits), min(contrasts))


def _fit(old_PC: np.ndarray, new_PC: np.ndarray, contrast: float) -> tuple[float, float]:
    """Return the share of pixels unexplained, and the residual relative to the contrast."""
    normal = np.zeros((4, 4), np.float32)
    normal[range(3), range(3)] = np.square(old_PC).sum(axis=0)
    normal[:3, 3] = normal[3, :3] = old_PC.sum(axis=0)
    normal[3, 3] = new_PC.size
    target = np.append((old_PC * new_PC).sum(axis=0), new_PC.sum())
    solution = _solve(normal + 1e-2 * np.eye(4, dtype=np.float32), target)
    residual_PC = new_PC - old_PC * solution[:3] - solution[3]
    unexplained = float((np.abs(residual_PC).max(axis=1) > _UNEXPLAINED).mean())
    return unexplained, float(np.sqrt(np.square(residual_PC).sum(axis=1).mean())) / (contrast + 1)


def _solve(normal: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Solve the normal equations; what would be negative is 0, and the rest is solved without it."""
    used, solution = np.ones(len(target), bool), np.zeros_like(target)
    while used.any():
        solution[used] = np.linalg.solve(normal[np.ix_(used, used)], target[used])
        if (solution >= 0).all():
            break
        used &= solution > 0
        solution[~used] = 0
    return solution
