"""Score clips from their frames. A scorer that fails leaves no row but a failure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa

from manifests import schemas
from manifests.records import Failure, Score
from pipeline.analysis import Analysis, decode_jpeg
from pipeline.columns import Column
from pipeline.errors import NoFrame
from pipeline.runtime.attempt_log import AttemptLog
from pipeline.runtime.failures import failure
from pipeline.score.load import Scorer

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScorerSet:
    """Loaded scorers, and the digest of each, by name."""

    scorers: Mapping[str, Scorer]
    digests: Mapping[str, str]


def score_analysis(
    analysis: Analysis, scorers: ScorerSet, attempts: AttemptLog
) -> tuple[Analysis, list[Row]]:
    """Return the analysis without frames but with the failures of scorers, and the rows of scores."""
    rows, failures = [], []
    for clip, jpegs in zip(analysis.clips, analysis.frames, strict=True):
        scored, failed = score_clip(clip, jpegs, scorers, attempts)
        rows += scored
        failures += failed
    return replace(analysis, frames=(), failures=(*analysis.failures, *failures)), rows


def score_clip(
    clip: Mapping[str, Any],
    jpegs: tuple[bytes, ...],
    scorers: ScorerSet,
    attempts: AttemptLog,
    names: tuple[str, ...] | None = None,
) -> tuple[list[Row], list[Failure]]:
    """Run each scorer on a clip (`clip_id`, `uri`), or those called `names`.

    One that raises, or repeatedly kills its worker, gives a failure.
    """
    rows: list[Row] = []
    failures: list[Failure] = []
    for name in scorers.scorers if names is None else names:
        try:
            if not jpegs:
                raise NoFrame("no frame of the clip was kept for the scorers")
            work = partial(_score_frames, scorers.scorers[name], jpegs)
            columns = attempts.run(_unit(name, clip["clip_id"]), clip["uri"], work)
            key = {"clip_id": clip["clip_id"], "scorer": name, "digest": scorers.digests[name]}
            rows.append(key | columns)
        except Exception as error:
            failures.append(score_failure(error, name, clip["clip_id"], clip["uri"], scorers))
    return rows, failures


def score_failure(error: Exception, name: str, clip_id: str, uri: str, scorers: ScorerSet) -> Failure:
    """Return the failure of one scorer on one clip."""
    return failure(error, stage=f"score {name}", unit=clip_id, uri=uri, config=scorers.digests[name])


def score_table(rows: list[Row], columns: Iterable[Column]) -> pa.Table:
    """Return rows of the scores table, with the columns of all their scorers."""
    fields = [pa.field(column.name, pa.type_for_alias(column.type)) for column in columns]
    return pa.Table.from_pylist(rows, schema=pa.schema([*schemas.arrow_schema(Score), *fields]))


def _unit(name: str, clip_id: str) -> str:
    return f"score-{name.replace(':', '-').replace('/', '-')}-{clip_id}"


def _score_frames(scorer: Scorer, jpegs: tuple[bytes, ...]) -> dict[str, Any]:
    return scorer.score([decode_jpeg(jpeg) for jpeg in jpegs])
