"""Decide what an answer of a captioner is: a caption, and which text of it, or why it is none.

`read_answer` takes off what belongs to the model or the conversation: thoughts, control tokens, role names,
Markdown, announcements ("Sure! Here is…") and offers ("Let me know…"). `classify` judges a text as it is: one
with any of these left is no caption. Markup is known by the model's own tokens and by form, loops by measure,
in any language; refusals and announcements by structure and by the phrases of answer_phrases.yaml, in its
languages.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape

from captioner.lengths import from_json, split_lengths
from captioner.loops import repetition
from captioner.markup import Markup, find_markup, strip_markup, thinks_only, without_thoughts
from captioner.phrasebook import (
    NO_SPACES,
    Phrasebook,
    begins_with,
    find,
    normalize,
    phrasebooks_with,
    without_quotes,
)
from manifests.records import Outcome

_WORD = re.compile(r"\w+")
_SENTENCE = re.compile(r"[^.!?。！？।؟۔…\n]+(?:[.!?。！？।؟۔…]+[\"”’'»)」』]*|\n+|\Z)\s*|\n+")
_PAGE = re.compile(r"<(?:!doctype\s+html|(?:html|head|body|script)\b[^<>]*>)", re.IGNORECASE)
"""Tags of a page of HTML, not of a text with tags, which are taken off."""
_NOTHING = re.compile(r"\W*(?:null|none|n/?a|nan|undefined)\W*", re.IGNORECASE)
"""What programs write for no value."""
_NO_MARKUP = Markup()
_LEAD_SENTENCES = 3
"""Sentences at the beginning of an answer in which a refusal is looked for."""
_SHORT_APOLOGY, _APOLOGY = 6, 25
"""Number of words: an apology of fewer is a refusal; one of fewer, about the task, too."""
_LEAD_WORDS = 25
"""Maximum number of words of an announcement."""
_WEAK = {"yes", "ok", "okay", "great", "si", "oui", "ja", "da", "oo", "so", "hello", "hi", "are", "tak"}
"""Affirmations that may begin a caption, with a comma."""
_OFFERS = 3
"""Maximum number of sentences that are taken off the end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadAnswer:
    """What an answer is."""

    outcome: Outcome
    text: str | None
    """The caption; None unless the outcome is OK."""
    detail: str = ""
    """Why it is no caption."""


def read_answer(raw: str, *, ended: bool, markup: Markup = _NO_MARKUP) -> ReadAnswer:
    """Return the caption in a raw answer, or why there is none.

    Args:
        ended: whether generation stopped at an end token, not at the token limit.
        markup: control tokens and roles of the model (`Markup.of`).
    """
    if thinks_only(raw):
        outcome = Outcome.EMPTY if ended else Outcome.TRUNCATED
        return ReadAnswer(outcome=outcome, text=None, detail="a thought without an answer")
    if page := _page(raw):
        return ReadAnswer(outcome=Outcome.DEGENERATE, text=None, detail=f"a page of HTML: {page!r}")
    text = from_json(_unwrap(strip_markup(raw, markup)))
    text = _unwrap(strip_offers(strip_preamble(text)))
    outcome, detail = classify(text, ended=ended, markup=markup)
    return ReadAnswer(outcome=outcome, text=text if outcome is Outcome.OK else None, detail=detail)


def read_lengths(
    raw: str, *, ended: bool, lengths: Sequence[str], markup: Markup = _NO_MARKUP
) -> tuple[ReadAnswer, dict[str, str]]:
    """Return the captions by length in one raw answer: a JSON object, or sections headed by the lengths.

    The first text that is no caption decides the outcome. The detail names lengths that are missing.
    """
    text = strip_markup(raw, markup, markdown=False)
    if not ended or thinks_only(raw) or _page(raw):
        return read_answer(raw, ended=ended, markup=markup), {}
    parts = split_lengths(text, lengths)
    if not parts:
        whole = read_answer(text, ended=ended, markup=markup)
        if whole.outcome is Outcome.OK:
            detail = f"no section of the answer is headed {', '.join(lengths)}"
            whole = ReadAnswer(outcome=Outcome.DEGENERATE, text=None, detail=detail)
        return whole, {}
    texts: dict[str, str] = {}
    for length, part in parts.items():
        answer = read_answer(part, ended=ended, markup=markup)
        if answer.text is None:
            return ReadAnswer(outcome=answer.outcome, text=None, detail=f"{length}: {answer.detail}"), {}
        texts[length] = answer.text
    missing = ", ".join(length for length in lengths if length not in texts)
    return ReadAnswer(
        outcome=Outcome.OK,
        text=[*texts.values()][-1],
        detail=f"the answer has no {missing}" if missing else "",
    ), texts


