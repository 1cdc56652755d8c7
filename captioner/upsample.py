"""Expand a short prompt into a dense description with a language model, and keep its facts.

Every fact of the prompt must be in the expansion and none may be contradicted, else the prompt stays as it
was. Models that are trained on dense captions follow dense prompts better (Betker et al. 2023, "Improving
image generation with better captions").
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from captioner.claims.claim import TextClaim
from captioner.claims.lexicon import lexicon
from captioner.claims.measures import terms_of
from captioner.claims.split import split_claims, split_sentences
from captioner.outcome import read_answer
from captioner.prompts import load_task

LONG_WORDS = 135
"""A prompt of this many words is dense already and stays as it is."""
Answer = Callable[[Sequence[str]], Sequence[str | None]]
"""Answers prompts; None for an answer that was cut off."""
_OPPOSITES = (
    ("moves left", "moves right"),
    ("moves up", "moves down"),
    ("camera left", "camera right"),
    ("camera up", "camera down"),
    ("zoom in", "zoom out"),
    ("camera still", "camera left"),
    ("camera still", "camera right"),
    ("camera still", "camera up"),
    ("camera still", "camera down"),
    ("camera still", "zoom in"),
    ("camera still", "zoom out"),
    ("dark", "bright"),
)
_DENIED = re.compile(r"\b(?:no|without(?: any)?|not any)\s+((?:[\w-]+\s+){0,2}?[\w-]+)\b", re.IGNORECASE)
_WORD = re.compile(r"\w+(?:['’-]\w+)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Upsampled:
    """An expanded prompt, or the prompt as it was."""

    prompt: str
    text: str
    """The expansion; the prompt itself if there is none that keeps its facts."""
    note: str = ""
    """Why the prompt was not expanded; empty if it was."""

    @property
    def is_expanded(self) -> bool:
        return self.text != self.prompt


def upsample(prompts: Sequence[str], answer: Answer, attempts: int = 2) -> list[Upsampled]:
    """Expand prompts with a language model.

    An answer that lost or changed a fact is sent back once, with what was wrong.
    """
    found: dict[int, Upsampled] = {}
    problems = dict.fromkeys(range(len(prompts)), "")
    for index, prompt in enumerate(prompts):
        if kept := kept_as_it_is(prompt):
            found[index] = kept
    for _ in range(attempts):
        pending = [index for index in problems if index not in found]
        asked = [_instruction(prompts[index], problems[index]) for index in pending]
        for index, raw in zip(pending, answer(asked) if asked else (), strict=True):
            text, problem = _read(prompts[index], raw)
            if text:
                found[index] = Upsampled(prompt=prompts[index], text=text)
            problems[index] = problem
    return [
        found.get(index) or Upsampled(prompt=prompt, text=prompt, note=f"kept as it was: {problems[index]}")
        for index, prompt in enumerate(prompts)
    ]


def kept_as_it_is(prompt: str) -> Upsampled | None:
    """Return the prompt as its own expansion if it is empty or dense already; else None."""
    words = len(prompt.split())
    if words >= LONG_WORDS:
        return Upsampled(prompt=prompt, text=prompt, note=f"kept as it was: it has {words} words already")
    return None if words else Upsampled(prompt=prompt, text=prompt, note="kept as it was: it is empty")


def lost_facts(prompt: str, text: str) -> list[str]:
    """Return the facts of a prompt that a longer text lacks or contradicts, in words."""
    claims, longer = split_claims(prompt), split_claims(text)
    problems = [f"it lacks “{claim.text}”" for claim in claims if not _is_kept(claim, text, longer)]
    return [*dict.fromkeys([*problems, *_contradictions(prompt, text, claims, longer)])]


def _instruction(prompt: str, problem: str) -> str:
    text = load_task("upsample").replace("{prompt}", prompt)
    return f"{text}\n\nAn earlier answer was wrong: {problem}. Mend that." if problem else text


def _read(prompt: str, raw: str | None) -> tuple[str, str]:
    """Return the expansion in an answer, or the reason why there is none."""
    if raw is None:
        return "", "the answer was cut off"
    answer = read_answer(raw, ended=True)
    if answer.text is None:
        return "", f"the model gave no text ({answer.detail})"
    text = " ".join(answer.text.split())
    if len(text.split()) <= len(prompt.split()):
        return "", "the answer is no longer than the prompt"
    if problems := lost_facts(prompt, text):
        return "", f"the answer changed it: {'; '.join(problems[:3])}"
    return text, ""


def _is_kept(claim: TextClaim, text: str, longer: Sequence[TextClaim]) -> bool:
    same = [each for each in longer if each.kind == claim.kind]
    if claim.kind == "text":
        return claim.value.lower() in text.lower()
    if claim.kind == "subject":
        return _stem(claim.value) in _stems(text)
    if claim.kind in ("attribute", "count"):
        return any(_same(each.subject, claim.subject) and each.value == claim.value for each in same)
    if claim.kind == "camera":
        terms = terms_of(claim.text)
        return terms <= terms_of(text) if terms else _stems(claim.text) <= _stems(text)
    needed = {_base(word) for word in claim.value.split()}
    subject = {_stem(claim.subject)} if claim.subject else set()
    return any(needed <= _bases(each.text) and subject <= _stems(text) for each in split_sentences(text))


def _contradictions(
    prompt: str, text: str, claims: Sequence[TextClaim], longer: Sequence[TextClaim]
) -> Iterable[str]:
    colors = lexicon().colors
    for kind in ("attribute", "count"):
        for subject in {_stem(each.subject) for each in claims if each.kind == kind}:
            wanted = {each.value for each in _about(claims, kind, subject)}
            for each in _about(longer, kind, subject):
                relevant = kind == "count" or (each.value in colors and wanted & colors)
                if relevant and each.value not in wanted:
                    yield f"it says “{each.text}”"
    terms, others = terms_of(prompt), terms_of(text)
    for pair in _OPPOSITES:
        for one, other in (pair, pair[::-1]):
            if one in terms and other in others and other not in terms:
                yield f"it says {other} where the prompt says {one}"
    for match in _DENIED.finditer(prompt):
        noun = _stem(match[1].split()[-1])
        if any(each.kind == "subject" and _stem(each.value) == noun for each in longer):
            yield f"it shows “{match[1]}”, which the prompt rules out"


def _about(claims: Iterable[TextClaim], kind: str, subject: str) -> list[TextClaim]:
    return [each for each in claims if each.kind == kind and _stem(each.subject) == subject]


def _same(one: str, other: str) -> bool:
    return _stem(one) == _stem(other)


def _stems(text: str) -> set[str]:
    return {_stem(word) for word in _WORD.findall(text)}


def _bases(text: str) -> set[str]:
    return {_base(word) for word in _WORD.findall(text)}


def _base(word: str) -> str:
    """Return the base form of a verb, or the stem of another word; ways lose their endings."""
    word = word.lower()
    return lexicon().verbs.get(word) or re.sub(r"wards?$", "", _stem(word))


def _stem(word: str) -> str:
    """Return a noun without its plural ending."""
    word = word.lower()
    irregular = {"people": "person", "men": "man", "women": "woman", "children": "child", "mice": "mouse"}
    if word in irregular:
        return irregular[word]
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if re.search(r"(?:s|x|z|ch|sh)es$", word):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
