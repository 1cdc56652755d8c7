"""Prompts: one Markdown file each in `prompts/`, identified by the digest of their text."""

from dataclasses import dataclass
from pathlib import Path

from manifests.digest import digest_bytes

FOLDER = Path(__file__).parent / "prompts"


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """An instruction to a captioner."""

    name: str
    text: str
    lengths: tuple[str, ...] = ()
    """Lengths of the captions that one answer holds (captioner/lengths.py); empty if it is one text."""

    @property
    def digest(self) -> str:
        """16 hex digits; depends on the text only, not on the name."""
        return digest_bytes(self.text.encode(), size=8)


def load_prompt(name: str, folder: str = "", *, lengths: tuple[str, ...] = ()) -> Prompt:
    """Load `<folder>/<name>.md`, or a built-in prompt if `folder` is empty.

    Raises FileNotFoundError, with the available prompts, or ValueError for an empty file.
    """
    root = Path(folder) if folder else FOLDER
    path = root / f"{name}.md"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in root.glob("*.md"))) or "none"
        raise FileNotFoundError(f"prompt {name!r}: {path} does not exist; available prompts: {known}")
    text = path.read_text(encoding="utf-8").strip()
    if not text:
        raise ValueError(f"prompt {name!r}: {path} is empty; write the instruction into it")
    return Prompt(name=name, text=text, lengths=lengths)
