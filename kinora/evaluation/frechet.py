"""The Fréchet distance between two sets of features.

Legend: N items, F features.
"""

import numpy as np

MIN_ITEMS = 16
"""Fewest items of a set: with fewer, a covariance says next to nothing."""


def frechet_distance(a_NF: np.ndarray, b_NF: np.ndarray) -> float:
    """Return |μa - μb|² + tr(Σa + Σb - 2 (Σa Σb)^½) of Gaussians fitted to two sets (Heusel et al. 2017).

    With the QR factors Ra and Rb of the centred, scaled sets, Σ = RᵀR, and tr (Σa Σb)^½ is the sum of the
    singular values of Ra Rbᵀ: no square root of a matrix, which is unstable where there are fewer items than
    features.

    Raises:
        ValueError: for a set of fewer than two items, of another number of features, or not finite.
    """
    if a_NF.ndim != 2 or b_NF.ndim != 2 or a_NF.shape[1] != b_NF.shape[1]:
        raise ValueError(f"features of shapes {a_NF.shape} and {b_NF.shape}: must be two sets of equal width")
    if min(len(a_NF), len(b_NF)) < 2:
        raise ValueError(f"{len(a_NF)} and {len(b_NF)} items: a covariance needs two or more")
    if not (np.isfinite(a_NF).all() and np.isfinite(b_NF).all()):
        raise ValueError("features must be finite")
    a_F, a_RF = _moments(a_NF)
    b_F, b_RF = _moments(b_NF)
    shared = np.linalg.svd(a_RF @ b_RF.T, compute_uv=False).sum()
    distance = np.square(a_F - b_F).sum() + np.square(a_RF).sum() + np.square(b_RF).sum() - 2 * shared
    return max(0.0, float(distance))


def _moments(features_NF: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and a factor R of the covariance RᵀR."""
    features_NF = features_NF.astype(np.float64)
    mean_F = features_NF.mean(axis=0)
    centred_NF = (features_NF - mean_F) / np.sqrt(len(features_NF) - 1)
    factor_RF: np.ndarray = np.linalg.qr(centred_NF, mode="r")  # type: ignore[assignment]
    return mean_F, factor_RF
