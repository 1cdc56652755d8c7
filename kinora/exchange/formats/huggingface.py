"""`huggingface`: folders of files with one `metadata.parquet` each, videos and images apart.

    README.md                       the card; its `configs` name the videos, for `load_dataset(FOLDER)`
    videos/metadata.parquet         a row for each of videos/clips/KEY.mp4
    images/metadata.parquet         a row for each of images/stills/KEY.png
    images/README.md                the same card, for `load_dataset("FOLDER/images")`

One card cannot name both: the library takes the builder of all `configs` from the first, and reads stills as
videos. Files are named by id: a name with a word such as `test` would become a split of its own. There is one
metadata file in each folder, since the columns of several depend on the order in which they are found.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kinora.exchange.export_rows import ExportRows
from kinora.exchange.media_reader import MediaReader, file_name

FOLDERS = {"video": ("videos", "clips"), "image": ("images", "stills")}
"""Folder of each kind of media, and of the files in it."""
METADATA = "metadata.parquet"
TABLE = "captions.parquet"
_GROUP_ROWS = 1000
"""Rows of one row group, which a streaming reader holds whole."""


def write(rows: ExportRows, folder: Path, reader: MediaReader | None) -> dict[str, list[dict[str, Any]]]:
    """Write the folders, or one table without media; return the `configs` of the card in each folder."""
    if reader is None:
        with TableWriter(folder / TABLE, rows.schema) as table:
            for row in rows:
                table.add(row.values)
        return {"": [files_config(TABLE)]}
    first, *others = _write_folders(rows, folder, reader)
    cards = {"": [files_config(*(f"{FOLDERS[first][0]}/{path}" for path in _paths(first)))]}
    return cards | {FOLDERS[kind][0]: [files_config(*_paths(kind))] for kind in others}


def _paths(kind: str) -> tuple[str, str]:
    """Return the files of one kind of media, relative to its folder."""
    return f"{FOLDERS[kind][1]}/*", METADATA


def files_config(*paths: str) -> dict[str, Any]:
    """Return the entry of `configs` for some files."""
    return {"config_name": "default", "data_files": [{"split": "train", "path": [*paths]}]}


def _write_folders(rows: ExportRows, folder: Path, reader: MediaReader) -> list[str]:
    """Write the files and tables of each kind; return the kinds."""
    schema = pa.schema([pa.field("file_name", pa.string()), *rows.schema])
    with ExitStack() as stack:
        tables: dict[str, TableWriter] = {}
        for row, content in reader.read(rows):
            kind = row.values["kind"]
            name, files = FOLDERS[kind]
            if kind not in tables:
                (folder / name / files).mkdir(parents=True)
                tables[kind] = stack.enter_context(TableWriter(folder / name / METADATA, schema))
            (folder / name / files / file_name(row)).write_bytes(content)
            tables[kind].add({"file_name": f"{files}/{file_name(row)}", **row.values})
    return [kind for kind in FOLDERS if kind in tables]


class TableWriter:
    """A context manager that writes rows to a Parquet file, a row group at a time."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pq.ParquetWriter(path, schema)
        self._rows: list[dict[str, Any]] = []

    def __enter__(self) -> "TableWriter":
        return self

    def add(self, values: dict[str, Any]) -> None:
        """Append a row."""
        self._rows.append(values)
        if len(self._rows) == _GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()