def classify(raw: str, *, ended: bool, markup: Markup = _NO_MARKUP) -> tuple[Outcome, str]:
    """Return the outcome of a text that is to be a caption as it stands, and the reason when it is not OK.

    A repetitive text is DEGENERATE even when it was also cut off.
    """
    text = raw.strip()
    if not _WORD.search(text) or _NOTHING.fullmatch(text):
        return Outcome.EMPTY, "no words in the answer"
    if phrase := repetition(text):
        return Outcome.DEGENERATE, f"repeats {phrase[:80]!r}"
    if not ended:
        return Outcome.TRUNCATED, f"stopped at the token limit after {len(text)} characters"
    if phrase := refusal(text):
        return Outcome.REFUSED, f"refuses: {phrase[:80]!r}"
    if found := find_markup(text, markup):
        return Outcome.DEGENERATE, f"has markup of the model: {found[:80]!r}"
    if found := _muse(text):
        return Outcome.DEGENERATE, f"thinks aloud: {found[:80]!r}"
    if (rest := strip_preamble(text)) != text:
        return Outcome.DEGENERATE, f"begins with an announcement: {text.removesuffix(rest)[:80]!r}"
    if (rest := strip_offers(text)) != text:
        return Outcome.DEGENERATE, f"speaks to the reader: {text.removeprefix(rest)[:80]!r}"
    return Outcome.OK, ""


def _page(raw: str) -> str:
    """Return the beginning of a page of HTML, or an empty string. What is quoted is part of a caption."""
    found = _PAGE.search(without_quotes(without_thoughts(unescape(raw))))
    return found[0][:80] if found else ""


def refusal(text: str) -> str:
    """Return the phrase by which a text refuses or cannot answer, or an empty string.

    What is quoted does not count. A refusal stands at the beginning: what the speaker cannot do together with
    the task, an apology together with either, or a phrase that needs no other.
    """
    parts = (part for sentence in _sentences(without_quotes(text)) for part in re.split("[;；]", sentence))
    lead = [part for part in map(normalize, parts) if part.strip(' \n".')]
    lead = lead[:_LEAD_SENTENCES]
    num_words = _count_words(text)
    books = phrasebooks_with(("refuse", "cannot", "sorry"), " ".join(lead))
    found = (_refusal_in(lead, num_words, book) for book in books)
    return next((phrase for phrase in found if phrase), "")


def _refusal_in(lead: list[str], num_words: int, book: Phrasebook) -> str:
    """Return the refusal in the first sentences, in one language."""
    for sentence in lead:
        if phrase := book.search("refuse", sentence):
            return phrase[0]
        phrase = book.search("cannot", sentence)
        if phrase and not book.search("reported", sentence[: phrase.start()]):
            rest = f"{sentence[: phrase.start()]} {sentence[phrase.end() :]}"
            if book.search("task", rest):
                return phrase[0]
    sorry = book.match("sorry", lead[0].lstrip(" \"'([*-")) if lead else None
    if sorry is None:
        return ""
    start = " ".join(lead[:2])
    about = book.search("cannot", start) or (num_words <= _APOLOGY and book.search("task", start))
    return sorry[0] if about or num_words <= _SHORT_APOLOGY else ""


def strip_preamble(text: str) -> str:
    """Return `text` without affirmations ("Sure!"), announcements ("Here is…:") and labels ("Caption:")."""
    for _ in range(4):
        rest = _after_assent(text) or _after_lead(text)
        if not rest:
            break
        text = rest
    return _first_of_several(text)


def _first_of_several(text: str) -> str:
    """Return what stands before a second caption that is labelled on a line of its own ("Caption 2: …")."""
    for match in re.finditer(r"\n\W*([^:：\n]{1,40}?)\s*\d*\s*[:：]", text):
        if begins_with("caption", normalize(match[1]).strip(' *_#"')) and _count_words(match[1]) <= 3:
            return text[: match.start()].strip()
    return text


