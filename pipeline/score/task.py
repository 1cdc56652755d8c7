"""Score the clips of analysed sources. A scorer that fails leaves a null and a failure row."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from manifests.records import Failure
from pipeline.analysis import Analysis, decode_jpeg
from pipeline.errors import NoFrame
from pipeline.runtime.attempt_log import AttemptLog
from pipeline.runtime.failures import failure
from pipeline.score.load import Scorer


def score_analysis(analysis: Analysis, scorers: Mapping[str, Scorer], attempts: AttemptLog) -> Analysis:
    """Return the analysis with score columns and without frames."""
    clips, failures = [], []
    for clip, jpegs in zip(analysis.clips, analysis.frames, strict=True):
        columns, failed = score_clip(clip, jpegs, scorers, attempts)
        clips.append(clip | columns)
        failures += failed
    return replace(analysis, clips=tuple(clips), frames=(), failures=(*analysis.failures, *failures))


def score_clip(
    clip: Mapping[str, Any], jpegs: tuple[bytes, ...], scorers: Mapping[str, Scorer], attempts: AttemptLog
) -> tuple[dict[str, Any], list[Failure]]:
    """Run each scorer on a clip. One that raises, or repeatedly kills its worker, gives a failure row."""
    columns: dict[str, Any] = {}
    failures: list[Failure] = []
    for name, scorer in scorers.items():
        row = {"stage": f"score {name}", "unit": clip["clip_id"], "uri": clip["uri"]}
        try:
            if not jpegs:
                raise NoFrame("no frame of the clip was kept for the scorers")
            work = partial(_score_frames, scorer, jpegs)
            columns |= attempts.run(f"score-{name}-{clip['clip_id']}", clip["uri"], work)
        except Exception as error:
            failures.append(failure(error, config=clip["analysis"], **row))
    return columns, failures


def _score_frames(scorer: Scorer, jpegs: tuple[bytes, ...]) -> dict[str, Any]:
    return scorer.score([decode_jpeg(jpeg) for jpeg in jpegs])
