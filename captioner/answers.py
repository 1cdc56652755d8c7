"""Read the answer of a model to a prompt: a text, texts of several lengths, parts, or a choice.

`outcome.py` says what a text is, this module how it fits the prompt. An answer that repeats its prompt, or is
in another language than was asked for, is no caption. An opening that names the medium ("The video shows…")
is taken off, and recorded.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from captioner.choices import read_choice
from captioner.echo import echo
from captioner.language import other_language
from captioner.markup import Markup, strip_markup
from captioner.outcome import classify, read_answer, read_lengths
from captioner.parts import QUOTED_PART, NotParts, read_parts
from captioner.prompts import Prompt
from manifests.records import Outcome

_MEDIUM = r"(?:the|this) (?:(?:short|brief|video) )?(?:video|image|clip|footage|picture|photo|photograph|gif)"
_SHOWS = r"(?:shows?|depicts?|displays?|features?|portrays?|presents?|showcases?|is showing)(?: us)?"
_SEE = r"(?:(?:we|you) (?:can )?see )?"
_OPENING = re.compile(
    rf"(?:{_MEDIUM} {_SHOWS}|in {_MEDIUM},?) {_SEE}(?=(?:an?|the|two|three|four|five|several|many|some) )",
    re.IGNORECASE,
)
"""An English opening that names the medium, before a noun phrase that can begin the sentence instead."""
_ENGLISH = "English"


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptedAnswer:
    """What an answer to a prompt is."""

    outcome: Outcome
    text: str | None
    """The caption, the longest of several, the choice, or the parts as a JSON object; None unless the outcome
    is OK."""
    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    """Captions by length, for a prompt with `lengths`."""
    detail: str = ""
    """Why it is no caption, what it lacks, or what was taken off."""


def read_reply(raw: str, prompt: Prompt, *, ended: bool, markup: Markup) -> PromptedAnswer:
    """Return the captions in a raw answer to `prompt`, or why there are none.

    Args:
        ended: whether generation stopped at an end token, not at the token limit.
        markup: control tokens and roles of the model.
    """
    raw = raw.lstrip().removeprefix(prompt.text)
    if choices := prompt.choices:
        choice = read_choice(raw, choices, ended=ended, markup=markup)
        return PromptedAnswer(outcome=choice.outcome, text=choice.text, detail=choice.detail)
    if prompt.asks_parts:
        return _read_parts(raw, prompt, ended=ended, markup=markup)
    if prompt.lengths:
        answer, texts = read_lengths(raw, ended=ended, lengths=prompt.lengths, markup=markup)
    else:
        answer = read_answer(raw, ended=ended, markup=markup)
        texts = {"": answer.text} if answer.text else {}
    details = [answer.detail] if answer.detail else []
    fitting: dict[str, str] = {}
    for length, text in texts.items():
        if reason := misfit(text, prompt):
            where = f"{length}: {reason}" if length else reason
            return PromptedAnswer(outcome=Outcome.DEGENERATE, text=None, detail=where)
        fitting[length], opening = without_opening(text, prompt.language)
        details += [f"taken off: {opening!r}"] if opening else []
    return PromptedAnswer(
        outcome=answer.outcome,
        text=[*fitting.values()][-1] if fitting else None,
        texts=fitting if prompt.lengths else {},
        detail="; ".join(dict.fromkeys(details)),
    )


def _read_parts(raw: str, prompt: Prompt, *, ended: bool, markup: Markup) -> PromptedAnswer:
    """Return the parts in an answer as a JSON text, or why there are none."""
    text = strip_markup(raw, markup, markdown=False)
    whole = read_answer(text, ended=ended, markup=markup)
    if whole.outcome not in (Outcome.OK, Outcome.DEGENERATE):
        return PromptedAnswer(outcome=whole.outcome, text=None, detail=f"parts: {whole.detail}")
    try:
        parts, missing = read_parts(text)
    except NotParts as error:
        return _no_parts(str(error))
    if not any(parts.values()):
        return PromptedAnswer(outcome=Outcome.EMPTY, text=None, detail="parts: no words in the answer")
    said = [text for name, texts in parts.items() if name != QUOTED_PART for text in _lines(texts)]
    for text in said:
        outcome, reason = classify(text, ended=True, markup=markup)
        if outcome is not Outcome.OK:
            return PromptedAnswer(outcome=outcome, text=None, detail=f"parts: {reason}")
    if reason := misfit("\n".join(said), prompt):
        return _no_parts(reason)
    return PromptedAnswer(
        outcome=Outcome.OK,
        text=json.dumps(parts, ensure_ascii=False),
        detail=f"the parts lack {', '.join(missing)}" if missing else "",
    )


def _lines(texts: str | list[str]) -> list[str]:
    return [text for text in ([texts] if isinstance(texts, str) else texts) if text]


def _no_parts(reason: str) -> PromptedAnswer:
    return PromptedAnswer(outcome=Outcome.DEGENERATE, text=None, detail=f"parts: {reason}")


def misfit(text: str, prompt: Prompt) -> str:
    """Return why a text is no answer to its prompt, or an empty string."""
    if found := echo(text, prompt.text):
        return f"repeats the prompt: {found[:80]!r}"
    if language := other_language(text, prompt.language):
        return f"is in {language}, not in {prompt.language}"
    return ""


def without_opening(text: str, language: str) -> tuple[str, str]:
    """Return an English text without an opening that names the medium, and the opening."""
    found = _OPENING.match(text) if language == _ENGLISH else None
    if found is None:
        return text, ""
    rest = text[found.end() :]
    return rest[0].upper() + rest[1:], found[0].strip()
