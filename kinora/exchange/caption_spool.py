"""Matched captions on their way into a dataset: written to a temporary file, then joined by media in SQL."""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.records import LENGTHS
from manifests.sql import connect

_BATCH_ROWS = 10_000
_SCHEMA = pa.schema(
    [
        ("media", pa.int64()),
        ("length", pa.string()),
        ("text", pa.string()),
        ("file", pa.string()),
        ("line", pa.int64()),
    ]
)


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenTexts:
    """The texts given for one media, by length, and the first row that gave one."""

    media: int
    """Row of `MediaIndex.media`."""
    texts: dict[str, str]
    file: str
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Conflict:
    """Two rows with different texts for one media."""

    media: int
    length: str
    file: str
    line: int
    """Of the first row."""
    other_file: str
    other_line: int


class CaptionSpool:
    """A context manager that collects texts, and returns them by media; memory stays bounded."""

    def __enter__(self) -> Self:
        self._folder = TemporaryDirectory(prefix="kinora-import-")
        self._path = Path(self._folder.name) / "texts.parquet"
        self._writer = pq.ParquetWriter(self._path, _SCHEMA)
        self._rows: list[dict[str, Any]] = []
        self._connection = connect()
        return self

    def add(self, media: int, texts: dict[str, str], file: str, line: int) -> None:
        """Add the texts that one row of a file gives to one media."""
        about = {"media": media, "file": file, "line": line}
        self._rows += [{**about, "length": length, "text": text} for length, text in texts.items()]
        if len(self._rows) >= _BATCH_ROWS:
            self._flush()

    def finish(self) -> None:
        """End adding, so that the texts can be read."""
        self._flush()
        self._writer.close()
        self._connection.execute(
            f"CREATE VIEW t AS SELECT *, file_row_number AS n FROM read_parquet('{self._path}', "
            "file_row_number = true)"
        )
        self._connection.execute(
            """
            CREATE TABLE bad AS
            SELECT media, length, arg_min(file, n) AS file, arg_min(line, n) AS line,
                   arg_min(text, n) AS text FROM t WHERE text <> '' GROUP BY media, length
            HAVING count(DISTINCT text) > 1"""
        )

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the media for which rows give different texts of one length; blank texts are no conflict."""
        found = self._connection.execute(
            """
            SELECT media, length, any_value(b.file), any_value(b.line), arg_min(t.file, n),
                   arg_min(t.line, n)
            FROM bad b JOIN t USING (media, length) WHERE t.text <> b.text AND t.text <> ''
            GROUP BY media, length ORDER BY 3, 4, length"""
        )
        while batch := found.fetchmany(_BATCH_ROWS):
            names = ("media", "length", "file", "line", "other_file", "other_line")
            yield from (Conflict(**dict(zip(names, row, strict=True))) for row in batch)

    def num_conflicting_rows(self) -> int:
        """Return the number of rows that give a text for media with a conflict."""
        sql = "SELECT count(DISTINCT (file, line)) FROM t SEMI JOIN bad USING (media)"
        return self._connection.sql(sql).fetchall()[0][0]

    def captions(self) -> Iterator[GivenTexts]:
        """Yield the texts of each media without a conflict, ordered by media."""
        columns = ", ".join(
            f"max(text) FILTER (length = '{length}' AND text <> '') AS {length}" for length in LENGTHS
        )
        found = self._connection.sql(
            f"""
            SELECT media, arg_min(file, n) AS file, arg_min(line, n) AS line, {columns} FROM t
            ANTI JOIN bad USING (media) GROUP BY media ORDER BY media"""
        )
        for batch in found.to_arrow_reader(_BATCH_ROWS):
            for row in batch.to_pylist():
                texts = {length: row[length] for length in LENGTHS if row[length] is not None}
                yield GivenTexts(media=row["media"], texts=texts, file=row["file"], line=row["line"])

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=_SCHEMA))
        self._rows = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._writer.close()
        self._folder.cleanup()
