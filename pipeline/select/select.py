"""Decide which clips are kept: rows of the clips table in, one decision per clip out. No I/O.

A clip is dropped by the first rule in `pipeline.select.rules.RULES` that it breaks, then by the condition
`select.where`, then as a copy of another clip. A null score breaks no rule: there was nothing to measure.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from manifests import schemas
from manifests.arrow import combine, pc
from manifests.digest import digest_parts
from manifests.live_view import LARGE_COLUMNS, LiveView
from manifests.records import Selection
from manifests.scores import EMBEDDING_DIGEST, EMBEDDING_ROW, SCORES_COLUMN
from pipeline.config import SelectConfig, config_digest
from pipeline.select.rules import Rule, format_violation, limit, rules_of, value_N, violates
from pipeline.select.where import WHERE

KEPT = "kept"
_UNUSED = {"uri", "source_digest", *LARGE_COLUMNS}
"""Long columns of the clips table that no rule reads."""


def rule_columns(view: LiveView) -> list[str]:
    """Return the columns of the clips table that decisions depend on."""
    names = [name for name in view.columns("clips") if name not in _UNUSED]
    scores = (SCORES_COLUMN, EMBEDDING_ROW, EMBEDDING_DIGEST) if view.scorer_requests else ()
    return [*names, *scores]


def rules_digest(config: str, analysis: str, *copy: str) -> str:
    """Return the digest of a configuration (its digest) and of what it decides on.

    Args:
        copy: kind and keeper of a clip that is a copy.
    """
    return digest_parts("rules", config, analysis, *copy)


def measured_by(clips: pa.Table) -> pa.ChunkedArray | pa.Array:
    """Return the analysis of each row of the clips table, with the digest of its scores if it has any."""
    if SCORES_COLUMN not in clips.column_names:
        return clips["analysis"]
    both = pc.binary_join_element_wise(clips["analysis"], clips[SCORES_COLUMN], " ")
    return pc.coalesce(both, clips["analysis"])


def rules_digests(clips: pa.Table, config: SelectConfig) -> pa.Array:
    """Return `rules_digest` of each row of the clips table."""
    measured = combine(measured_by(clips))
    analyses = measured.dictionary_encode()
    settings = config_digest(config)
    by_analysis = [rules_digest(settings, each) for each in analyses.dictionary.to_pylist()]
    digests = pa.array(by_analysis, pa.string()).take(analyses.indices)
    if "duplicate_kind" not in clips.column_names:
        return digests
    is_copy = combine(clips["duplicate_kind"]).is_valid()
    copies = clips.filter(is_copy)
    columns = (measured.filter(is_copy), copies["duplicate_kind"], copies["duplicate_of"])
    rows = zip(*(column.to_pylist() for column in columns), strict=True)
    copy_digests = pa.array([rules_digest(settings, *row) for row in rows], pa.string())
    return pc.replace_with_mask(digests, is_copy, copy_digests)


def select(clips: pa.Table, config: SelectConfig) -> pa.Table:
    """Return a row of `Selection` for each row of the clips table, in its order."""
    reason_N = np.full(len(clips), KEPT, dtype=object)
    detail_N = np.full(len(clips), "", dtype=object)
    kept_N = np.ones(len(clips), bool)
    for rule in rules_of(config):
        rule_value_N, rule_limit = value_N(clips, rule.column, config), limit(config, rule.limit)
        broken = np.flatnonzero(kept_N & violates(rule, rule_value_N, rule_limit))
        reason_N[broken] = rule.reason
        values = rule_value_N[broken].tolist()
        detail_N[broken] = [format_violation(rule, value, rule_limit) for value in values]
        kept_N[broken] = False
    if WHERE in clips.column_names:
        dropped = np.flatnonzero(kept_N & ~clips[WHERE].to_numpy(zero_copy_only=False))
        reason_N[dropped], detail_N[dropped], kept_N[dropped] = WHERE, f"not {config.where}", False
    _drop_copies(clips, kept_N, reason_N, detail_N)
    review_N = np.full(len(clips), "", dtype=object)
    for rule in rules_of(config):
        if rule.review is not None:
            _mark_for_review(rule, rule.review, clips, config, kept_N, review_N, detail_N)
    columns = {
        "clip_id": clips["clip_id"],
        "kept": pa.array(kept_N),
        "reason": pa.array(reason_N, pa.string()),
        "detail": pa.array(detail_N, pa.string()),
        "rules": rules_digests(clips, config),
        "review": pa.array(review_N, pa.string()),
    }
    schema = schemas.arrow_schema(Selection)
    return pa.table([columns[name] for name in schema.names], schema=schema)


def passes_rules(clips: pa.Table, config: SelectConfig) -> pa.Array:
    """Return a mask of the rows of the clips table that break no rule. Ignores duplicates."""
    passing_N = np.ones(len(clips), bool)
    for rule in rules_of(config):
        passing_N &= ~violates(rule, value_N(clips, rule.column, config), limit(config, rule.limit))
    if WHERE in clips.column_names:
        passing_N &= clips[WHERE].to_numpy(zero_copy_only=False)
    return pa.array(passing_N)


def select_clip(clip: Mapping[str, Any], config: SelectConfig) -> Selection:
    """Return the decision on one clip."""
    (row,) = select(pa.Table.from_pylist([dict(clip)]), config).to_pylist()
    return Selection(**row)


def _drop_copies(clips: pa.Table, kept_N: np.ndarray, reason_N: np.ndarray, detail_N: np.ndarray) -> None:
    """Drop copies, in place, if `clips` has the columns of `pipeline.dedup.decisions.with_duplicates`."""
    if "duplicate_kind" not in clips.column_names:
        return
    kind_N, copy_detail_N = (
        clips[f"duplicate_{name}"].to_numpy(zero_copy_only=False) for name in ("kind", "detail")
    )
    copies = np.flatnonzero(kept_N & clips["duplicate_kind"].is_valid().to_numpy())
    reason_N[copies] = [f"duplicate_{kind}" for kind in kind_N[copies]]
    detail_N[copies] = copy_detail_N[copies]
    kept_N[copies] = False


def _mark_for_review(
    rule: Rule,
    review_field: str,
    clips: pa.Table,
    config: SelectConfig,
    kept_N: np.ndarray,
    review_N: np.ndarray,
    detail_N: np.ndarray,
) -> None:
    """Mark kept clips that are beyond the rule's review limit, in place; the first such rule counts."""
    rule_value_N, review_limit = value_N(clips, rule.column, config), limit(config, review_field)
    for row in np.flatnonzero(kept_N & (review_N == "") & violates(rule, rule_value_N, review_limit)):
        review_N[row] = rule.reason
        detail_N[row] = format_violation(rule, float(rule_value_N[row]), review_limit)
