"""Scores of clips: which count, and how they become columns of the clips view.

A row of the scores table holds the columns of one scorer under one digest of its settings. Commits of
`STAGES` request digests; of each scorer the newest request counts, so earlier settings find their rows again.
Older datasets hold scores in the clips table: a request names the analyses whose columns have its digest.
"""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.dataset import Commit
from manifests.digest import digest_parts

STAGE = "score"
ASK_STAGE = "ask"
"""Stage of questions that a model answers about kept clips: each is a scorer."""
STAGES = (STAGE, ASK_STAGE)
SCORES_COLUMN = "_scores"
"""Digest of the scores of a clip; null for a clip without rows in the scores table."""
DIGEST_PREFIX = "_digest_"
"""`_digest_NAME` is the digest under which scorer NAME gave the columns of a clip."""
ROW_PREFIX = "_row_"
"""`_row_NAME` is the same for clips with a row in the scores table, and null for others."""
_PACKED = 20
"""Scorers whose states, of three values each, are packed into one integer."""
EMBEDDING_DIGEST, EMBEDDING_ROW = f"{DIGEST_PREFIX}embedding", f"{ROW_PREFIX}embedding"


@dataclass(frozen=True, kw_only=True, slots=True)
class ScorerRequest:
    """One scorer under one digest of its settings."""

    scorer: str
    digest: str
    columns: Mapping[str, str] = field(default_factory=dict)
    """Arrow type by name."""
    analyses: tuple[str, ...] = ()
    """Analyses that scored under the same settings into the clips table."""
    of_kept: bool = False
    """Whether it scores kept clips that are cut, not all clips."""


def requests(commits: Iterable[Commit]) -> dict[str, ScorerRequest]:
    """Return the newest request of each scorer, by name."""
    found: dict[str, ScorerRequest] = {}
    for commit in commits:
        if commit.stage in STAGES:
            for each in commit.config.get("requests", ()):
                found[each["scorer"]] = ScorerRequest(
                    scorer=each["scorer"],
                    digest=each["digest"],
                    columns=each["columns"],
                    analyses=tuple(each["analyses"]),
                    of_kept=each.get("of_kept", False),
                )
    return found


def score_columns(wanted: Mapping[str, ScorerRequest]) -> list[str]:
    """Return the columns of all requested scorers."""
    return [name for each in wanted.values() for name in each.columns]


def are_scores(names: Iterable[str], wanted: Mapping[str, ScorerRequest]) -> bool:
    """Return whether one of the columns `names` of the clips view comes from the scores table."""
    scored = {*score_columns(wanted)}
    return any(
        name in scored or name.startswith((DIGEST_PREFIX, ROW_PREFIX, SCORES_COLUMN)) for name in names
    )


def plain_names(
    names: Sequence[str], columns: Sequence[str], wanted: Mapping[str, ScorerRequest]
) -> list[str]:
    """Return which `columns` of the clips table `with_scores` needs for `names`."""
    small = [name for each in wanted.values() for name, kind in each.columns.items() if kind != "binary"]
    return [name for name in dict.fromkeys([*names, *small]) if name in columns]


def newest_rows(scores: pa.Table, request: ScorerRequest, clip_ids: pa.ChunkedArray) -> pa.Array:
    """Return the index of each clip's newest row of `request` in `scores`; null if there is none."""
    mine = pc.and_(pc.equal(scores["scorer"], request.scorer), pc.equal(scores["digest"], request.digest))
    rows = pc.indices_nonzero(mine)[::-1]  # the newest comes first
    found = pc.index_in(clip_ids, value_set=combine(scores["clip_id"].take(rows)))
    return combine(rows.take(combine(found)))


def with_scores(
    clips: pa.Table, columns: Sequence[str], scores: pa.Table, wanted: Mapping[str, ScorerRequest]
) -> pa.Table:
    """Return `columns` of the rows of `clips`, a table with the columns of `plain_names`.

    Columns of requested scorers come from `scores`, else from `clips` if its analysis has the digest.
    """
    found: dict[str, pa.ChunkedArray | pa.Array] = {}
    states: list[np.ndarray] = []
    for request in wanted.values():
        index = newest_rows(scores, request, clips["clip_id"])
        scored, analyzed = index.is_valid(), _in(clips["analysis"], request.analyses)
        outdated = pa.array(np.zeros(len(clips), bool))
        for name, kind in request.columns.items():
            own = clips[name] if name in clips.column_names else None
            if own is not None:
                outdated = pc.or_(outdated, own.is_valid())
            if name in columns:
                found[name] = _column(name, pa.type_for_alias(kind), scores, index, own, analyzed)
        outdated = pc.and_not(pc.and_not(outdated, analyzed), scored)
        states.append(np.where(_bools(scored), 1, np.where(_bools(outdated), 2, 0)))
        for prefix, has in ((DIGEST_PREFIX, pc.or_(scored, analyzed)), (ROW_PREFIX, scored)):
            digest = pc.if_else(has, pa.scalar(request.digest), pa.scalar(None, pa.string()))
            found[prefix + request.scorer] = digest
    if SCORES_COLUMN in columns:
        found[SCORES_COLUMN] = _labels(states, list(wanted.values()), len(clips))
    kept = {name: clips[name] for name in columns if name in clips.column_names and name not in found}
    return pa.table({name: (found | kept)[name] for name in columns if name in found or name in kept})


def _column(
    name: str,
    kind: pa.DataType,
    scores: pa.Table,
    index: pa.Array,
    own: pa.ChunkedArray | None,
    analyzed: pa.ChunkedArray | pa.Array,
) -> pa.ChunkedArray | pa.Array:
    null = pa.scalar(None, kind)
    value = null
    if name in scores.column_names and len(scores):
        value = combine(scores[name].cast(kind)).take(index)
    if own is None:
        return value if value is not null else pa.nulls(len(index), kind)
    return pc.if_else(index.is_valid(), value, pc.if_else(analyzed, own.cast(kind), null))


def _labels(states: list[np.ndarray], wanted: list[ScorerRequest], num: int) -> pa.Array:
    """Return one digest for each combination of states; null where no scorer has a row."""
    code_N = np.zeros(num, np.int64)
    for number, state_N in enumerate(states, 1):
        code_N = 3 * code_N + state_N
        if number % _PACKED == 0:  # as many codes as there are combinations, so that more fit into 64 bits
            code_N = np.unique(code_N, return_inverse=True)[1].reshape(-1)
    _, first_K, inverse_N = np.unique(code_N, return_index=True, return_inverse=True)
    labels: list[str | None] = []
    for row in first_K.tolist():
        parts = [(each, int(state_N[row])) for each, state_N in zip(wanted, states, strict=True)]
        names = [f"{each.scorer} {each.digest} {state}" for each, state in parts if state]
        labels.append(digest_parts("scores", *names) if names else None)
    return pa.array(labels, pa.string()).take(pa.array(inverse_N.reshape(-1)))


def _in(values: pa.ChunkedArray, allowed: Sequence[str]) -> pa.ChunkedArray:
    return pc.is_in(values, value_set=pa.array(allowed, pa.string()))


def _bools(mask: pa.ChunkedArray | pa.Array) -> np.ndarray:
    return mask.to_numpy(zero_copy_only=False) if isinstance(mask, pa.Array) else mask.to_numpy()
