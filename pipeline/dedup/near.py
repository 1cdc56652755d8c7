"""Hold pairs of clips against each other. Pure: pairs and small pictures in, matches out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.config import DedupConfig
from pipeline.dedup.align import Match, Seen, align, differences, mirrored
from pipeline.dedup.decisions import MATCHES
from pipeline.fingerprint_format import PER_S

_LIKELY = 4.0
"""A pair is looked at closely if half of three moments differ by less than so many times the limit."""
_LEAST_FRAMES = 4
"""Fewer moments in common prove nothing, unless a clip has no more."""
_LEAST_SHOWN = 0.5
"""Share of a dropped clip's moments that must show something: what is mostly black proves nothing."""
_AT_ONCE = 8192


def compare(pairs: Sequence[Mapping[str, Any]], seen: Mapping[int, Seen], config: DedupConfig) -> pa.Table:
    """Return rows of `MATCHES` for the pairs (`part`, `whole`, `flipped`, `slot`) that are copies.

    Args:
        seen: the clips of all pairs, by rank.
    """
    found = [
        match
        for first in range(0, len(pairs), _AT_ONCE)
        for pair in _likely(pairs[first : first + _AT_ONCE], seen, config)
        if (match := _match(pair, seen, config)) is not None
    ]
    return pa.Table.from_pylist(found, schema=MATCHES)


def limit(part: Seen, whole: Seen, config: DedupConfig) -> float:
    """Return how different the least similar moment of two copies may be."""
    return min(config.max_distance, config.max_relative * min(part.contrast, whole.contrast))


def _likely(
    pairs: Sequence[Mapping[str, Any]], seen: Mapping[int, Seen], config: DedupConfig
) -> list[Mapping[str, Any]]:
    """Return the pairs that may be copies, from a glance at three moments of each."""
    left, right, limits = [], [], []
    for pair in pairs:
        part, whole = _part(pair, seen), seen[pair["whole"]]
        at = np.array([0, len(part.time_N) // 2, len(part.time_N) - 1])
        there = np.searchsorted(whole.time_N, part.time_N[at] + pair["slot"] / PER_S - 0.5 / PER_S)
        left.append(part.looks_ND[at])
        right.append(whole.looks_ND[np.minimum(there, len(whole.time_N) - 1)])
        limits.append(limit(part, whole, config))
    if not pairs:
        return []
    distance_N3 = differences(np.concatenate(left), np.concatenate(right)).reshape(-1, 3)
    likely_N = np.median(distance_N3, axis=1) <= _LIKELY * np.array(limits)
    return [pair for pair, likely in zip(pairs, likely_N.tolist(), strict=True) if likely]


def _match(pair: Mapping[str, Any], seen: Mapping[int, Seen], config: DedupConfig) -> dict[str, Any] | None:
    part, whole = _part(pair, seen), seen[pair["whole"]]
    match = align(part, whole, pair["slot"] / PER_S)
    if match is None or match.distance > limit(part, whole, config) or match.covered < config.min_covered:
        return None
    if part.duration_s and not _enough(match, part):
        return None
    turned = ", mirrored" if pair["flipped"] else ""
    at = f" at {match.offset_s:+.2f} s, {match.covered:.0%} of it" if part.duration_s else ""
    return {
        "part": pair["part"],
        "whole": pair["whole"],
        "kind": "near",
        "distance": round(match.distance, 3),
        "offset_s": round(match.offset_s, 3),
        "detail": f"{match.distance:.3g} of {limit(part, whole, config):.3g} different{at}{turned}",
    }


def _enough(match: Match, part: Seen) -> bool:
    """Whether enough was compared to prove a copy."""
    expected = match.covered * part.duration_s * PER_S
    return match.frames >= min(_LEAST_FRAMES, len(part.time_N)) and match.frames >= _LEAST_SHOWN * expected


def _part(pair: Mapping[str, Any], seen: Mapping[int, Seen]) -> Seen:
    part = seen[pair["part"]]
    return mirrored(part) if pair["flipped"] else part