def _after_assent(text: str) -> str:
    """Return what follows an affirmation set off by punctuation, or an empty string."""
    plain = normalize(text).lstrip()
    found = begins_with("assent", plain)
    mark = re.match(r"\s*(?:!+|[.:~-]+(?!\w)|,)", plain[found.end() :]) if found else None
    if found is None or mark is None or (mark[0].strip() == "," and found[0] in _WEAK):
        return ""
    words = len(_WORD.findall(found[0]))
    match = re.match(rf"\W*(?:\w+\W+?){{{max(0, words - 1)}}}\w+\s*[!！.。:：,，、~-]+\s*", text)
    return text[match.end() :].strip() if match and _is_plain_start(found[0], match[0]) else ""


def _is_plain_start(phrase: str, start: str) -> bool:
    """Return whether the start of the original text is the phrase found in the normalised one."""
    return _WORD.findall(normalize(start)) == _WORD.findall(phrase)


def _after_lead(text: str) -> str:
    """Return what follows an announcement of the caption, or an empty string."""
    match = re.match(r"\s*([^:：\n]{1,300}?)\s*([:：]\s*\n+|[:：]|\n+)\s*(?=\S)", text)
    if match is None:
        return _after_label(text) or _after_announcing_sentence(text)
    lead, mark, rest = normalize(match[1]).strip(' *_#"'), match[2].strip(), text[match.end() :].strip()
    if (
        len(_WORD.findall(without_quotes(lead))) > _LEAD_WORDS
        or not _WORD.search(rest)
        or not _WORD.search(lead)
    ):
        return _after_announcing_sentence(text)
    if mark and (label := begins_with("caption", lead)) and len(_WORD.findall(lead[label.end() :])) <= 4:
        return rest
    announces = begins_with("here", lead) or (find("here", lead) and find("caption", lead))
    if announces and (_count_words(lead) <= 3 or _names_answer(lead)):
        return rest
    if (
        mark and "\n" in match[2] and not re.match(r"[-*•\d]", rest)
    ):  # a line that ends with a colon, in any language
        return rest
    return _after_announcing_sentence(text)


def _after_label(text: str) -> str:
    """Return what follows a name of the answer and a dash, or an empty string."""
    match = re.match(r"\s*([^\n–—-]{1,40}?)\s+[-–—]+\s+(?=\S)", text)
    lead = normalize(match[1]).strip(' *_#"') if match else ""
    return text[match.end() :] if match and begins_with("caption", lead) and _count_words(lead) <= 3 else ""


def _after_announcing_sentence(text: str) -> str:
    """Return what follows a first sentence that only announces the caption, or an empty string."""
    sentences = _sentences(text)
    if len(sentences) < 2:
        return ""
    lead = normalize(sentences[0]).strip(' *_#"')
    names = find("caption", lead) or re.search(r"des?cri[bpv]|beschreib|decri", lead)
    announces = begins_with("here", lead) and names and _count_words(lead) <= _LEAD_WORDS
    return text[len(sentences[0]) :].strip() if announces else ""


def _names_answer(lead: str) -> bool:
    return bool(
        find("caption", lead) or re.search(r"describ|video|image|footage|clip|frame|scene|shot", lead)
    ) or any(
        book.search("here", lead) and book.search("task", lead) for book in phrasebooks_with(["here"], lead)
    )


def strip_offers(text: str) -> str:
    """Return `text` without offers and questions to the reader after it."""
    sentences = _sentences(text)
    for _ in range(min(_OFFERS, len(sentences) - 1)):
        if not begins_with("offer", normalize(sentences[-1]).lstrip(" *_([\"'-")):
            break
        sentences.pop()
    return "".join(sentences).strip()


def _muse(text: str) -> str:
    for sentence in _sentences(without_quotes(text))[:2]:
        if found := find("muse", normalize(sentence)):
            return found[0]
    return ""


def _unwrap(text: str) -> str:
    """Return `text` without quotation marks around all of it."""
    text = text.strip()
    for begin, end in ('""', "“”", "„“", "«»", "「」", "『』", "''", "‘’"):
        if len(text) > 2 and text[0] == begin and text[-1] == end and not {begin, end} & {*text[1:-1]}:
            return text[1:-1].strip()
    return text


def _sentences(text: str) -> list[str]:
    """Split `text` into sentences that together are `text`."""
    return _SENTENCE.findall(text) or [text]


def _count_words(text: str) -> int:
    """Return the number of words; two characters of a script without spaces count as one."""
    dense = len(re.findall(rf"[{NO_SPACES}]", text))
    return len(_WORD.findall(re.sub(rf"[{NO_SPACES}]", "", text))) + dense // 2
