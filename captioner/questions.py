"""Questions about a clip, from YAML files: answered by yes, no or unsure, or by one of several choices."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Literal, cast, get_args

import yaml

from captioner.choices import YES_NO
from captioner.prompts import Prompt, load_task
from manifests.digest import digest_parts

BUILT_IN = Path(__file__).with_name("questions.yaml")
MAX_QUESTIONS = 60
"""Questions of one file."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_FIELDS = {"ask", "of", "choices"}
Subjects = Literal["all", "videos"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One question about a clip."""

    name: str
    ask: str
    """The question, as the model reads it."""
    of: Subjects = "all"
    """Clips that it makes sense for; `videos` leaves out clips of one frame."""
    choices: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names of the answers, with what each means; empty for yes, no and unsure."""

    @property
    def digest(self) -> str:
        """Digest of what the model is asked, and of which clips."""
        return digest_parts("question", self.prompt.text, self.prompt.for_frames(1).text, self.of)

    @property
    def prompt(self) -> Prompt:
        """The prompt, of which an answer is one of `Prompt.choices`."""
        return self._prompt("video", still=self._prompt("picture"))

    def answer(self, choice: str) -> str:
        """Return the answer that one of the prompt's choices stands for."""
        return [*self.choices][ascii_uppercase.index(choice)] if self.choices else choice

    def _prompt(self, subject: str, still: Prompt | None = None) -> Prompt:
        task = load_task("question_choices" if self.choices else "question")
        listed = "\n".join(
            f"{letter}. {name.replace('_', ' ')}: {meaning}"
            for letter, (name, meaning) in zip(ascii_uppercase, self.choices.items(), strict=False)
        )
        text = task.replace("{subject}", subject).replace("{choices}", listed)
        text = text.replace("{question}", self.ask)
        choices = tuple(ascii_uppercase[: len(self.choices)]) or YES_NO
        return Prompt(name=self.name, text=text, choices=choices, still=still)


def load_questions(path: str = "") -> tuple[Question, ...]:
    """Load the questions of a YAML file, by default the built-in ones.

    Raises FileNotFoundError, or ValueError that names the question, the field and the remedy.
    """
    file = Path(path) if path else BUILT_IN
    try:
        content: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"--questions {file}: no such file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"--questions {file}: is no YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"--questions {file}: holds no questions; write `name:` and, below it, `ask: ...`")
    named = cast(Mapping[Any, Any], content)
    if len(named) > MAX_QUESTIONS:
        raise ValueError(f"--questions {file}: holds {len(named)} questions, the most are {MAX_QUESTIONS}")
    return tuple(build_question(str(name), fields, str(file)) for name, fields in named.items())


def build_question(name: str, fields: Any, where: str) -> Question:
    """Build a question from its fields in a file. Raises ValueError if they are not valid."""
    place = f"{where}: question {name}"
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{place}: a name is lower-case letters, digits and underscores, at most 40, a letter first"
        )
    if not isinstance(fields, Mapping):
        raise ValueError(f"{place}: give it fields, `ask: ...` at least")
    values = cast(Mapping[Any, Any], fields)
    if unknown := sorted(map(str, values.keys() - _FIELDS)):
        raise ValueError(f"{place}: unknown field {unknown[0]}; there are {', '.join(sorted(_FIELDS))}")
    ask, of, choices = values.get("ask"), values.get("of", "all"), values.get("choices") or {}
    if not isinstance(ask, str) or not ask.strip():
        raise ValueError(f"{place}: ask: write the question as a text")
    if of not in get_args(Subjects):
        raise ValueError(f"{place}: of: {of!r} is none of {', '.join(get_args(Subjects))}")
    return Question(name=name, ask=ask.strip(), of=of, choices=_choices(choices, place))


def _choices(choices: Any, place: str) -> dict[str, str]:
    if not isinstance(choices, Mapping):
        raise ValueError(f"{place}: choices: give each a name and, behind a colon, what it means")
    named = {_text(name): _text(meaning) for name, meaning in cast(Mapping[Any, Any], choices).items()}
    if named and not 2 <= len(named) <= len(ascii_uppercase):
        raise ValueError(f"{place}: choices: give 2 to {len(ascii_uppercase)} of them, not {len(named)}")
    for name, meaning in named.items():
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{place}: choices: {name!r}: a name is lower-case letters, digits and underscores; write "
                "yes and no in quotation marks"
            )
        if not meaning:
            raise ValueError(f"{place}: choices: {name}: write what it means")
    return named


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else f"({value!r})" if value is not None else ""
