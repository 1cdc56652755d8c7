"""Lay out the videos of a prompts file as VBench reads them: `PROMPT-INDEX.mp4`, with nothing else beside.

VBench (Huang et al. 2024, arXiv 2311.17982) takes the ending of its videos from any file in the folder and
finds them by name; VBench-2.0 (Zheng et al. 2025, arXiv 2503.21755) cuts prompts to 180 characters.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Literal

from kinora.generation.request import Request
from kinora.generation.rows import Row, RowError, RowResult
from manifests.replacing import replacing

Layout = Literal["flat", "vbench", "vbench2"]
_PROMPT_CHARS: dict[str, int | None] = {"vbench": None, "vbench2": 180}
"""Characters of a prompt that a name holds."""
_NAME_BYTES = 255
"""Longest name of a file on today's file systems."""


class NamedRows:
    """Gives rows the names of a layout. `names`: all that were given."""

    def __init__(self, layout: Layout, ending: str) -> None:
        self._layout: Layout = layout
        self._ending = ending
        self._requests: dict[str, Request] = {}

    @property
    def names(self) -> set[str]:
        return {*self._requests}

    def name(self, rows: Iterator[Row | RowError]) -> Iterator[Row | RowError]:
        """Yield the rows, named; an error for a prompt that is no name, or whose name another row has."""
        for row in rows:
            if isinstance(row, RowError):
                yield row
                continue
            try:
                name = vbench_name(row.request.prompt, row.number, self._ending, self._layout)
            except ValueError as error:
                yield RowError(row.line, str(error))
                continue
            if _values(self._requests.setdefault(name, row.request)) == _values(row.request):
                yield row._replace(name=name)
            else:
                yield RowError(row.line, f"another line asks for another {name!r}: a prompt once a file")


def _values(request: Request) -> list[object]:
    return [getattr(request, field.name) for field in fields(request)]


def vbench_name(prompt: str, number: int, ending: str, layout: Layout) -> str:
    """Return the name of a file. Raises ValueError for a prompt that no name of a file can hold."""
    name = f"{prompt[: _PROMPT_CHARS[layout]]}-{number}.{ending}"
    if "/" in name or "\0" in name:
        raise ValueError(f"the prompt is the name of the file for VBench, which cannot hold `/`: {prompt}")
    if (size := len(os.fsencode(name))) > _NAME_BYTES:
        raise ValueError(
            f"the prompt is the name of the file for VBench, and has {size} bytes of at most {_NAME_BYTES}; "
            "layout vbench2 cuts it to 180 characters"
        )
    return name


def lay_out(folder: Path, names: set[str], results: Sequence[RowResult | RowError]) -> Path:
    """Link the results into a folder under their names and return it; `names` without a result are removed.

    Where a file system has no hard links, files are copied. Raises OSError for a folder that takes no files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = {result.name: Path(result.out) for result in results if isinstance(result, RowResult)}
    for name in names - made.keys():
        (folder / name).unlink(missing_ok=True)
    for name, source in made.items():
        path = folder / name
        with suppress(OSError):
            if path.samefile(source):
                continue
        with replacing(path) as partial:
            _link(source, partial)
    return folder


def _link(source: Path, path: Path) -> None:
    try:
        path.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, path)
