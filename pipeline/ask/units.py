"""Clips to ask about, and the questions with the scorers that they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from captioner.questions import Question
from manifests.digest import digest_parts
from manifests.scores import ScorerRequest
from pipeline.caption.units import CaptionUnit
from pipeline.columns import Column

SCORER = "question:"
"""Prefix of the scorer of a question; its columns begin with `question_`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AskUnit:
    """One clip, and the questions without an answer."""

    clip_id: str
    uri: str
    """Of the source, for error reports."""
    questions: tuple[str, ...]
    windows: tuple[CaptionUnit, ...]
    """Its media, in time order."""
    starts_s: tuple[float, ...]
    """Start of each in the clip, in seconds."""

    @property
    def key(self) -> str:
        """Unique among the units of a run."""
        return self.clip_id

    @property
    def num_frames(self) -> int:
        """Frames of all windows."""
        return sum(window.num_frames for window in self.windows)

    @property
    def height(self) -> int:
        return self.windows[0].height

    @property
    def width(self) -> int:
        return self.windows[0].width

    @property
    def length(self) -> int:
        """Bytes of all windows."""
        return sum(window.length for window in self.windows)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "AskUnit":
        """Build a unit from its JSON."""
        return cls(
            clip_id=fields["clip_id"],
            uri=fields["uri"],
            questions=tuple(fields["questions"]),
            windows=tuple(CaptionUnit(**window) for window in fields["windows"]),
            starts_s=tuple(fields["starts_s"]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class AskSpec:
    """The questions, and who answers them."""

    questions: tuple[Question, ...]
    engine: str
    """Digest of the model, its settings and the frames that it sees."""

    @property
    def requests(self) -> dict[str, ScorerRequest]:
        """The scorer of each question, by its name."""
        return {
            scorer_of(question.name): ScorerRequest(
                scorer=scorer_of(question.name),
                digest=digest_parts("answers", self.engine, question.digest),
                columns={column.name: column.type for column in columns_of(question)},
                of_kept=True,
            )
            for question in self.questions
        }

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of all questions."""
        return tuple(column for question in self.questions for column in columns_of(question))


def scorer_of(question: str) -> str:
    """Return the name of the scorer that a question is."""
    return f"{SCORER}{question}"


def columns_of(question: Question) -> tuple[Column, Column]:
    """Return the columns of a question: its score or choice, then what else is known of the answer."""
    name = f"question_{question.name}"
    if question.choices:
        return (
            Column(name, "string", "the answer, one of the question's choices"),
            Column(f"{name}_chance", "float64", "probability of the answer, 0 to 1", (0.0, 1.0)),
        )
    return (
        Column(name, "float64", "probability of yes, 0 to 1; null for unsure", (0.0, 1.0)),
        Column(f"{name}_answer", "string", "yes, no or unsure"),
    )
