"""Prompts: one Markdown file each in `prompts/`, identified by the digest of their text."""

from dataclasses import dataclass, replace
from pathlib import Path

from manifests.digest import digest_bytes
from manifests.text_files import read_utf8

FOLDER = Path(__file__).parent / "prompts"
TASKS = FOLDER / "tasks"
"""Prompts that are no captioner's: questions about clips and claims, expansion of prompts, AutoDQ."""
_STILL = "{name}_still"
_LANGUAGE = "Write the description in {language}."


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """An instruction to a captioner."""

    name: str
    text: str
    lengths: tuple[str, ...] = ()
    """Lengths of the captions that one answer holds (captioner/lengths.py); empty if it is one text."""
    choices: tuple[str, ...] = ()
    """Words, or single letters, of which an answer is one (captioner/choices.py); empty for a text."""
    asks_parts: bool = False
    """Whether the answer lists the parts of the picture (captioner/parts.py), not a caption."""
    still: "Prompt | None" = None
    """The prompt of clips of one frame; None if it is the same."""
    language: str = ""
    """Language that an answer must be in, in English (`French`); empty if it may be in any."""

    @property
    def digest(self) -> str:
        """16 hex digits; depends on the text only, not on the name."""
        return digest_bytes(self.text.encode(), size=8)

    @property
    def wants_json(self) -> bool:
        """Whether the answer may be a JSON object: of several lengths, or of parts."""
        return bool(self.lengths) or self.asks_parts

    def for_frames(self, num_frames: int) -> "Prompt":
        """Return the prompt of a clip of so many frames."""
        return self.still if self.still is not None and num_frames == 1 else self

    def expecting(self, language: str) -> "Prompt":
        """Return the prompt, and that of stills, with the language that answers must be in."""
        still = None if self.still is None else self.still.expecting(language)
        return replace(self, language=language, still=still)


def load_task(name: str) -> str:
    """Return the text of a prompt of `TASKS`."""
    return load_prompt(name, str(TASKS)).text


def load_prompt(
    name: str,
    folder: str = "",
    *,
    lengths: tuple[str, ...] = (),
    asks_parts: bool = False,
    language: str = "",
    stills: bool = False,
) -> Prompt:
    """Load `<folder>/<name>.md`, or a built-in prompt if `folder` is empty.

    Args:
        language: language of the captions, in English (`French`); whatever the prompt leads to by default.
        stills: also load `<name>_still.md`, if there is one, for clips of one frame.

    Raises FileNotFoundError, with the available prompts, or ValueError for an empty file.
    """
    root = Path(folder) if folder else FOLDER
    path = root / f"{name}.md"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in root.glob("*.md"))) or "none"
        raise FileNotFoundError(f"prompt {name!r}: {path} does not exist; available prompts: {known}")
    text = read_utf8(path).strip()
    if not text:
        raise ValueError(f"prompt {name!r}: {path} is empty; write the instruction into it")
    if language:
        text = f"{text}\n\n{_LANGUAGE.format(language=language)}"
    other, still = _STILL.format(name=name), None
    if stills and (root / f"{other}.md").is_file():
        still = load_prompt(other, folder, lengths=lengths, asks_parts=asks_parts, language=language)
    return Prompt(
        name=name, text=text, lengths=lengths, asks_parts=asks_parts, still=still, language=language
    )
