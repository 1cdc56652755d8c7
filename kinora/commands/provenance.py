"""Show what a file says of its making: prompt, seed, weights, command."""

from dataclasses import asdict, dataclass

from kinora.cli.result import Exit, Result
from kinora.generation.provenance import read_provenance

POSITIONAL = "file"


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    file: str
    """A video or an image."""


def run(config: Config) -> Result:
    """Read the tags of a file; exit with code 3 where Kinora left none. Raises ValueError for no media."""
    made = read_provenance(config.file)
    if made is None:
        text = f"{config.file}: says nothing of its making; Kinora did not make it, or its tags were lost"
        return Result({"file": config.file, "provenance": None}, text, Exit.NOTHING)
    tags = {name: text for name, text in asdict(made).items() if text}
    lines = [f"{name.replace('_', ' ') + ':':<16} {text}" for name, text in tags.items()]
    return Result({"file": config.file, "provenance": tags}, "\n".join(lines))
