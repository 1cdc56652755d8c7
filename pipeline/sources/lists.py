"""Source lists: tables with one file per row, whose other columns (licence, caption) are carried along."""

import csv
import io
import json
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

LIST_EXTENSIONS = (".csv", ".jsonl", ".parquet")
URI_COLUMNS = ("uri", "path", "url")
"""Columns that can hold the file, in this order, unless the configuration names one."""


class SourceListError(ValueError):
    """A source list is invalid. The message names the list, the row or column, and the remedy."""


def read_source_list(name: str, content: bytes, column: str) -> list[tuple[str, str]]:
    """Return the file of each row, verbatim, and its other columns as a JSON object.

    Args:
        name: path or URI of the list; its extension selects the format.
        column: the column with the file; empty for the first of URI_COLUMNS.

    Equal rows count once. Raises SourceListError, also for rows with the same file and different columns.
    """
    rows = list(_READERS[posixpath.splitext(name)[1].lower()](name, content))
    if not rows:
        raise SourceListError(f"{name}: the list has no rows")
    files: dict[str, tuple[int, str]] = {}
    for number, row in enumerate(rows, 1):
        uri_column = column or next((each for each in URI_COLUMNS if each in row), "")
        if uri_column not in row:
            expected = f"`{column}`" if column else " or ".join(f"`{each}`" for each in URI_COLUMNS)
            present = ", ".join(str(each) for each in row) or "nothing"
            raise SourceListError(
                f"{name}: row {number} has no column {expected}, only {present}; name the column with the "
                "files by --listing.uri-column"
            )
        uri = row[uri_column]
        if not isinstance(uri, str) or not uri.strip():
            raise SourceListError(
                f"{name}: row {number}: `{uri_column}` is {uri!r}; write a path, or remove the row"
            )
        carried = _json({key: value for key, value in row.items() if key != uri_column})
        first, known = files.setdefault(uri.strip(), (number, carried))
        if known != carried:
            raise SourceListError(
                f"{name}: rows {first} and {number} name the same file, {uri.strip()}, with different "
                "columns; remove one of them"
            )
    return [(uri, carried) for uri, (_, carried) in files.items()]


def resolve(list_uri: str, uri: str) -> str:
    """Return a URI in a list as an absolute one; paths are relative to the list."""
    if "://" in uri or uri.startswith(("/", "tar+")):
        return uri
    return f"{list_uri.rpartition('/')[0]}/{uri}"


def _csv(name: str, content: bytes) -> Iterator[dict[str, Any]]:
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        for row in reader:
            if None in row or None in row.values():
                count = len(reader.fieldnames or ())
                raise SourceListError(
                    f"{name}: line {reader.line_num} does not have {count} cells like the first line; "
                    "quote cells with commas in them"
                )
            yield {key: value for key, value in row.items() if value != ""}
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceListError(f"{name}: not a CSV file in UTF-8 ({error}); save it as one") from None


def _jsonl(name: str, content: bytes) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise SourceListError(
                f"{name}: line {number} is not JSON ({error}); write one object a line"
            ) from None
        if not isinstance(row, Mapping):
            raise SourceListError(f"{name}: line {number} is not a JSON object; write one object a line")
        yield dict(row)


def _parquet(name: str, content: bytes) -> Iterator[dict[str, Any]]:
    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceListError(f"{name}: not a Parquet file ({error}); write it again") from None
    yield from table.to_pylist()


_READERS = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}


def _json(row: Mapping[str, Any]) -> str:
    """Return a row as JSON without null and NaN."""
    present = {key: value for key, value in row.items() if value is not None and value == value}
    return json.dumps(present, ensure_ascii=False, sort_keys=True, default=str)
