"""Decide whether the captions of a run are on the clips that they describe; pure functions.

Three faults are looked for: captions that fit no better than shuffled ones, captions that fit the clip after
or before theirs better than their own, and groups of consecutive captions (one batch of a captioner) that fit
no better than shuffled ones while the others do.

Legend: N captions in the order in which they were written, W captions of a group.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MIN_CAPTIONS = 16
"""Fewer judged captions decide nothing."""
GROUP = 8
"""Captions of the groups that are looked at, as many as of a small batch."""
_MIN_Z = 4.0
"""Standard errors by which a neighbouring clip must fit better."""
_GROUP_Z = 3.0
"""Standard errors above chance up to which a group fits no better than chance."""
_GROUP_MARGIN_Z = 1.0
"""Standard errors that a group must lie below the lowest one expected among right captions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Separation:
    """What the agreements of a run come to."""

    captions: int
    """Captions with an agreement."""
    agreement: float | None
    """Mean agreement with the own clip: 1 if each fits its own best, 0.5 by chance; None without captions."""
    shuffled: float | None
    """The same with a random clip of another source."""
    groups: tuple[tuple[int, int], ...] = ()
    """First and last caption of each group that fits no better than chance."""
    shifted: int = 0
    """1 if captions fit the next clip better than their own, -1 for the one before, else 0."""
    problems: tuple[str, ...] = ()
    """Why the run fails; empty if it passes or has too few captions to tell."""

    @property
    def is_judged(self) -> bool:
        """Whether there were enough captions."""
        return self.captions >= MIN_CAPTIONS


def separation(
    own_N: np.ndarray,
    next_N: np.ndarray,
    previous_N: np.ndarray,
    shuffled_N: np.ndarray,
    *,
    min_agreement: float,
    one_source: bool = False,
) -> Separation:
    """Judge the agreements of a run. NaN stands for captions without one.

    Args:
        min_agreement: mean agreement below which the run fails.
        one_source: the foils were clips of the same source, which may look alike: only a shift is a problem.
    """
    judged = own_N[np.isfinite(own_N)]
    chance = shuffled_N[np.isfinite(shuffled_N)]
    if not len(judged):
        return Separation(captions=0, agreement=None, shuffled=None)
    mean = float(judged.mean())
    shuffled = float(chance.mean()) if len(chance) else None
    if len(judged) < MIN_CAPTIONS:
        return Separation(captions=len(judged), agreement=mean, shuffled=shuffled)
    chance_std = float(chance.std()) if len(chance) else 0.29
    groups = () if one_source else _groups_at_chance(own_N, mean, chance_std)
    better = {1: _fits_better(next_N, own_N), -1: _fits_better(previous_N, own_N)}
    shifted = max(better, key=lambda step: better[step])
    shifted = shifted if better[shifted] >= _MIN_Z else 0
    return Separation(
        captions=len(judged),
        agreement=mean,
        shuffled=shuffled,
        groups=groups,
        shifted=shifted,
        problems=tuple(_problems(mean, groups, shifted, 0.0 if one_source else min_agreement)),
    )


def _problems(
    mean: float, groups: Sequence[tuple[int, int]], shifted: int, min_agreement: float
) -> list[str]:
    problems: list[str] = []
    if shifted:
        place = "after" if shifted > 0 else "before"
        problems.append(f"captions fit the clip {place} theirs better than their own: off by one")
    if mean < min_agreement:
        problems.append(
            f"captions fit their clips little better than other clips: agreement {mean:.3f}, "
            f"below {min_agreement:g}"
        )
    elif groups:
        problems.append(
            f"{len(groups)} groups of consecutive captions fit their clips no better than other clips: "
            "swapped in a batch?"
        )
    return problems


def _fits_better(other_N: np.ndarray, own_N: np.ndarray) -> float:
    """Return by how many standard errors the captions fit other clips better than their own."""
    difference = other_N - own_N
    difference = difference[np.isfinite(difference)]
    if len(difference) < MIN_CAPTIONS:
        return 0.0
    error = float(difference.std(ddof=1)) / np.sqrt(len(difference))
    return float(difference.mean()) / max(error, 1e-9)


def _groups_at_chance(own_N: np.ndarray, mean: float, chance_std: float) -> tuple[tuple[int, int], ...]:
    """Return the merged windows of `GROUP` judged captions whose mean is at chance, far below the others'."""
    places = np.flatnonzero(np.isfinite(own_N))
    if len(places) < 2 * GROUP:
        return ()
    # the largest of N normal values is about sqrt(2 ln N): a group has to be rarer than that among right ones
    rare_z = _GROUP_MARGIN_Z + np.sqrt(2 * np.log(len(places)))
    rare = mean - rare_z * float(own_N[places].std()) / np.sqrt(GROUP)
    limit = min((0.5 + mean) / 2, 0.5 + _GROUP_Z * chance_std / np.sqrt(GROUP), rare)
    sums = np.convolve(own_N[places], np.ones(GROUP), mode="valid") / GROUP
    found: list[tuple[int, int]] = []
    for first in np.flatnonzero(sums < limit).tolist():
        begin, end = int(places[first]), int(places[first + GROUP - 1])
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], end
        else:
            found.append((begin, end))
    return tuple(found)
