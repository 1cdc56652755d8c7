"""Find and take off what a chat template, a tokenizer or a reasoning model leaves in an answer.

What belongs to a model is known from its tokenizer and chat template (`Markup.of`). The forms that control
tokens share (`<|…|>`, `[INST]`, `<tag>`) are known for all models. Markup in quotation marks is part of a
caption: a screen may show it.
"""

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from captioner.phrasebook import QUOTED, without_quotes

_FORMS = re.compile(
    r"<[|｜][^<>|｜\n]{1,60}[|｜]>"  # <|im_end|>, <｜end▁of▁sentence｜>
    r"|◁[^◁▷\n]{1,40}▷"
    r"|</?[A-Za-z_][\w:.-]{0,40}(?:\s[^<>\n]{0,80})?/?>"  # <s>, </think>, <image>, <loc_12>, <start_of_turn>
    r"|<0x[0-9A-Fa-f]{2}>"
    r"|<</?SYS>>"
    r"|\[/?(?:INST|SYS|SYSTEM_PROMPT|THINK|THOUGHT|REASONING|ANSWER|IMG|IMG_BREAK|IMG_END|IMAGE|VIDEO|PAD|UNK|CLS|SEP"
    r"|MASK|BOS|EOS|END|gMASK|sMASK|TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS|unused\d+)\]"
    r"|[▁Ġ]\w+[▁Ġ]\w+|Ċ|�"  # pieces of a tokenizer, bytes that are no text
    r"|&(?:lt|gt|amp|quot|nbsp|#\d{1,6}|#x[0-9a-fA-F]{1,5});"
)
_ASIDES = "think|thought|reason|reflect|observ|scratchpad|analysis|cot|tool_call|tool_response|details"
_THOUGHT = rf"(?:[\w:.-]*(?:{_ASIDES})[\w:.-]*)"
_OPEN = re.compile(
    rf"<\s?[|｜]?(?:begin_of_|START_)?{_THOUGHT}(?<!_end)(?:\s[^<>\n]{{0,80}})?\s?[|｜]?>|◁{_THOUGHT}▷"
    r"|\[(?:THINK|THOUGHT|REASONING)\]|\A\s*Thinking\.\.\.[ \t]*(?=\n)",
    re.IGNORECASE,
)
_CLOSE = re.compile(
    rf"<\s?/[|｜]?{_THOUGHT}\s?[|｜]?(?:>|(?=\n))|<[|｜](?:/|end_of_|END_){_THOUGHT}[|｜]>"
    rf"|<[|｜]{_THOUGHT}_end[|｜]>"
    rf"|◁/{_THOUGHT}▷|\[/(?:THINK|THOUGHT|REASONING)\]"
    r"|(?:\A|(?<=\n))\.\.\.\s?done thinking\.?[ \t]*(?=\n|\Z)",
    re.IGNORECASE,
)
_PLAIN_CHANNEL = re.compile(
    r"\A\s*(?:analysis|commentary)(?=[A-Z0-9\"'(]).*?(?:assistant\s?final(?=[^a-z])|\Z)", re.DOTALL
)
"""Channels whose control tokens were dropped: `analysisThe user…assistantfinalA dog…`."""
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)\s*(?:<\|message\|>)?|<\|start\|>\s*\w+\s*", re.IGNORECASE)
_ANSWER = re.compile(
    r"<[|｜]?(?:begin_of_)?(answer|caption|final_answer|final|output|response|result|description|box|solution|conclusion)[|｜]?>"
    r"(.*?)(?:<[|｜]?/?(?:end_of_)?\1[|｜]?>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_BOXED = re.compile(r"\\boxed\{(.*)\}\s*\Z|\\boxed\{\\text\{(.*)\}\}\s*\Z", re.DOTALL)
_FENCE = re.compile(
    r"(?:\A|\n)[ \t]*(```|~~~)[\w+-]*[ \t]*\n(.*?)(?:\n[ \t]*\1|\Z)|(?:\A)\s*(```)(.*?)(?:```\s*)\Z",
    re.DOTALL,
)
_EMPHASIS = re.compile(r"(?<!\w)(\*{1,3}|_{2,3})(?=\S)([^*\n]+?)(?<=\S)\1(?!\w)")
_HEADING = re.compile(
    r"^[ \t]{0,3}#{1,6}[ \t]+.*(?:\n+|\Z)|^[ \t]*(?:-{3,}|\*{3,}|_{3,})[ \t]*(?:\n+|\Z)", re.MULTILINE
)
_ASKED = re.compile(
    r"\s*(?:<s>|<bos>|<\|begin_of_text\|>)?\s*(?:<\|?(?:im_start|start_header_id|start_of_turn|start_of_role)\|?>)?\s*"
    r"(?:(?:user|human|system)\s*(?::|\n|<)|<[|｜](?:user|human|system)[|｜]>|\[INST\]|<<SYS>>)",
    re.IGNORECASE,
)
"""The beginning of a turn of another speaker."""
_ANSWERED = re.compile(
    r"\[/INST\]|<[|｜]?(?:assistant|model|bot)[|｜]?>"
    r"|(?:\A|\n|>)[ \t]*(?:assistant|model|ai|bot|gpt)\b[ \t]*:?",
    re.IGNORECASE,
)
"""The beginning of a turn of the model."""
_SPEAKER = re.compile(r"\b(?:USER|ASSISTANT|HUMAN|SYSTEM):(?=\s)")
_QUOTE_MARK = 0xF0000
"""First of the private characters that stand for quotations while markup is taken off."""
_TURN = re.compile(
    r"im_(start|end)|eot|eom|eos|bos|end.{0,3}of.{0,3}(text|turn|sentence|utterance)|start_of_turn|turn_end|end_of_msg"
    r"|header_id|</?s>|INST|<<|SYS|user|assistant|system|\bend\b|\bpad\b|endoftext|return|message|ipython",
    re.IGNORECASE,
)
"""Tokens between turns; other tokens (places of images, boxes) stand inside an answer."""
_HASHTAGS = re.compile(r"(?:\s+#[^\W\d]\w*){2,}\s*\Z")
_BULLET = re.compile(r"\A\s*[-*•>]\s+(?=\S)")
_THOUGHT_LABEL = re.compile(
    r"\A\W*(?:thinking|thoughts?|reasoning|analysis|rationale|observations?)\b[^\n:]{0,40}:", re.IGNORECASE
)
_ANSWER_LABEL = re.compile(
    r"^\W*(?:final )?(?:answer|caption|description|response|output)\b[^\n:]{0,20}:[*_]*",
    re.IGNORECASE | re.MULTILINE,
)
_WRITING = (
    _EMPHASIS,
    _HEADING,
    _HASHTAGS,
    _BULLET,
    _THOUGHT_LABEL,
    re.compile(r"\\(?:\[|\(|begin\{|text\{)"),
    re.compile(r"\A\s*(?:\{\s*\"[^\"]*\"\s*:|\[\s*\".*\]\s*\Z)", re.DOTALL),
)
"""Markdown, formulas and JSON."""
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\ud800-\udfff]")
"""Control characters, byte order marks, and halves of characters, which UTF-8 cannot write."""
_ROLES = (
    "assistant",
    "user",
    "system",
    "human",
    "model",
    "ai",
    "bot",
    "gpt",
    "chatbot",
    "tool",
    "developer",
    "falcon",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Markup:
    """Control tokens and role names of one model."""

    tokens: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset(_ROLES)

    @classmethod
    def of(cls, processor: Any) -> "Markup":
        """Return the markup of a transformers processor: its tokens, and the roles of its chat template."""
        tokenizer = getattr(processor, "tokenizer", processor)
        tokens = {str(token) for token in getattr(tokenizer, "all_special_tokens", ())}
        added = getattr(tokenizer, "added_tokens_decoder", {}).values()
        tokens |= {token.content for token in added if token.special or _looks_like_token(token.content)}
        tokens = {token for token in tokens if any(map(str.isalnum, token)) and not token.isalnum()}
        template = (
            getattr(processor, "chat_template", None) or getattr(tokenizer, "chat_template", None) or ""
        )
        return cls(
            tokens=frozenset(tokens), roles=frozenset({*_ROLES, *_template_roles(str(template), tokens)})
        )


def _looks_like_token(text: str) -> bool:
    return bool(_FORMS.fullmatch(text.strip())) or bool(re.fullmatch(r"[<\[◁].{1,60}[>\]▷]", text.strip()))


def _template_roles(template: str, tokens: Iterable[str]) -> set[str]:
    """Return the words that a template writes right after a control token, or in capitals before a colon."""
    starts = "|".join(re.escape(token) for token in sorted(tokens, key=len, reverse=True)) or r"(?!)"
    after = re.findall(rf"(?:{starts})([a-z]{{2,16}})(?=\\n|['\"\n:]|<)", template)
    return {word.lower() for word in (*after, *re.findall(r"\b([A-Z]{4,16}):", template))}


def printable(text: str) -> str:
    """Return `text` without characters that no reader shows and no file can hold."""
    return _UNPRINTABLE.sub("", text)


def find_markup(text: str, markup: Markup) -> str:
    """Return the first markup in `text`, or an empty string."""
    if found := next((token for token in markup.tokens if token in text), ""):
        return found
    unquoted = without_quotes(text)
    thought = _OPEN.search(unquoted) or _CLOSE.search(unquoted) or _PLAIN_CHANNEL.match(unquoted)
    if match := thought or _FORMS.search(unquoted) or re.search(r"```|~~~|\\boxed\{|\\text\{", unquoted):
        return match[0]
    if match := next((found for form in _WRITING if (found := form.search(unquoted))), None):
        return match[0].strip()
    return role.strip() if (role := _role(unquoted, markup)) else ""


def strip_markup(text: str, markup: Markup, *, markdown: bool = True) -> str:
    """Return the answer inside `text`, without thoughts, control tokens, role names, tags and Markdown.

    Of a text with several turns only the first is the answer. What cannot be told apart stays in.

    Args:
        markdown: whether headings and emphasis are taken off too.
    """
    quotes: list[str] = []

    def keep(match: re.Match[str]) -> str:
        quotes.append(match[0])
        return chr(_QUOTE_MARK + len(quotes) - 1)

    text = QUOTED.sub(lambda match: keep(match) if _FORMS.search(match[0]) else match[0], printable(text))
    text = _strip(text, markup, markdown=markdown)
    return "".join(
        quotes[ord(char) - _QUOTE_MARK] if 0 <= ord(char) - _QUOTE_MARK < len(quotes) else char
        for char in text
    )


def _strip(text: str, markup: Markup, *, markdown: bool) -> str:
    text = html.unescape(text) if re.search(r"&(lt|gt|amp|quot|#\d+|#x[0-9a-fA-F]+);", text) else text
    text = without_thoughts(text)
    if answers := _ANSWER.findall(text):
        text = answers[-1][1]
    if formula := re.fullmatch(r"\s*\\[\[(](.*)\\[\])]\s*", text, re.DOTALL):
        text = formula[1]
    if boxed := _BOXED.search(text):
        text = re.sub(r"\A\\text\{(.*)\}\Z", r"\1", boxed[1] or boxed[2], flags=re.DOTALL)
    text = _first_turn(text, markup)
    if fenced := _FENCE.search(text):
        text = fenced[2] or fenced[4] or ""
    if not markdown:
        return text.strip()
    if _THOUGHT_LABEL.match(text) and (labels := [*_ANSWER_LABEL.finditer(text)]):
        text = text[labels[-1].end() :]
    text = _HEADING.sub("", text) if _HEADING.sub("", text).strip() else text.strip("# \t\n")
    text = _EMPHASIS.sub(r"\2", text)
    text = _HASHTAGS.sub("", text.strip())
    return _BULLET.sub("", text) if "\n" not in text else text


def thinks_only(text: str) -> bool:
    """Return whether `text` begins a thought that it does not end, or ends with one."""
    forms = (_OPEN, _CLOSE, _CHANNEL, _PLAIN_CHANNEL)
    return any(form.search(text) for form in forms) and not without_thoughts(text).strip()


def without_thoughts(text: str) -> str:
    """Return `text` without what a reasoning model thinks before it answers."""
    if channels := [*_CHANNEL.finditer(text)]:
        final = [channel for channel in channels if (channel[1] or "").lower() == "final"]
        text = text[final[-1].end() :] if final else text[: channels[0].start()]
    text = _PLAIN_CHANNEL.sub("", text)
    text = re.sub(r"<unused\d+>\s*thought\b.*?(?:<unused\d+>|\Z)", "", text, flags=re.DOTALL)
    while closed := [*_CLOSE.finditer(text)]:
        opened = _OPEN.search(text, 0, closed[0].start())
        text = text[: opened.start() if opened else 0] + text[closed[0].end() :]
    unclosed = _OPEN.search(text)
    return text[: unclosed.start()] if unclosed else text


def _first_turn(text: str, markup: Markup) -> str:
    """Return the first part between turns that holds more than a role name, without control tokens.

    Of a text that begins with the user's turn, the first turn of the model.
    """
    if _ASKED.match(text) and (begins := _ANSWERED.search(text)):
        text = text[begins.end() :]
    begin, turns = 0, list[str]()
    for token in _token_pattern(markup).finditer(text):
        if _TURN.search(token[0]):
            turns.append(text[begin : token.start()])
            begin = token.end()
    for turn in (*turns, text[begin:]):
        plain, removed = _token_pattern(markup).subn(" ", turn)
        if removed:
            plain = re.sub(r" +(?=[.,;:!?])", "", re.sub(r"[ \t]+", " ", plain))
        if answer := _without_roles(plain, markup):
            return answer
    return ""


def _without_roles(turn: str, markup: Markup) -> str:
    """Return a turn without its own role name, up to that of the next speaker."""
    turn = turn.strip().lstrip(":").lstrip()
    while role := _role(turn, markup):
        if not turn.startswith(role.strip()):
            return turn[: turn.index(role)].strip()
        turn = turn.removeprefix(role.strip()).lstrip(" :\n\t")
    return "" if turn.lower() in markup.roles else turn


@lru_cache(maxsize=8)
def _token_pattern(markup: Markup) -> re.Pattern[str]:
    """Return the pattern of the model's tokens and of those with a known form."""
    tokens = sorted((t for t in markup.tokens if not _FORMS.fullmatch(t)), key=len, reverse=True)
    own = "|".join(re.escape(token) for token in tokens)
    return re.compile(f"{own}|{_FORMS.pattern}" if own else _FORMS.pattern)


def _role(text: str, markup: Markup) -> str:
    """Return a role name on its own line, or before a colon at the start of a line; else an empty string."""
    names = "|".join(sorted(map(re.escape, markup.roles), key=len, reverse=True))
    speakers = "|".join(
        sorted({*markup.roles} - {"model", "tool", "human", "system", "bot"}, key=len, reverse=True)
    )
    alone = rf"(?:\A|\n)[ \t]*(?:###?[ \t]*)?(?:{names})[ \t]*:?[ \t]*(?=\n|\Z)"
    speakers += r"|(?:[\w-]+[ \t]+){1,3}assistant|###[ \t]*\w+"
    before = rf"(?:\A|\n)[ \t]*(?:###?[ \t]*)?(?:{speakers})[ \t]*:(?=\s)"
    match = re.search(f"{alone}|{before}", text, re.IGNORECASE) or _SPEAKER.search(text)
    return match[0] if match else ""
