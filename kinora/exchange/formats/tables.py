"""`jsonl` and `csv`: one table, and the clips beside it if they are wanted."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from kinora.exchange.export_rows import ExportRow, ExportRows
from kinora.exchange.media_reader import MediaReader, file_name

CLIPS = "clips"
JSONL, CSV = "captions.jsonl", "captions.csv"


def write_jsonl(rows: ExportRows, folder: Path, reader: MediaReader | None) -> None:
    """Write `captions.jsonl`, one object a row; every row has the same keys."""

    def add(out: TextIO) -> Callable[[dict[str, Any]], object]:
        return lambda values: out.write(json.dumps(values, ensure_ascii=False) + "\n")

    _write(rows, folder / JSONL, reader, add)


def write_csv(rows: ExportRows, folder: Path, reader: MediaReader | None) -> None:
    """Write `captions.csv`: all cells quoted, null as an empty cell, lists and objects as JSON.

    Scores are columns `score_NAME`, those of the review `review_NAME`.
    """

    def add(out: TextIO) -> Callable[[dict[str, Any]], object]:
        table = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
        header: list[str] = []

        def write_row(values: dict[str, Any]) -> None:
            flat = _flat(values, rows)
            if not header:
                header.extend(flat)
                table.writerow(header)
            table.writerow([_cell(value) for value in flat.values()])

        return write_row

    _write(rows, folder / CSV, reader, add)


def _write(
    rows: ExportRows,
    path: Path,
    reader: MediaReader | None,
    add: Callable[[TextIO], Callable[[dict[str, Any]], object]],
) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        add_row = add(out)
        for row, name in with_files(rows, path.parent / CLIPS, reader):
            values = dict(row.values)
            if name is not None:
                values["file_name"] = f"{CLIPS}/{name}"
            add_row(values)


def with_files(
    rows: ExportRows | Iterator[ExportRow], folder: Path, reader: MediaReader | None
) -> Iterator[tuple[ExportRow, str | None]]:
    """Yield each row after its clip was written into `folder`, with the clip's file name.

    Args:
        reader: None to write no clips; the names are None then.
    """
    if reader is None:
        yield from ((row, None) for row in rows)
        return
    folder.mkdir(parents=True)
    for row, content in reader.read(rows):
        name = file_name(row)
        (folder / name).write_bytes(content)
        yield row, name


def _flat(values: dict[str, Any], rows: ExportRows) -> dict[str, Any]:
    flat = {name: value for name, value in values.items() if name not in ("scores", "review")}
    scores, review = values.get("scores") or {}, values["review"] or {}
    flat |= {f"score_{name}": scores.get(name) for name in rows.scores}
    names = [field.name for field in rows.schema.field("review").type]
    return flat | {f"review_{name}": review.get(name) for name in names}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)
