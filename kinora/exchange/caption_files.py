"""Read caption files row by row: JSONL, CSV, Parquet, and sidecar text beside the source files.

What cannot be read is a `Problem` with its file and line, and reading goes on after it.
"""

import csv
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.records import LENGTHS

SIDECARS = (".txt", ".caption")
TABLES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
SIDECAR_KEYS = ("absolute path", "path")
"""Fields of the rows of sidecars: their absolute path, and that below the folder, without the ending."""
_BYTE_ORDER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x00\x00\xfe\xff": "UTF-32"}
_BATCH_ROWS = 4096
HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_JSON_HINT = (
    ". For an export of Label Studio pass `--format label-studio`; of other JSON write one object per line "
    "(.jsonl)"
)
_MAX_RECORD_LINES = 1000
"""Lines of one CSV record; a longer one has a quotation mark that nothing closes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of a caption file."""

    file: str
    line: int
    """From 1; in Parquet, the number of the row."""
    cells: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A row that cannot be used."""

    file: str
    line: int
    message: str


class CaptionFileError(ValueError):
    """A caption file cannot be read at all. The message names it and the remedy."""


def caption_files(path: str) -> list[Path]:
    """Return the caption files at `path`: itself, or those below a folder, by name.

    Raises CaptionFileError, with what is expected, if there are none.
    """
    root = Path(path).expanduser()
    if "://" in path:
        raise CaptionFileError(f"{path}: caption files are read from a disk; copy them to a folder first")
    if not root.exists():
        raise CaptionFileError(f"{path}: no such file or folder")
    expected = ", ".join((*SIDECARS, *TABLES))
    if not root.is_dir():
        if root.suffix.lower() not in (*SIDECARS, *TABLES):
            hint = _JSON_HINT if root.suffix.lower() == ".json" else ""
            raise CaptionFileError(f"{path}: not a caption file; the endings are {expected}{hint}")
        return [root]
    found = sorted(each for each in _walk(root) if each.suffix.lower() in (*SIDECARS, *TABLES))
    if not found:
        raise CaptionFileError(f"{path}: no caption file in this folder; the endings are {expected}")
    return found


def read_rows(
    path: Path, root: Path, columns: Callable[[str], bool] = lambda name: True
) -> Iterator[Row | Problem]:
    """Yield the rows of a caption file, and a problem for each that cannot be read.

    Args:
        root: folder that the paths of sidecars are relative to.
        columns: which columns of Parquet to read.

    Raises CaptionFileError for a file that cannot be read at all.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        yield from _parquet(path, columns)
        return
    with path.open("rb") as file:
        head = file.read(4)
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            raise CaptionFileError(f"{path}: is {encoding}; save it as UTF-8")
    if suffix in SIDECARS:
        yield _sidecar(path, root)
    elif suffix in (".csv", ".tsv"):
        yield from _csv(path, "\t" if suffix == ".tsv" else ",")
    else:
        yield from _jsonl(path)


