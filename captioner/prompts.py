"""Prompts: one Markdown file each below `prompts/`, named by the digest of its text."""

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

FOLDER = Path(__file__).parent / "prompts"


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What a captioner is asked."""

    name: str
    text: str

    @property
    def digest(self) -> str:
        """16 hex digits of the text alone: a renamed prompt stays the same, a changed comma makes another."""
        return blake2b(self.text.encode(), digest_size=8).hexdigest()


def load_prompt(name: str, folder: str = "") -> Prompt:
    """Read `<folder>/<name>.md`; the prompts that ship with Kinora when `folder` is empty.

    Raises FileNotFoundError, naming the prompts that exist, and ValueError for an empty file.
    """
    root = Path(folder) if folder else FOLDER
    path = root / f"{name}.md"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in root.glob("*.md"))) or "none"
        raise FileNotFoundError(f"prompt {name!r}: no file {path}. Prompts there: {known}")
    text = path.read_text(encoding="utf-8").strip()
    if not text:
        raise ValueError(f"prompt {name!r}: {path} is empty. Write the instruction in it")
    return Prompt(name=name, text=text)
