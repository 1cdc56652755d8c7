"""Expand short prompts into dense descriptions, with every fact kept.

With `--model` a language model of transformers or, with `--endpoint`, of a server expands any prompt.
Without, prompts about the simulated worlds are expanded in the words of their captions. A prompt that cannot
be expanded without losing or changing a fact stays as it is.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.text import Text

from captioner.text_config import TextModelConfig
from captioner.upsample import Upsampled
from kinora.cli.result import Exit, Result
from kinora.cli.subconfig import subconfig
from kinora.prompts.expand import expand_prompts
from manifests.ranges import NonNegativeInt
from manifests.replacing import replacing
from manifests.text_files import read_lines

POSITIONAL = "prompt"


@dataclass(frozen=True, kw_only=True)
class Config(TextModelConfig):
    prompt: str = ""
    """Prompt to expand."""
    prompts: str | None = None
    """File of prompts: a line each, or JSON lines with `prompt`, as for `kinora generate --prompts`."""
    out: str | None = None
    """File (also `-o`) for the lines of `--prompts`, with their prompts expanded."""
    still: bool = False
    """Expand to descriptions of pictures, not videos."""
    seed: NonNegativeInt = 0
    """Random seed of what is drawn without a model."""


def run(config: Config) -> Result:
    """Expand; exit with code 3 without a prompt."""
    rows = _rows(config)
    if not rows:
        return Result({"prompts": []}, "no prompt: give one, or a file with --prompts", Exit.NOTHING)
    prompts = [str(row["prompt"]) for row in rows]
    found = expand_prompts(prompts, subconfig(config, TextModelConfig), still=config.still, seed=config.seed)
    data = [asdict(each) | {"expanded": each.is_expanded} for each in found]
    if config.out is not None:
        _write(Path(config.out), rows, found)
    return Result({"prompts": data}, Group(*map(_render, found)))


def _rows(config: Config) -> list[dict[str, Any]]:
    """Return the prompts as JSON objects. Raises ValueError for two kinds, or a line without a prompt."""
    if config.prompts is None:
        if config.out is not None:
            raise ValueError("--out takes the lines of --prompts: give such a file")
        return [{"prompt": config.prompt}] if config.prompt.strip() else []
    if config.prompt:
        raise ValueError("a prompt and --prompts do not go together: put the prompt into the file")
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(read_lines(config.prompts), start=1):
        if not line.strip():
            continue
        row: Any = {"prompt": line.strip()}
        if line.lstrip().startswith("{"):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{config.prompts}, line {number}: no JSON ({error})") from error
        if not isinstance(row.get("prompt"), str):
            raise ValueError(f"{config.prompts}, line {number}: has no text under `prompt`")
        rows.append(row)
    return rows


def _write(path: Path, rows: list[dict[str, Any]], found: list[Upsampled]) -> None:
    """Write the rows with their prompts expanded."""
    lines = [
        json.dumps({**row, "prompt": each.text}, ensure_ascii=False)
        for row, each in zip(rows, found, strict=True)
    ]
    with replacing(path) as partial:
        partial.write_text("\n".join([*lines, ""]), encoding="utf-8")


def _render(found: Upsampled) -> Text:
    text = Text(found.text)
    return text.append(f"\n({found.note})", "dim") if found.note else text
