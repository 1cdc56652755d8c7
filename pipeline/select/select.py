"""Decide which clips are kept: rows in, one decision a clip out. Nothing is read, decoded or thrown away.

A clip is dropped by the first of `pipeline.select.rules.RULES` that it breaks. A score that is missing (null:
there was nothing to measure) breaks no rule.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from manifests import schemas
from manifests.arrow import one, pc
from manifests.records import Selection, digest
from pipeline.config import SelectConfig, config_digest
from pipeline.select.rules import RULES, Rule, breaks, limit, said, value_N

KEPT = "kept"
REVIEW = "review: "
"""How the detail begins of a clip that is kept, but that a person should look at."""


def rules_digest(config: SelectConfig, analysis: str, *copy: str) -> str:
    """Name the rules together with what they look at: new scores need a new decision.

    Args:
        copy: kind and keeper of a clip that is a copy of another.
    """
    return rules_name(config_digest(config), analysis, *copy)


def rules_name(config: str, analysis: str, *copy: str) -> str:
    """Return `rules_digest` by the digest of the configuration."""
    return digest("rules", config, analysis, *copy)


def rules_digests(clips: pa.Table, config: SelectConfig) -> pa.Array:
    """Return `rules_digest` for each row of the clips table."""
    analyses = one(clips["analysis"]).dictionary_encode()
    name = config_digest(config)
    digests = pa.array([rules_name(name, each) for each in analyses.dictionary.to_pylist()], pa.string())
    found = digests.take(analyses.indices)
    if "duplicate_kind" not in clips.column_names:
        return found
    copies = one(clips["duplicate_kind"]).is_valid()
    names = ("analysis", "duplicate_kind", "duplicate_of")
    rows = zip(*(clips.filter(copies)[name].to_pylist() for name in names), strict=True)
    named = pa.array([rules_name(name, *row) for row in rows], pa.string())
    return pc.replace_with_mask(found, copies, named)


def select(clips: pa.Table, config: SelectConfig) -> pa.Table:
    """Decide on each row of the clips table (a record's fields and its score columns).

    Returns rows of `Selection`, in the order of `clips`.
    """
    reason_N = np.full(len(clips), KEPT, dtype=object)
    detail_N = np.full(len(clips), "", dtype=object)
    undecided_N = np.ones(len(clips), bool)
    for rule in RULES:
        value, most = value_N(clips, rule.column, config), limit(config, rule.limit)
        broken = np.flatnonzero(undecided_N & breaks(rule, value, most))
        reason_N[broken] = rule.reason
        detail_N[broken] = [said(rule, each, most) for each in value[broken].tolist()]
        undecided_N[broken] = False
    _drop_copies(clips, undecided_N, reason_N, detail_N)
    for rule in RULES:
        if rule.review is not None:
            _review(rule, clips, config, undecided_N, detail_N)
    columns = {
        "clip_id": clips["clip_id"],
        "kept": pa.array(undecided_N),
        "reason": pa.array(reason_N, pa.string()),
        "detail": pa.array(detail_N, pa.string()),
        "rules": rules_digests(clips, config),
    }
    schema = schemas.schema(Selection)
    return pa.table([columns[name] for name in schema.names], schema=schema)


def passing(clips: pa.Table, config: SelectConfig) -> pa.Array:
    """Return which rows of the clips table break no rule, copies or not."""
    passing_N = np.ones(len(clips), bool)
    for rule in RULES:
        passing_N &= ~breaks(rule, value_N(clips, rule.column, config), limit(config, rule.limit))
    return pa.array(passing_N)


def decide(clip: Mapping[str, Any], config: SelectConfig) -> Selection:
    """Return the decision on one clip."""
    (row,) = select(pa.Table.from_pylist([dict(clip)]), config).to_pylist()
    return Selection(**row)


def _drop_copies(
    clips: pa.Table, undecided_N: np.ndarray, reason_N: np.ndarray, detail_N: np.ndarray
) -> None:
    """Drop copies of kept clips, where deduplication has added its columns (pipeline/dedup/decisions.py)."""
    if "duplicate_kind" not in clips.column_names:
        return
    kind_N, said_N = (
        clips[f"duplicate_{name}"].to_numpy(zero_copy_only=False) for name in ("kind", "detail")
    )
    copies = np.flatnonzero(undecided_N & clips["duplicate_kind"].is_valid().to_numpy())
    reason_N[copies] = [f"duplicate_{kind}" for kind in kind_N[copies]]
    detail_N[copies] = said_N[copies]
    undecided_N[copies] = False


def _review(
    rule: Rule, clips: pa.Table, config: SelectConfig, kept_N: np.ndarray, detail_N: np.ndarray
) -> None:
    assert rule.review is not None
    value, mild = value_N(clips, rule.column, config), limit(config, rule.review)
    for row in np.flatnonzero(kept_N & (detail_N == "") & breaks(rule, value, mild)):
        detail_N[row] = f"{REVIEW}{rule.reason} {said(rule, float(value[row]), mild)}"
