"""AutoDQ: precision and recall of the events of a description, against a reference description.

A language model lists the events of both texts and says which events of each the other one entails. Precision
is the fraction of the description's events that the reference entails, recall the fraction of the reference's
events that the description entails.

Wang et al. 2024, "Tarsier: recipes for training and evaluating large video description models" (DREAM-1K).
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from captioner.prompts import load_task

Judge = Callable[[Sequence[str]], Sequence[str | None]]
"""Answers prompts; None for one without an answer."""
VERDICTS = ("entailment", "contradiction", "neutral")
_NO_TEXT = "(an empty description)"


@dataclass(frozen=True, kw_only=True, slots=True)
class DescriptionScore:
    """The score of one description."""

    events: tuple[str, ...] = ()
    """Events of the description, with the verdict of the reference on each."""
    verdicts: tuple[str, ...] = ()
    reference_events: tuple[str, ...] = ()
    reference_verdicts: tuple[str, ...] = ()
    problem: str = ""
    """Why there is no score: an answer of the judge that could not be read."""

    @property
    def precision(self) -> float | None:
        """None without events."""
        return _share(self.verdicts)

    @property
    def recall(self) -> float | None:
        return _share(self.reference_verdicts)


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoDq:
    """The scores of many descriptions."""

    n: int
    """Descriptions with a score."""
    precision: float | None
    """Mean over the descriptions with events."""
    recall: float | None
    f1: float | None
    """Harmonic mean of the two."""
    unreadable: int
    """Descriptions whose judgement could not be read: they count in nothing."""
    scores: Sequence[DescriptionScore] = field(default_factory=tuple)


def score_descriptions(texts: Sequence[str], references: Sequence[str], judge: Judge) -> AutoDq:
    """Score each text against the reference of the same clip."""
    count = len(texts)
    listed = _list_events([*texts, *references], judge)
    own, wanted = listed[:count], listed[count:]
    checks = [*zip(own, references, strict=True), *zip(wanted, texts, strict=True)]
    verdicts = _entailments(checks, judge)
    scores = [
        _score(own[index], verdicts[index], wanted[index], verdicts[count + index]) for index in range(count)
    ]
    readable = [score for score in scores if not score.problem]
    precision = _mean([score.precision for score in readable])
    recall = _mean([score.recall for score in readable])
    f1 = None
    if precision is not None and recall is not None:
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return AutoDq(
        n=len(readable),
        precision=precision,
        recall=recall,
        f1=f1,
        unreadable=count - len(readable),
        scores=tuple(scores),
    )


def _list_events(texts: Sequence[str], judge: Judge) -> list[list[str] | None]:
    template = load_task("autodq_events")
    answers = judge([template.replace("{text}", text or _NO_TEXT) for text in texts])
    return [_strings(answer) for answer in answers]


def _entailments(checks: Sequence[tuple[list[str] | None, str]], judge: Judge) -> list[list[str] | None]:
    """Return the verdict of a text on each of its events; [] without events, None if unreadable."""
    template = load_task("autodq_entail")
    asked = [index for index, (events, _) in enumerate(checks) if events]
    prompts: list[str] = []
    for index in asked:
        events, text = checks[index]
        listed = "\n".join(f"{number}. {event}" for number, event in enumerate(events or (), start=1))
        prompts.append(template.replace("{events}", listed).replace("{text}", text or _NO_TEXT))
    found: list[list[str] | None] = [None if events is None else [] for events, _ in checks]
    for index, answer in zip(asked, judge(prompts) if prompts else (), strict=True):
        words = [word.strip().lower() for word in _strings(answer) or ()]
        complete = len(words) == len(checks[index][0] or ()) and all(word in VERDICTS for word in words)
        found[index] = words if complete else None
    return found


def _score(
    events: list[str] | None,
    verdicts: list[str] | None,
    reference_events: list[str] | None,
    reference_verdicts: list[str] | None,
) -> DescriptionScore:
    if events is None or reference_events is None:
        return DescriptionScore(problem="the judge's list of events is no JSON array of strings")
    if verdicts is None or reference_verdicts is None:
        return DescriptionScore(problem="the judge's verdicts are not one word an event")
    return DescriptionScore(
        events=tuple(events),
        verdicts=tuple(verdicts),
        reference_events=tuple(reference_events),
        reference_verdicts=tuple(reference_verdicts),
    )


def _strings(answer: str | None) -> list[str] | None:
    """Return the JSON array of strings in an answer, which may stand in a code fence or other text."""
    begin, end = (answer or "").find("["), (answer or "").rfind("]")
    if answer is None or not 0 <= begin < end:
        return None
    try:
        value: Any = json.loads(answer[begin : end + 1], strict=False)
    except (ValueError, RecursionError):
        return None
    items = cast(list[Any], value) if isinstance(value, list) else [None]
    return (
        [item for item in items if isinstance(item, str)] if all(isinstance(i, str) for i in items) else None
    )


def _share(verdicts: Sequence[str]) -> float | None:
    return sum(verdict == "entailment" for verdict in verdicts) / len(verdicts) if verdicts else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
