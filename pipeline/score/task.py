"""Score the clips of some analysed sources. What a scorer cannot do is a failure row and a null."""

import pickle
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from manifests.records import Failure
from pipeline.analyze.signals.scorer_frames import decode
from pipeline.analyze.task import Analysis
from pipeline.runtime.attempt_log import Attempts
from pipeline.runtime.failures import NoFrame, failure
from pipeline.score.load import Scorer

ROW_BYTES = 32 * 2**20
"""A row for the scorers is closed once its frames take so much."""


def to_rows(task: int, places: Iterable[int], analyses: Iterable[Analysis]) -> Iterator[dict[str, Any]]:
    """Group the analyses of a task's units, by their places in it, with their frames, into rows that the
    object store can hold."""
    group: dict[int, Analysis] = {}
    for at, analysis in zip(places, analyses, strict=True):
        group[at] = analysis
        if sum(len(jpeg) for each in group.values() for frames in each.frames for jpeg in frames) > ROW_BYTES:
            yield _row(task, group)
            group = {}
    if group:
        yield _row(task, group)


def _row(task: int, group: Mapping[int, Analysis]) -> dict[str, Any]:
    return {"task": task, "at": [*group], "analyses": pickle.dumps([*group.values()])}


def from_row(row: Mapping[str, Any]) -> list[Analysis]:
    """Undo `to_rows` for one row."""
    return pickle.loads(row["analyses"])


def score(analysis: Analysis, scorers: Mapping[str, Scorer], attempts: Attempts) -> Analysis:
    """Return the analysis with score columns, and without its frames."""
    clips, failures = [], []
    for clip, jpegs in zip(analysis.clips, analysis.frames, strict=True):
        columns, failed = score_clip(clip, jpegs, scorers, attempts)
        clips.append(clip | columns)
        failures += failed
    return replace(analysis, clips=tuple(clips), frames=(), failures=(*analysis.failures, *failures))


def score_clip(
    clip: Mapping[str, Any], jpegs: tuple[bytes, ...], scorers: Mapping[str, Scorer], attempts: Attempts
) -> tuple[dict[str, Any], list[Failure]]:
    """Have each scorer look at one clip. One that raises, or ended its worker twice, gives a failure."""
    columns: dict[str, Any] = {}
    failures: list[Failure] = []
    for name, scorer in scorers.items():
        about = {"stage": f"score {name}", "unit": clip["clip_id"], "uri": clip["uri"]}
        try:
            if not jpegs:
                raise NoFrame("no larger frame of it was kept")
            work = partial(_look, scorer, jpegs)
            columns |= attempts.work(f"score-{name}-{clip['clip_id']}", clip["uri"], work)
        except Exception as error:
            failures.append(failure(error, config=clip["analysis"], **about))
    return columns, failures


def _look(scorer: Scorer, jpegs: tuple[bytes, ...]) -> dict[str, Any]:
    return scorer.score([decode(jpeg) for jpeg in jpegs])
