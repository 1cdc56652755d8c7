"""Source lists: one file a row, with columns (licence, url, original caption) that are carried along."""

import csv
import io
import json
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ENDINGS = (".csv", ".jsonl", ".parquet")
NAMES = ("uri", "path", "url")
"""Columns that name the file, where the configuration names none; the first that is there."""


class BadList(ValueError):
    """A source list that cannot be used. The message names the list, the row or column, and the remedy."""


def read_list(name: str, content: bytes, column: str) -> list[tuple[str, str]]:
    """Return the file that each row names, as it is written there, and its other columns as a JSON object.

    Args:
        name: path or URI of the list, for errors; its ending says what it is.
        column: the column with the file; empty for the first of NAMES.

    Raises BadList. Rows that are equal in all columns count once; rows that name the same file and differ are
    refused.
    """
    rows = list(_READERS[posixpath.splitext(name)[1].lower()](name, content))
    if not rows:
        raise BadList(f"{name}: the list has no rows")
    found: dict[str, tuple[int, str]] = {}
    for number, row in enumerate(rows, 1):
        named = column or next((each for each in NAMES if each in row), "")
        if named not in row:
            wanted = f"`{column}`" if column else " or ".join(f"`{each}`" for each in NAMES)
            there = ", ".join(str(each) for each in row) or "nothing"
            raise BadList(
                f"{name}: row {number} has no column {wanted}, only {there}; name the column with the files "
                "by --listing.uri-column"
            )
        uri = row[named]
        if not isinstance(uri, str) or not uri.strip():
            raise BadList(f"{name}: row {number}: `{named}` is {uri!r}; write a path, or remove the row")
        carried = _json({key: value for key, value in row.items() if key != named})
        first, known = found.setdefault(uri.strip(), (number, carried))
        if known != carried:
            raise BadList(
                f"{name}: rows {first} and {number} name the same file, {uri.strip()}, with different "
                "columns; remove one of them"
            )
    return [(uri, carried) for uri, (_, carried) in found.items()]


def beside(list_uri: str, uri: str) -> str:
    """Return what a list's row names: as it is when it is absolute, else relative to the list."""
    if "://" in uri or uri.startswith(("/", "tar+")):
        return uri
    return f"{list_uri.rpartition('/')[0]}/{uri}"


def _csv(name: str, content: bytes) -> Iterator[dict[str, Any]]:
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        for row in reader:
            if None in row or None in row.values():
                count = len(reader.fieldnames or ())
                raise BadList(
                    f"{name}: line {reader.line_num} has not {count} cells, as the first line has; "
                    "quote cells with commas in them"
                )
            yield {key: value for key, value in row.items() if value != ""}
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadList(f"{name}: not a CSV file in UTF-8 ({error}); save it as one") from None


def _jsonl(name: str, content: bytes) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise BadList(f"{name}: line {number} is no JSON ({error}); write one object a line") from None
        if not isinstance(row, Mapping):
            raise BadList(f"{name}: line {number} is no JSON object; write one object a line")
        yield dict(row)


def _parquet(name: str, content: bytes) -> Iterator[dict[str, Any]]:
    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowInvalid, OSError) as error:
        raise BadList(f"{name}: not a Parquet file ({error}); write it again") from None
    yield from table.to_pylist()


_READERS = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}


def _json(row: Mapping[str, Any]) -> str:
    """Return a row as JSON, without what is missing (null, NaN)."""
    there = {key: value for key, value in row.items() if value is not None and value == value}
    return json.dumps(there, ensure_ascii=False, sort_keys=True, default=str)
