"""Decide which clips are kept: rows in, one decision a clip out. Nothing is read, decoded or thrown away.

A clip is dropped by the first of `pipeline.rules.RULES` that it breaks. A score that is missing (null: there
was nothing to measure) breaks no rule.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from manifests import schemas
from manifests.records import Selection, digest
from pipeline.config import SelectConfig, config_digest
from pipeline.rules import RULES, Rule, breaks, limit, said, value_N

KEPT = "kept"
REVIEW = "review: "
"""How the detail begins of a clip that is kept, but that a person should look at."""


def rules_digest(config: SelectConfig, analysis: str) -> str:
    """Name the rules together with the measurements that they look at: new scores need a new decision."""
    return rules_name(config_digest(config), analysis)


def rules_name(config: str, analysis: str) -> str:
    """Return `rules_digest` by the digest of the configuration."""
    return digest("rules", config, analysis)


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
    for rule in RULES:
        if rule.review is not None:
            _review(rule, clips, config, undecided_N, detail_N)
    analyses = clips["analysis"].combine_chunks().dictionary_encode()
    digests = pa.array([rules_digest(config, name) for name in analyses.dictionary.to_pylist()], pa.string())
    columns = {
        "clip_id": clips["clip_id"],
        "kept": pa.array(undecided_N),
        "reason": pa.array(reason_N, pa.string()),
        "detail": pa.array(detail_N, pa.string()),
        "rules": digests.take(analyses.indices),
    }
    schema = schemas.schema(Selection)
    return pa.table([columns[name] for name in schema.names], schema=schema)


def decide(clip: Mapping[str, Any], config: SelectConfig) -> Selection:
    """Return the decision on one clip."""
    (row,) = select(pa.Table.from_pylist([dict(clip)]), config).to_pylist()
    return Selection(**row)


def _review(
    rule: Rule, clips: pa.Table, config: SelectConfig, kept_N: np.ndarray, detail_N: np.ndarray
) -> None:
    assert rule.review is not None
    value, mild = value_N(clips, rule.column, config), limit(config, rule.review)
    for row in np.flatnonzero(kept_N & (detail_N == "") & breaks(rule, value, mild)):
        detail_N[row] = f"{REVIEW}{rule.reason} {said(rule, float(value[row]), mild)}"
