"""Split an English caption into claims by rules and a lexicon; pure functions.

Noun phrases give claims of subjects, attributes and counts; verbs give actions; prepositions between two
things give relations; clauses about the camera and quotations are claims of their own. A word that the
lexicon does not know is a noun. The rules know English alone: of other texts, only quotations are claims.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from captioner.claims.claim import ClaimKind, TextClaim
from captioner.claims.lexicon import Lexicon, lexicon
from captioner.phrasebook import QUOTED

_SENTENCE = re.compile(r"\S.*?(?:[.!?…]+[\"”’')]*(?=\s|$)|\n|$)", re.DOTALL)
_TOKEN = re.compile(r"\d[\d.,]*\d|[^\W_]+(?:['’-][^\W_]+)*|[^\w\s]")
_CLAUSE_ENDS = {",", ";", ":", ".", "!", "?", "—", "–", "(", ")"}
_JOINING = {"and", "or", "but", "while", "as", "when", "then", "before", "after", "which", "that", "who"}
_COPULAS = {
    "is",
    "are",
    "was",
    "were",
    "be",
    "being",
    "been",
    "appears",
    "looks",
    "seems",
    "remains",
    "stays",
}
_SHOWING = {"show", "capture", "feature", "open", "begin", "start", "look", "bring", "reveal", "continue"}
"""Verbs by which a video, not a thing, does something."""
_ALSO_NOUNS = {"square", "light", "glass", "metal", "orange", "plastic", "gold", "silver", "dark", "cold"}
"""Adjectives that are nouns where no other noun follows."""
_NEGATIONS = {"no", "not", "without", "never", "neither", "nor", "hardly"}


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a text."""

    text: str
    start: int
    """Offset of its first character."""

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class _Token:
    word: str
    """In lower case."""
    start: int
    end: int


@dataclass(slots=True)
class _Phrase:
    """A noun phrase."""

    start: int
    """Index of its first token."""
    end: int
    head: str = ""
    plural_ok: bool = True
    modifiers: list[_Token] = field(default_factory=list[_Token])


def split_sentences(text: str) -> list[Sentence]:
    """Return the sentences of a text; a full stop in a quotation ends none."""
    masked = QUOTED.sub(lambda match: match[0][0] + "x" * (len(match[0]) - 2) + match[0][-1], text)
    found = [
        Sentence(text[match.start() : match.end()].rstrip(), match.start())
        for match in _SENTENCE.finditer(masked)
    ]
    return [sentence for sentence in found if any(char.isalnum() for char in sentence.text)]


def split_claims(text: str) -> list[TextClaim]:
    """Return the claims of a text, each once, in the order in which they stand."""
    found: dict[tuple[str, str, str], TextClaim] = {}
    subject = ""
    for index, sentence in enumerate(split_sentences(text)):
        for claim in _SentenceReader(sentence, index, subject).claims():
            found.setdefault((claim.kind, claim.subject, claim.value), claim)
            subject = claim.subject or subject
    return [
        replace(claim, text=text[claim.start : claim.end] if not claim.text else claim.text)
        for claim in found.values()
    ]


