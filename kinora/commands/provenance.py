"""Show what a file says of its making: prompt, seed, weights, command; and whether it was changed since.

The manifest of C2PA is none, valid, changed (exit code 4), expired or invalid; reading it needs the extra
`provenance`. Where Kinora left neither tags nor a manifest, the exit code is 3.
"""

from dataclasses import asdict, dataclass

from kinora.cli.result import Exit, Result
from kinora.generation.credentials import read_credentials
from kinora.generation.provenance import read_provenance

POSITIONAL = "file"


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    file: str
    """A video or an image."""
    trust: str | None = None
    """PEM file with the certificates of authorities whose signatures you trust."""


def run(config: Config) -> Result:
    """Read the tags and the manifest of a file. Raises ValueError for no media."""
    made = read_provenance(config.file)
    credentials = read_credentials(config.file, config.trust)
    manifest = f"{'manifest:':<16} {credentials.to_text()}"
    data = {"file": config.file, "manifest": asdict(credentials)}
    if made is None:
        text = f"{config.file}: says nothing of its making; Kinora did not make it, or its tags were lost"
        code = Exit.INTEGRITY if credentials.state == "changed" else Exit.NOTHING
        return Result(data | {"provenance": None}, f"{text}\n{manifest}", code)
    tags = {name: text for name, text in asdict(made).items() if text}
    lines = [f"{name.replace('_', ' ') + ':':<16} {text}" for name, text in tags.items()]
    code = Exit.INTEGRITY if credentials.state == "changed" else Exit.DONE
    return Result(data | {"provenance": tags}, "\n".join([*lines, manifest]), code)