def cell(cells: Mapping[str, Any], name: str) -> Any:
    """Return the value of a field, None if there is none. A dot leads into nested fields and lists."""
    if name in cells:
        return cells[name]
    value: Any = cells
    for part in name.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def _sidecar(path: Path, root: Path) -> Row | Problem:
    """Return the text of `NAME.txt`, or of one length in `NAME.short.txt`, as a row."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return Problem(file=str(path), line=line, message=_not_utf8(error))
    stem = path.with_suffix("")
    length = stem.suffix.lower().removeprefix(".")
    if length in LENGTHS:
        stem = stem.with_suffix("")
    keys = (str(stem.absolute()), stem.relative_to(root).as_posix())
    name = length if length in LENGTHS else "text"
    return Row(file=str(path), line=1, cells={**dict(zip(SIDECAR_KEYS, keys, strict=True)), name: text})


def _jsonl(path: Path) -> Iterator[Row | Problem]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            about: dict[str, Any] = {"file": str(path), "line": number}
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                if not text.strip():
                    continue
                value = json.loads(text)
            except UnicodeDecodeError as error:
                yield Problem(**about, message=_not_utf8(error))
                continue
            except (ValueError, RecursionError) as error:
                problem = getattr(error, "msg", str(error))
                yield Problem(**about, message=f"is not JSON ({problem}); write one object per line")
                continue
            if not isinstance(value, Mapping):
                yield Problem(**about, message="is not a JSON object; write one object per line")
            else:
                yield _checked(Row(**about, cells=value), text)


def _checked(row: Row, text: str) -> Row | Problem:
    """Return a row, or a problem if its JSON holds half a character, which UTF-8 cannot write."""
    if r"\ud" in text.lower() and HALF_CHARACTER.search(json.dumps(row.cells, ensure_ascii=False)):
        message = r"holds half a character, such as \ud83d alone; write whole characters"
        return Problem(file=row.file, line=row.line, message=message)
    return row


def _csv(path: Path, delimiter: str) -> Iterator[Row | Problem]:
    """Read a CSV file. After a record that is broken, go on at the line after its first one."""
    lines = _Lines(path)
    header = next(iter(_records(lines, delimiter)), None)
    if header is None:
        raise CaptionFileError(f"{path}: is empty; the first line names the columns")
    if isinstance(header[1], str):
        raise CaptionFileError(f"{path}: line 1 {header[1]}")
    names = header[1]
    if len(names) == 1 and re.search("[;\t|]", names[0]):
        raise CaptionFileError(
            f"{path}: line 1 has one column, {names[0]!r}; separate columns by "
            + ("tabs" if delimiter == "\t" else "commas")
        )
    for line, cells in _records(lines, delimiter):
        about: dict[str, Any] = {"file": str(path), "line": line}
        if isinstance(cells, str):
            yield Problem(**about, message=cells)
        elif len(cells) != len(names):
            if lines.num_taken > 1:
                lines.push_back()
            message = f"has {len(cells)} cells, and the first line has {len(names)}; quote cells with commas"
            yield Problem(**about, message=message)
        elif any(HALF_CHARACTER.search(each) for each in cells):
            yield Problem(**about, message="is not UTF-8; save the file as UTF-8")
        else:
            yield Row(**about, cells=dict(zip(names, cells, strict=True)))


class _Lines:
    """The lines of a text file, of which those of the last record but its first can be read again."""

    def __init__(self, path: Path) -> None:
        self._lines = _decoded_lines(path)
        self._waiting: list[str] = []
        self._taken: list[str] = []
        self.number = 0
        """Of the last line given."""

    @property
    def num_taken(self) -> int:
        """Number of lines of the last record."""
        return len(self._taken)

    def begin_record(self) -> None:
        self._taken = []

    def push_back(self) -> None:
        """Give the lines of the last record but its first again."""
        self._waiting += reversed(self._taken[1:])
        self.number -= len(self._taken) - 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self._taken) == _MAX_RECORD_LINES:
            raise csv.Error("has a quotation mark that nothing closes")
        line = self._waiting.pop() if self._waiting else next(self._lines)
        self.number += 1
        self._taken.append(line)
        return line


def _decoded_lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        yield from file


def _records(lines: _Lines, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Yield the first line number of each record with its cells, or with what is wrong with it."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin_record()
        first = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines.push_back()
            yield first, f"is not CSV ({error}); double the quotation marks inside of cells"
            continue
        if cells:
            yield first, cells


def _parquet(path: Path, columns: Callable[[str], bool]) -> Iterator[Row | Problem]:
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            names = [name for name in file.schema_arrow.names if columns(name)]
            for batch in file.iter_batches(_BATCH_ROWS, columns=names):
                for cells in batch.to_pylist():
                    number += 1
                    yield Row(file=str(path), line=number, cells=cells)
    except (pa.ArrowInvalid, OSError) as error:
        if not number:
            raise CaptionFileError(f"{path}: not a Parquet file ({error}); write it again") from None
        yield Problem(
            file=str(path), line=number + 1, message=f"cannot be read from here on ({error}); write it again"
        )


def _not_utf8(error: UnicodeDecodeError) -> str:
    return f"is not UTF-8 (byte {error.object[error.start]:#04x}); save the file as UTF-8"
