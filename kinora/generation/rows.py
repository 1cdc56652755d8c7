"""The lines of a prompts file: what each asks for, the name of its file, and the report on all.

A line is a JSON object; in a file that ends in `.txt`, a prompt.

A file is named by its prompt, its seed and a digest of all that it is made from, so that a file that is there
is done, wherever its line stands.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

from jsonargparse import ArgumentError, ArgumentParser

from kinora.generation.config import FILES, RequestConfig, to_request
from kinora.generation.request import Request, verb_of
from manifests.digest import digest_file, digest_parts
from manifests.replacing import replacing
from trainer.config import SampleConfig
from video.container import local_path

REPORT = "results.jsonl"
"""Name of the report in the folder of the results."""
PLAIN = ".txt"
"""Ending of a file with a prompt a line."""
_LISTS = ("image", "at_frame")
"""Fields of several values, which a line may also give as one."""
_SLUG_CHARS, _DIGEST_CHARS = 48, 10
_REVISION = "1"
"""Part of every digest: another value makes all videos anew."""


class Row(NamedTuple):
    """A video of a line."""

    line: int
    request: Request
    number: int = 0
    """Which video of its line, from 0."""
    name: str = ""
    """Name in the folder of a layout; empty without one."""


class RowError(NamedTuple):
    """A line, or a video of it, that could not be made, and why."""

    line: int
    error: str


class RowResult(NamedTuple):
    """A file that was made, now or before."""

    line: int
    out: str
    seed: int
    prompt: str
    notes: tuple[str, ...] = ()
    name: str = ""


def read_rows(path: Path, defaults: RequestConfig, num_videos: int = 1) -> Iterator[Row | RowError]:
    """Yield the videos of each line, `num_videos` of it with seeds that count up, or its error.

    Args:
        defaults: options of lines that do not name them.

    Raises FileNotFoundError or OSError for a file that cannot be read.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(RequestConfig, as_group=False)
    with path.open(encoding="utf-8", errors="replace") as file:
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                plain = path.suffix.lower() == PLAIN
                config = replace(defaults, prompt=text.strip()) if plain else _parse(parser, text, defaults)
                first = to_request(config, seed=config.seed or 0, folder=path.parent)
                seeds = range(first.seed, first.seed + num_videos)
                yield from [Row(line, replace(first, seed=seed), number) for number, seed in enumerate(seeds)]
            except (ValueError, TypeError, ArgumentError) as error:
                yield RowError(line, _one_line(error))


def row_digest(request: Request, settings: Sequence[object]) -> str:
    """Return the digest of all that a video is made from, the content of its inputs included.

    Args:
        settings: the sampler's configuration, the digest of the weights, and what else changes the file.

    Raises OSError for an input that cannot be read.
    """
    values: list[object] = []
    for field in fields(Request):
        value = getattr(request, field.name)
        if field.name in FILES and value:
            value = [digest_file(local_path(path)) for path in ([value] if isinstance(value, str) else value)]
        values.append((field.name, value))
    return digest_parts(_REVISION, values, *settings)


def row_settings(config: SampleConfig, pixels_digest: str, *, new_part_only: bool) -> tuple[object, ...]:
    """Return the settings of a row's digest."""
    named = [(field.name, getattr(config, field.name)) for field in fields(config)]
    return (named, pixels_digest, new_part_only)


def row_file(folder: Path, request: Request, digest: str, ending: str) -> Path:
    """Return the file of a row: `PROMPT-SEED-DIGEST.ENDING`."""
    slug = re.sub(r"[\W_]+", "-", request.prompt)[:_SLUG_CHARS].strip("-").lower()
    ending = "png" if request.frames == 1 else ending
    return folder / f"{slug or 'video'}-{request.seed}-{digest[:_DIGEST_CHARS]}.{ending}"


def write_report(folder: Path, results: Sequence[RowResult | RowError]) -> Path:
    """Write a line of JSON for each result, in the order of the lines, and return the file."""
    path = folder / REPORT
    rows = sorted(results, key=lambda result: result.line)
    with replacing(path) as partial:
        partial.write_text("".join(json.dumps(row._asdict(), ensure_ascii=False) + "\n" for row in rows))
    return path


def _parse(parser: ArgumentParser, text: str, defaults: RequestConfig) -> RequestConfig:
    """Return the configuration of a line. Raises ValueError or ArgumentError."""
    try:
        given = json.loads(text)
    except ValueError as error:
        raise ValueError(
            f'no JSON ({error}): write an object such as {{"prompt": "…"}}, or prompts into a {PLAIN} file'
        ) from None
    if not isinstance(given, dict):
        raise ValueError('no JSON object: write one such as {"prompt": "…"}')
    row = {str(name).replace("-", "_"): value for name, value in cast(dict[Any, Any], given).items()}
    verb = row.pop("verb", None)
    if unknown := row.keys() - RequestConfig.__dataclass_fields__.keys():
        raise ValueError(f"unknown key {sorted(unknown)[0]!r}: the keys are the options of `kinora generate`")
    row |= {name: [row[name]] for name in _LISTS if isinstance(row.get(name), str | int)}
    parsed = parser.instantiate(parser.parse_object(row))
    config = replace(defaults, **{name: parsed[name] for name in row})
    return config if verb is None else _with_verb(config, verb)


def _with_verb(config: RequestConfig, verb: Any) -> RequestConfig:
    """Apply the key `verb`. Raises ValueError for one that the other keys do not mean."""
    if verb == "extend" and config.extend is None:
        config = replace(config, extend="forward")
    elif verb == "loop":
        config = replace(config, loop=True)
    meant = verb_of(to_request(config, seed=0))
    if meant != verb:
        raise ValueError(f"verb is {verb!r}, but the other keys mean {meant!r}")
    return config


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
