"""Rows of a query for people: a table or cards of 80 columns, JSON, CSV."""

import csv
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from manifests.replacing import replacing

_CELL_CHARS = 12
"""Width that a column needs at least, in a table."""


def plain_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return rows with values that JSON has; of columns with one name the first is taken."""
    return [{name: _plain(value) for name, value in row.items()} for row in table.to_pylist()]


def render_rows(names: Sequence[str], rows: Sequence[dict[str, Any]]) -> RenderableType:
    """Return a table, or a card for each row if there are too many columns for the terminal."""
    if not rows:
        return Text("no rows")
    if len(names) * _CELL_CHARS <= Console().width or len(names) == 1:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for name in names:
            right = all(isinstance(row[name], int | float | None) for row in rows)
            table.add_column(Text(name), overflow="fold", justify="right" if right else "left")
        for row in rows:
            table.add_row(*(Text(_text(row[name])) for name in names))
        return table
    return Group(*(_card(names, row) for row in rows))


def _card(names: Sequence[str], row: dict[str, Any]) -> Table:
    card = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    card.add_column(style="dim", no_wrap=True)
    card.add_column(overflow="fold")
    for name in names:
        card.add_row(Text(name), Text(_text(row[name])))
    card.add_row("", "")
    return card


def write_csv(path: Path, tables: Iterable[pa.Table]) -> int:
    """Write tables of one schema as one CSV file, replaced when complete; return the number of rows.

    A null is an empty field; a list is a JSON array.
    """
    count = 0
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        for number, table in enumerate(tables):
            if not number:
                writer.writerow(table.column_names)
            columns = [column.to_pylist() for column in table.columns]
            for row in zip(*columns, strict=True):
                writer.writerow([_field(value) for value in row])
            count += table.num_rows
    return count


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value if isinstance(value, str | int | bool | None) else str(value)


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _field(value: Any) -> Any:
    if value is None:
        return ""
    plain = _plain(value)
    return json.dumps(plain, ensure_ascii=False) if isinstance(plain, list | dict) else plain
