"""Whether one clip shows what a stretch of another shows: their small pictures, held over each other.

Legend: N, M kept frames of the two clips; S shifts in time; D values of a small picture.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.fingerprint_format import CHROMA_SIDE, HASHES, LOOK_BYTES, PER_S, SIDE

FINE_S = 0.5 / PER_S
"""A copy's frames lie at most so far in time from those that they are held against."""
_SHIFTS_S = np.linspace(-FINE_S, FINE_S, 9)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The kept frames of one clip."""

    time_N: np.ndarray
    """Seconds since its first frame, increasing."""
    looks_ND: np.ndarray
    """Small pictures, uint8."""
    duration_s: float
    """0 for a still."""
    contrast: float
    """How different the pictures are from their own mean, in the unit of `differences`; the median."""


@dataclass(frozen=True, slots=True)
class Match:
    """How well one clip lies over another."""

    distance: float
    """Of the least similar pair of frames, 0 to 255."""
    offset_s: float
    """Where the first clip begins in the second, in seconds after its beginning."""
    covered: float
    """Share of the first clip that lies inside the second, 0 to 1."""
    frames: int
    """How many of its frames were compared."""


def seen(hashes: bytes, looks: bytes, duration_s: float) -> Seen:
    """Read what `Fingerprint` gave for one clip."""
    time_N = np.frombuffer(hashes, HASHES)["ms"] / 1000
    looks_ND = np.frombuffer(looks, np.uint8).reshape(-1, LOOK_BYTES)
    return Seen(time_N, looks_ND, duration_s, float(np.median(differences(looks_ND, _means(looks_ND)))))


def mirrored(clip: Seen) -> Seen:
    """Return a clip with left and right exchanged."""
    luma = clip.looks_ND[:, : SIDE * SIDE].reshape(-1, SIDE, SIDE)[..., ::-1]
    chroma = clip.looks_ND[:, SIDE * SIDE :].reshape(-1, 2 * CHROMA_SIDE, CHROMA_SIDE)[..., ::-1]
    n = len(clip.time_N)
    looks_ND = np.hstack([luma.reshape(n, -1), chroma.reshape(n, -1)])
    return Seen(clip.time_N, looks_ND, clip.duration_s, clip.contrast)


def align(part: Seen, whole: Seen, offset_s: float) -> Match | None:
    """Lay `part` over `whole` so that it begins about `offset_s` after it; None where they share no frame, or
    one of them alone is a still.

    Tries shifts of less than a kept frame. Between two kept frames of `whole` their mean stands, weighted.
    """
    if part.duration_s == 0 or whole.duration_s == 0:
        if part.duration_s != whole.duration_s:
            return None
        distance = float(differences(part.looks_ND, whole.looks_ND).max())
        return Match(distance=distance, offset_s=0.0, covered=1.0, frames=1)
    best: Match | None = None
    looks_ND = part.looks_ND.astype(np.float32)
    for shift_s in _SHIFTS_S + offset_s:
        at_N = part.time_N + shift_s
        inside_N = (at_N >= whole.time_N[0] - FINE_S) & (at_N <= whole.time_N[-1] + FINE_S)
        if not inside_N.any():
            continue
        expected_ND = _between(whole, at_N[inside_N])
        distance = float(differences(looks_ND[inside_N], expected_ND).max())
        if best is None or distance < best.distance:
            begin, end = max(0.0, shift_s), min(whole.duration_s, shift_s + part.duration_s)
            covered = max(0.0, end - begin) / part.duration_s
            best = Match(distance, float(shift_s), covered, int(inside_N.sum()))
    return best


def differences(one_ND: np.ndarray, other_ND: np.ndarray) -> np.ndarray:
    """Return how different each two small pictures are, 0 to 255.

    It is the fourth root of the mean fourth power, of luma or of chroma, whichever is more: a small thing
    elsewhere outweighs faint differences everywhere.
    """
    square_ND = np.square(one_ND.astype(np.float32) - other_ND.astype(np.float32))
    luma_ND, chroma_ND = square_ND[:, : SIDE * SIDE], square_ND[:, SIDE * SIDE :]
    fourth_N = np.maximum(_mean_square(luma_ND), _mean_square(chroma_ND))
    return np.sqrt(np.sqrt(fourth_N))


def _means(looks_ND: np.ndarray) -> np.ndarray:
    """Return pictures of one colour each, the mean of each channel."""
    channels = np.split(
        looks_ND.astype(np.float32), [SIDE * SIDE, SIDE * SIDE + CHROMA_SIDE * CHROMA_SIDE], axis=1
    )
    flat = [np.broadcast_to(values.mean(axis=1, keepdims=True), values.shape) for values in channels]
    return np.concatenate(flat, axis=1)


def _mean_square(values_ND: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", values_ND, values_ND) / values_ND.shape[1]


def _between(whole: Seen, at_N: np.ndarray) -> np.ndarray:
    if len(whole.time_N) == 1:
        return np.repeat(whole.looks_ND, len(at_N), axis=0)
    after_N = np.clip(np.searchsorted(whole.time_N, at_N), 1, len(whole.time_N) - 1)
    left_N, right_N = whole.time_N[after_N - 1], whole.time_N[after_N]
    weight_N1 = np.clip((at_N - left_N) / (right_N - left_N), 0, 1)[:, None].astype(np.float32)
    return whole.looks_ND[after_N - 1] * (1 - weight_N1) + whole.looks_ND[after_N] * weight_N1
