"""Answers that are one of a few words, such as yes and no, and how likely a model found each.

The probability of a choice is taken where the answer begins, after any thoughts: there the model decides.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from math import exp

from captioner.lengths import from_json
from captioner.markup import Markup, strip_markup, thinks_only
from captioner.outcome import ReadAnswer, classify
from captioner.protocol import ReplyToken
from manifests.records import Outcome

YES, NO, UNSURE = "yes", "no", "unsure"
YES_NO = (YES, NO, UNSURE)
"""The choices of a question with yes or no."""
_UNSURE = (
    "not sure",
    "no idea",
    "not certain",
    "uncertain",
    "unclear",
    "unknown",
    "maybe",
    "yes and no",
    "cannot tell",
    "can't tell",
    "can not tell",
    "cannot determine",
    "cannot be determined",
)
"""Other words for `UNSURE`; those that begin like another choice are longer than it."""
_LEAD = r"^[\W_]*(?:(?:the\s+)?(?:final\s+)?answer(?:\s+is)?[\W_]+)?"
_SPACES = "▁ĠĊ \n\t"
"""What tokenizers write for the space before a word."""
_NO_MARKUP = Markup()


def read_choice(raw: str, choices: Sequence[str], *, ended: bool, markup: Markup = _NO_MARKUP) -> ReadAnswer:
    """Return the choice that a raw answer begins with, or why there is none.

    Args:
        choices: words without regard to case, or single letters, after which no other word may follow.
        ended: whether generation stopped at an end token; a choice counts all the same.
    """
    if thinks_only(raw):
        outcome = Outcome.EMPTY if ended else Outcome.TRUNCATED
        return ReadAnswer(outcome=outcome, text=None, detail="a thought without an answer")
    text = from_json(strip_markup(raw, markup))
    words = {word: choice for choice in choices for word in _words(choice)}
    ranked = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    if found := re.match(rf"{_LEAD}({ranked})(?!\w)", text, re.IGNORECASE):
        word = found[1]
        if len(word) > 1:
            return ReadAnswer(outcome=Outcome.OK, text=words[word.lower()])
        if word in words and not re.match(r"\s+\w", text[found.end() :]):  # not the article of `A man`
            return ReadAnswer(outcome=Outcome.OK, text=words[word])
    outcome, detail = classify(text, ended=ended, markup=markup)
    if outcome in (Outcome.OK, Outcome.TRUNCATED):
        before = "" if ended else " before the token limit"
        detail = f"none of {', '.join(choices)}{before}: {text[:80]!r}"
        outcome = Outcome.DEGENERATE if ended else Outcome.TRUNCATED
    return ReadAnswer(outcome=outcome, text=None, detail=detail)


def choice_of_token(token: str, choices: Sequence[str]) -> str | None:
    """Return the choice that a token is, in any case and with a space before it; None for other tokens."""
    text = token.strip(_SPACES)
    for choice in choices:
        if text == choice or (len(choice) > 1 and text.lower() == choice):
            return choice
    return None


def token_groups(vocabulary: Mapping[str, int], choices: Sequence[str]) -> dict[str, list[int]]:
    """Return the ids of the tokens that are each choice."""
    groups: dict[str, list[int]] = {choice: [] for choice in choices}
    for token, number in vocabulary.items():
        if (choice := choice_of_token(token, choices)) is not None:
            groups[choice].append(number)
    return groups


def answer_position(
    tokens: Sequence[str],
    join: Callable[[int], str],
    choice: str,
    choices: Sequence[str],
    markup: Markup = _NO_MARKUP,
) -> int | None:
    """Return the index of the token that is `choice`, with which the answer begins; None if none is it alone.

    Args:
        join: returns the text of the answer from a token on.
    """
    answer = _bare(join(0), markup)
    for index in reversed(range(len(tokens))):  # the last one: an earlier one is in a thought
        if choice_of_token(tokens[index], choices) == choice and _bare(join(index), markup) == answer:
            return index
    return None


def chances(likely: Mapping[str, float]) -> dict[str, float]:
    """Return the probabilities of choices as fractions of their sum; empty if all are 0."""
    total = sum(likely.values())
    return {choice: value / total for choice, value in likely.items()} if total > 0 else {}


def chances_of_logprobs(alternatives: Mapping[str, float], choices: Sequence[str]) -> dict[str, float]:
    """Return `chances` from the logarithms of the probabilities of the likeliest tokens of one place.

    A choice that is not among them is as good as impossible.
    """
    likely = dict.fromkeys(choices, 0.0)
    for token, logprob in alternatives.items():
        if (choice := choice_of_token(token, choices)) is not None:
            likely[choice] += exp(min(logprob, 0.0))
    return chances(likely)


def chances_of_reply(
    tokens: Sequence[ReplyToken], choice: str | None, choices: Sequence[str], markup: Markup = _NO_MARKUP
) -> dict[str, float]:
    """Return the probability of each choice where an answer begins; empty if no token is the choice alone."""
    texts = [token.text for token in tokens]
    if choice is None or not texts:
        return {}
    index = answer_position(texts, lambda first: "".join(texts[first:]), choice, choices, markup)
    return {} if index is None else chances_of_logprobs(tokens[index].alternatives, choices)


def chance_of_yes(found: Mapping[str, float]) -> float | None:
    """Return the probability of yes against no; None if neither is known."""
    total = found.get(YES, 0.0) + found.get(NO, 0.0)
    return found.get(YES, 0.0) / total if total > 0 else None


def _bare(text: str, markup: Markup) -> str:
    """Return an answer without thoughts, markup, and what stands before its choice and after its words."""
    return re.sub(rf"{_LEAD}|[\W_]+$", "", from_json(strip_markup(text, markup)), flags=re.IGNORECASE)


def _words(choice: str) -> tuple[str, ...]:
    return (choice, *_UNSURE) if choice == UNSURE else (choice,)
