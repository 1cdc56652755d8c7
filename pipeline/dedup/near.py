"""Compare candidate pairs. Pure: pairs and fingerprint frames in, matches out."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.config import DedupConfig
from pipeline.dedup.align import Alignment, ClipFrames, align, differences, middle_differences, mirror
from pipeline.dedup.decisions import MATCHES
from pipeline.fingerprint_format import PER_S

_QUICK_FACTOR = 4.0
"""Pairs are aligned only if two of three probe frames differ by less than this many times the limit."""
_MIN_FRAMES = 4
"""Frames that an alignment must compare, or all frames of a shorter clip."""
_MIN_FRAME_SHARE = 0.5
"""Share of the expected frames that an alignment must compare: mostly black clips have few."""
_SAME_SLOT = 1.2
"""Slots this near to a shift that was tried lead to it again."""
_ALIKE = 0.25
"""Clips whose mean difference is at most this share of the limit are alike but for small things."""
_BATCH_PAIRS = 8192


def compare_pairs(
    pairs: Sequence[Mapping[str, Any]], frames: Mapping[int, ClipFrames], config: DedupConfig
) -> pa.Table:
    """Return rows of `MATCHES` for the pairs that are copies.

    Args:
        pairs: rows of `candidate_pairs`.
        frames: the frames of every clip in `pairs`, by rank.
    """
    matches: list[dict[str, Any]] = []
    for first in range(0, len(pairs), _BATCH_PAIRS):
        likely = _prefilter(_views(pairs[first : first + _BATCH_PAIRS], frames), config)
        for _, views in groupby(likely, key=lambda view: _clips(view[0])):
            matches += _match(sorted(views, key=lambda view: -view[0]["votes"]), config)
    return pa.Table.from_pylist(matches, schema=MATCHES)


def distance_limit(candidate: ClipFrames, keeper: ClipFrames, config: DedupConfig) -> float:
    """Return the largest distance at which two clips count as copies."""
    return min(config.max_distance, config.max_relative_distance * min(candidate.contrast, keeper.contrast))


def _views(
    pairs: Sequence[Mapping[str, Any]], frames: Mapping[int, ClipFrames]
) -> list[tuple[Mapping[str, Any], ClipFrames, ClipFrames]]:
    """Return each pair with each view of its candidate and of its keeper."""
    return [
        (pair, mirror(candidate) if pair["flipped"] else candidate, keeper)
        for pair in pairs
        for candidate in frames[pair["candidate"]].views
        for keeper in frames[pair["keeper"]].views
    ]


def _prefilter(
    views: Sequence[tuple[Mapping[str, Any], ClipFrames, ClipFrames]], config: DedupConfig
) -> list[tuple[Mapping[str, Any], ClipFrames, ClipFrames]]:
    """Drop pairs whose first, middle and last frames are too different, also where no overlay is."""
    left, right, limits = [], [], []
    for pair, candidate, keeper in views:
        probe = np.array([0, len(candidate.time_N) // 2, len(candidate.time_N) - 1])
        times = candidate.time_N[probe] + pair["slot"] / PER_S - 0.5 / PER_S
        left.append(candidate.picture_ND[probe])
        nearest = np.minimum(np.searchsorted(keeper.time_N, times), len(keeper.time_N) - 1)
        right.append(keeper.picture_ND[nearest])
        limits.append(distance_limit(candidate, keeper, config))
    if not views:
        return []
    pictures = np.concatenate(left), np.concatenate(right)
    distance_N3 = np.minimum(differences(*pictures), middle_differences(*pictures)).reshape(-1, 3)
    likely_N = np.median(distance_N3, axis=1) <= _QUICK_FACTOR * np.array(limits)
    return [view for view, likely in zip(views, likely_N.tolist(), strict=True) if likely]


def _clips(pair: Mapping[str, Any]) -> tuple[int, int, bool]:
    return pair["candidate"], pair["keeper"], pair["flipped"]


def _match(
    views: Sequence[tuple[Mapping[str, Any], ClipFrames, ClipFrames]], config: DedupConfig
) -> list[dict[str, Any]]:
    """Return a row of `MATCHES` for two clips, of the first of their views that is a copy; else none."""
    tried: list[tuple[ClipFrames, ClipFrames, float]] = []
    for pair, candidate, keeper in views:
        begin_s = pair["slot"] / PER_S
        if any(
            candidate is first and keeper is second and abs(begin_s - shift_s) < _SAME_SLOT / PER_S
            for first, second, shift_s in tried
        ):
            continue
        limit = distance_limit(candidate, keeper, config)
        best = align(candidate, keeper, begin_s, limit)
        if best is None:
            continue
        tried.append((candidate, keeper, best.offset_s))
        if best.distance > limit or best.covered < config.min_coverage:
            continue
        if candidate.duration_s and not _compared_enough(best, candidate):
            continue
        if _differs_in_border(candidate, keeper, best.offset_s, limit):
            return []
        return [_row(pair, candidate, best, limit)]
    return []


def _differs_in_border(candidate: ClipFrames, keeper: ClipFrames, offset_s: float, limit: float) -> bool:
    """Return whether borders of some width are alike in both clips but for a thing in one: they were none."""
    if candidate.untrimmed is None or keeper.untrimmed is None:
        return False
    whole = align(candidate.untrimmed, keeper.untrimmed, offset_s)
    if whole is None or whole.distance <= limit or whole.mean > _ALIKE * limit:
        return False
    narrow = align(candidate, keeper.untrimmed, offset_s)
    return narrow is None or narrow.distance > limit


def _row(pair: Mapping[str, Any], candidate: ClipFrames, best: Alignment, limit: float) -> dict[str, Any]:
    mirrored = ", mirrored" if pair["flipped"] else ""
    span = f" at {best.offset_s:+.2f} s, {best.covered:.0%} of it" if candidate.duration_s else ""
    return {
        "candidate": pair["candidate"],
        "keeper": pair["keeper"],
        "kind": "near",
        "distance": round(best.distance, 3),
        "offset_s": round(best.offset_s, 3),
        "detail": f"{best.distance:.3g} of {limit:.3g} different{span}{mirrored}",
    }


def _compared_enough(best: Alignment, candidate: ClipFrames) -> bool:
    expected = best.covered * candidate.duration_s * PER_S
    return best.frames >= max(min(_MIN_FRAMES, len(candidate.time_N)), _MIN_FRAME_SHARE * expected)