class _SentenceReader:
    """Reads one sentence from left to right."""

    def __init__(self, sentence: Sentence, index: int, subject: str) -> None:
        self._sentence, self._index, self._words = sentence, index, lexicon()
        self._subject = subject
        self._quotes = [*QUOTED.finditer(sentence.text)]
        masked = QUOTED.sub(lambda match: " " * len(match[0]), sentence.text)
        self._tokens = [
            _Token(match[0].lower().replace("’", "'"), match.start(), match.end())
            for match in _TOKEN.finditer(masked)
        ]

    def claims(self) -> Iterator[TextClaim]:
        """Yield the claims of the sentence."""
        for quote in self._quotes:
            words = quote[0][1:-1].strip()
            yield self._claim("text", "text", words, quote.start(), quote.end(), f'the text "{words}"')
        for begin, end in self._clauses():
            yield from self._clause(begin, end)

    def _clauses(self) -> Iterator[tuple[int, int]]:
        begin = 0
        for at, token in enumerate(self._tokens):
            if token.word in _CLAUSE_ENDS:
                if at > begin:
                    yield begin, at
                begin = at + 1
        if begin < len(self._tokens):
            yield begin, len(self._tokens)

    def _clause(self, begin: int, end: int) -> Iterator[TextClaim]:
        tokens = self._tokens[begin:end]
        start, stop = tokens[0].start, tokens[-1].end
        clause = self._sentence.text[start:stop]
        if self._words.camera.search(clause):
            yield self._claim("camera", "", clause.lower(), start, stop, clause)
            return
        if any(token.word in _NEGATIONS for token in tokens):
            return  # what is not there makes no claim that frames could support
        last: _Phrase | None = None  # the thing that a relation or an action may be about
        relation: _Token | None = None
        at = begin
        while at < end:
            phrase = self._phrase(at, end, self._words)
            if phrase is not None:
                yield from self._about_phrase(phrase)
                if last is not None and relation is not None and phrase.head not in self._words.nothing:
                    yield self._relation(last, relation, phrase)
                relation, at = None, phrase.end
                if phrase.head:
                    last, self._subject = phrase, phrase.head
                continue
            token = self._tokens[at]
            if token.word in self._words.verbs:
                if not (
                    last and last.head in self._words.nothing and self._words.verbs[token.word] in _SHOWING
                ):
                    yield self._action(at, end)
                last = None
            elif token.word in _COPULAS or token.word in _JOINING:
                yield from self._predicate(at + 1, end)
            elif token.word in self._words.spatial:
                relation = relation or token
            at += 1

    def _phrase(self, at: int, end: int, words: Lexicon) -> _Phrase | None:
        """Return the noun phrase that begins at a token; None if none does."""
        phrase = _Phrase(at, at)
        if self._tokens[at].word in words.determiners:
            phrase.plural_ok = self._tokens[at].word not in ("a", "an", "another", "each", "every", "this")
            phrase.end = at = at + 1
        nouns: list[_Token] = []
        while at < end:
            token = self._tokens[at]
            adjective = token.word in words.colors or token.word in words.adjectives
            if words.number(token.word) is not None or (adjective and not nouns):
                if nouns:
                    break
                phrase.modifiers.append(token)
            elif words.is_noun(token.word) and not self._is_verb_after(token, nouns, phrase):
                nouns.append(token)
            elif not (self._is_participle(at, end, nouns, words)):
                break
            at += 1
            phrase.end = at
        determined = phrase.end - len(phrase.modifiers) > phrase.start
        if not nouns and determined and phrase.modifiers and phrase.modifiers[-1].word in _ALSO_NOUNS:
            nouns.append(phrase.modifiers.pop())  # `the red square`
        if not nouns:
            return None
        phrase.head = nouns[-1].word
        return phrase

    def _is_participle(self, at: int, end: int, nouns: Sequence[_Token], words: Lexicon) -> bool:
        """Return whether a verb form stands as an adjective before a noun, as in `a rising sun`."""
        word, following = self._tokens[at].word, self._tokens[at + 1].word if at + 1 < end else ""
        form = word in words.verbs and word.endswith(("ing", "ed"))
        return form and not nouns and at > 0 and bool(following) and words.is_noun(following)

    @staticmethod
    def _is_verb_after(token: _Token, nouns: Sequence[_Token], phrase: _Phrase) -> bool:
        """Return whether an unknown word on -s after a singular noun is its verb: `a drone hovers`."""
        word = token.word
        return (
            bool(nouns)
            and not phrase.plural_ok
            and word.endswith("s")
            and not word.endswith(("ss", "us", "is"))
        )

    def _about_phrase(self, phrase: _Phrase) -> Iterator[TextClaim]:
        start, end = self._tokens[phrase.start].start, self._tokens[phrase.end - 1].end
        if phrase.head not in self._words.nothing:
            yield self._claim("subject", phrase.head, phrase.head, start, end, phrase.head)
        for token in phrase.modifiers:
            number = self._words.number(token.word)
            kind: ClaimKind = "attribute" if number is None else "count"
            value = token.word if number is None else str(number)
            yield self._claim(kind, phrase.head, value, token.start, end, f"{token.word} {phrase.head}")

    def _predicate(self, at: int, end: int) -> Iterator[TextClaim]:
        """Yield the attribute after a copula: `the car is red`."""
        while at < end and self._tokens[at].word.endswith("ly"):
            at += 1
        if at >= end or not self._subject:
            return
        token, following = self._tokens[at], self._tokens[at + 1].word if at + 1 < end else ""
        if token.word in self._words.colors or token.word in self._words.adjectives:
            if following and self._words.is_noun(following):
                return  # the noun phrase after it says so itself
            yield self._claim(
                "attribute",
                self._subject,
                token.word,
                token.start,
                token.end,
                f"{token.word} {self._subject}",
            )

    def _action(self, at: int, end: int) -> TextClaim:
        """Return the action of a verb: it and what follows, up to the next verb or joining word."""
        last = at + 1
        while last < end:
            word = self._tokens[last].word
            if word in _JOINING or (word in self._words.verbs and last > at + 1):
                break
            last += 1
        token, final = self._tokens[at], self._tokens[last - 1]
        value = self._words.verbs[token.word]
        rest = [each.word for each in self._tokens[at + 1 : last]]
        ways = [word for word in rest if word in self._words.ways]
        text = f"{self._subject} {self._sentence.text[token.start : final.end]}".strip()
        return self._claim("action", self._subject, " ".join([value, *ways]), token.start, final.end, text)

    def _relation(self, first: _Phrase, preposition: _Token, second: _Phrase) -> TextClaim:
        start, end = self._tokens[first.start].start, self._tokens[second.end - 1].end
        value = f"{preposition.word} {second.head}"
        return self._claim("relation", first.head, value, start, end, f"{first.head} {value}")

    def _claim(self, kind: ClaimKind, subject: str, value: str, start: int, end: int, text: str) -> TextClaim:
        offset = self._sentence.start
        return TextClaim(
            kind=kind,
            text=text,
            subject=subject,
            value=value,
            sentence=self._index,
            start=offset + start,
            end=offset + end,
        )
