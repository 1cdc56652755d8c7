"""Query a dataset with SQL: one SELECT over its live rows, read-only.

Without a statement: list the views and their columns.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.text import Text

from kinora.captions.rows import plain_rows, render_rows, write_csv
from kinora.cli.result import Result
from kinora.cli.snapshot import Snapshot
from manifests.live_view import LiveView
from manifests.ranges import PositiveFloat, PositiveInt
from manifests.sandboxed_sql import SandboxedSql, sandboxed
from manifests.view_schemas import VIEW_DOCS

POSITIONAL = "sql"


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Snapshot):
    sql: str | None = None
    """One SELECT statement of DuckDB. Default: list the views and their columns."""
    limit: PositiveInt = 50
    """Maximum number of rows to print; `--json` and `--csv` take all."""
    csv: str | None = None
    """CSV file to write the rows to, instead of printing them; an existing file is replaced."""
    timeout_s: PositiveFloat = 60.0
    """Maximum time of the statement, in seconds."""


def run(config: Config) -> Result:
    """Run the statement. Raises QueryError, with what exists, if it is not allowed or fails."""
    with sandboxed(LiveView(config.open()), timeout_s=config.timeout_s) as connection:
        if config.sql is None:
            return _list_views(connection)
        if config.csv is not None:
            rows = write_csv(Path(config.csv), connection.batches(config.sql))
            return Result({"csv": config.csv, "rows": rows}, f"{rows} rows in {config.csv}")
        table = connection.query(config.sql)
    rows = plain_rows(table)
    text = render_rows(table.column_names, rows[: config.limit])
    rest = (
        f"{config.limit} of {len(rows)} rows (--limit)" if len(rows) > config.limit else f"{len(rows)} rows"
    )
    return Result({"columns": table.column_names, "rows": rows}, Group(text, Text(rest, "dim")))


def _list_views(connection: SandboxedSql) -> Result:
    views: dict[str, Any] = {}
    parts: list[Text] = []
    for name, about in VIEW_DOCS.items():
        columns = connection.columns(name)
        views[name] = {"about": about, "columns": columns}
        parts += [Text(f"{name}  ", "bold").append(about, "not bold"), Text(f"  {', '.join(columns)}", "dim")]
    parts.append(Text("docs/manifests.md describes every column; DESCRIBE VIEW gives the types"))
    return Result({"views": views}, Group(*parts))
