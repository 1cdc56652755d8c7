"""Ask one model about a batch of clips. What is no answer becomes a failure of that clip and question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from captioner.captions import ClipFrames
from captioner.choices import NO, UNSURE, YES, chance_of_yes
from captioner.prompts import Prompt
from captioner.protocol import CaptionAnswer, Captioner, CaptionRequest
from captioner.questions import Question
from manifests.parts import Part, PartStore
from manifests.records import Failure, Outcome
from manifests.redact import redact
from manifests.scores import ScorerRequest
from manifests.storage import Storage
from pipeline.ask.units import AskSpec, AskUnit, columns_of, scorer_of
from pipeline.caption.answers import AnsweredBatch, GuardedCaptioner
from pipeline.caption.batch import REMEDIES, read_clip
from pipeline.config import AskConfig
from pipeline.runtime.failures import failure
from pipeline.score.task import Row, score_table

BY_WORDS = "answers without probabilities"
"""Count of the scores that are 1 or 0 because the model gives no probabilities."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AskJob:
    """What an actor does with the units of questions (`pipeline.caption.actor.EngineJob`)."""

    config: AskConfig
    spec: AskSpec
    stage: str = "ask"

    def unit(self, fields: Mapping[str, Any]) -> AskUnit:
        """Build a unit from its JSON."""
        return AskUnit.from_fields(fields)

    def read(self, unit: AskUnit, storage: Storage) -> ClipFrames:
        """Decode frames of all windows of a clip, `max_frames` in all, with their times in the clip."""
        each = max(1, self.config.max_frames // len(unit.windows))
        config = replace(self.config, max_frames=each)
        parts = [read_clip(window, config, storage) for window in unit.windows]
        times = [
            start_s + time_s
            for start_s, part in zip(unit.starts_s, parts, strict=True)
            for time_s in part.times_s
        ]
        return ClipFrames(
            clip_id=unit.key,
            media_id=unit.windows[0].media_id,
            frames_THWC=np.concatenate([part.frames_THWC for part in parts]),
            times_s=tuple(times),
        )

    def run(
        self, units: Sequence[AskUnit], read: Sequence[ClipFrames | Exception], captioner: Captioner
    ) -> AnsweredBatch:
        """Return a score row for each question with an answer, and a failure for each with none.

        Args:
            read: the frames of each unit, or the error that reading them raised.

        Raises DeviceLost if the model can no longer work.
        """
        questions = {question.name: question for question in self.spec.questions}
        requests = self.spec.requests
        guarded = GuardedCaptioner(captioner)
        answers: dict[tuple[str, str], list[CaptionAnswer]] = {}
        asked = [
            _request(clip, questions[name])
            for unit, clip in zip(units, read, strict=True)
            if isinstance(clip, ClipFrames)
            for name in unit.questions
            if _applies(questions[name], clip)
        ]
        for answer in guarded.caption(asked):
            answers.setdefault((answer.clip_id, answer.prompt_digest), []).append(answer)
        rows: list[Row] = []
        failures: list[Failure] = []
        by_words = 0
        for unit, clip in zip(units, read, strict=True):
            error = clip if isinstance(clip, Exception) else guarded.errors.get(unit.key)
            for name in unit.questions:
                question, request = questions[name], requests[scorer_of(name)]
                if error is not None or isinstance(clip, Exception):
                    failures.append(_error(unit, request, error or ValueError("not read")))
                elif not _applies(question, clip):
                    rows.append(_row(unit, request, dict.fromkeys(request.columns)))
                elif found := answers.get((unit.key, _prompt(question, clip).digest)):
                    if len(found) == 1 and found[0].text in question.prompt.choices:
                        rows.append(_row(unit, request, answer_columns(question, found[0])))
                        by_words += not found[0].chances
                    else:
                        failures.append(_no_answer(unit, request, found))
                elif unit.key not in guarded.left:
                    failures.append(_no_answer(unit, request, ()))
        return AnsweredBatch(
            rows=rows,
            failures=failures,
            num_ok=len(rows),
            counts={BY_WORDS: by_words} if by_words else {},
            num_left=sum(unit.key in guarded.left for unit in units),
            stopped=guarded.stopped,
        )

    def failed(self, units: Sequence[AskUnit], error: Exception) -> AnsweredBatch:
        """Return a failure for each question about units that could not be asked because of `error`."""
        requests = self.spec.requests
        failures = [
            _error(unit, requests[scorer_of(name)], error) for unit in units for name in unit.questions
        ]
        return AnsweredBatch(rows=[], failures=failures, num_ok=0)

    def write(self, rows: list[Row], store: PartStore) -> list[Part]:
        """Write rows of scores as uncommitted parts."""
        return [store.write_part("scores", score_table(rows, self.spec.columns))] if rows else []


def answer_columns(question: Question, answer: CaptionAnswer) -> dict[str, Any]:
    """Return the columns of an OK answer to a question.

    A score is the probability of yes against no where the model tells it, else 1 for yes and 0 for no. It is
    None for unsure.
    """
    first, second = (column.name for column in columns_of(question))
    choice = answer.text or ""
    if question.choices:
        return {first: question.answer(choice), second: answer.chances.get(choice)}
    score = None if choice == UNSURE else chance_of_yes(answer.chances)
    if score is None:
        score = {YES: 1.0, NO: 0.0}.get(choice)
    return {first: score, second: choice}


def _applies(question: Question, clip: ClipFrames) -> bool:
    return question.of == "all" or len(clip.times_s) > 1


def _prompt(question: Question, clip: ClipFrames) -> Prompt:
    return question.prompt.for_frames(len(clip.times_s))


def _request(clip: ClipFrames, question: Question) -> CaptionRequest:
    return CaptionRequest(
        clip_id=clip.clip_id,
        media_id=clip.media_id,
        frames_THWC=clip.frames_THWC,
        times_s=clip.times_s,
        prompt=_prompt(question, clip),
    )


def _row(unit: AskUnit, request: ScorerRequest, columns: Mapping[str, Any]) -> Row:
    return {"clip_id": unit.clip_id, "scorer": request.scorer, "digest": request.digest, **columns}


def _failure_fields(unit: AskUnit, request: ScorerRequest) -> dict[str, str]:
    stage = f"score {request.scorer}"
    return {"stage": stage, "unit": unit.clip_id, "uri": unit.uri, "config": request.digest}


def _error(unit: AskUnit, request: ScorerRequest, error: Exception) -> Failure:
    return failure(error, **_failure_fields(unit, request))


def _no_answer(unit: AskUnit, request: ScorerRequest, found: Sequence[CaptionAnswer]) -> Failure:
    """Return the failure of a question with an answer that is none, or with several or without any."""
    single = found[0] if len(found) == 1 else None
    outcome = single.outcome if single else Outcome.ERROR
    message = single.detail if single else f"{len(found)} answers to this question, expected one"
    if outcome is Outcome.OK and single:  # of a captioner that does not know of choices
        outcome, message = Outcome.DEGENERATE, f"none of the choices: {(single.text or '')[:80]!r}"
    fields: dict[str, Any] = {**_failure_fields(unit, request)}
    return Failure(**fields, code=outcome.name, message=redact(message), remedy=REMEDIES[outcome])
