"""SQL from people over the live views of a dataset: read-only, without files, network or extensions.

A statement passes two barriers. Its syntax tree may hold one SELECT over the views of `VIEWS` and the table
functions of `_TABLE_FUNCTIONS`, nothing else. And the DuckDB connection that runs it has external access off,
its configuration locked, no folder to spill into, and a limit of memory and of time.

A view is read when a statement uses it, and of it only the columns that the statement uses.
"""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from threading import Lock, RLock
from typing import Any, Self

import duckdb
import pyarrow as pa
import pyarrow.dataset

from manifests.live_view import LARGE_COLUMNS, LiveView
from manifests.records import LENGTH_COLUMNS
from manifests.review.decisions import standing_decisions
from manifests.sql_errors import QueryError, describe_error
from manifests.view_schemas import (
    CAPTIONED,
    COMMITS,
    DECISIONS,
    VIEWS,
    captioned_sql,
    commits_table,
    view_schema,
)

MEMORY_LIMIT = "1GB"
"""Memory of all statements of a sandbox together."""
TIMEOUT_S = 30.0
"""Time of one statement, in seconds."""
_MAX_CHARS = 100_000
"""Characters of one statement."""
_BATCH_ROWS = 10_000
_TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest", "json_each", "json_tree"})
"""Table functions that compute from their arguments alone."""
_REFUSED_FUNCTIONS = frozenset(
    {
        "current_setting",
        "getenv",
        "getvariable",
        "nextval",
        "currval",
        "setval",
        "write_log",
        "sleep_ms",
        "stats",
    }
)
"""Scalar functions that read or change the state of the process."""


class _LiveRows(pyarrow.dataset.Dataset):  # pyright: ignore[reportUntypedBaseClass]
    """One live view for DuckDB, which asks for `schema`, and for a `scanner` of the columns it needs."""

    def __init__(self, view: LiveView, name: str, lock: Lock) -> None:  # pyright: ignore[reportMissingSuperCall]
        self._view, self._name, self._lock = view, name, lock
        self._schema = view_schema(view, name)
        self.error: Exception | None = None
        """What the last read raised; DuckDB passes on its text alone."""

    @property
    def schema(self) -> pa.Schema:
        return self._schema

    def scanner(self, columns: Any = None, filter: Any = None, **options: Any) -> Any:
        """Read `columns`, all by default, and those that `filter` names."""
        wanted = self._schema.names if columns is None else columns
        named = str(filter)
        names = [name for name in self._schema.names if name in wanted or name in named]
        schema = pa.schema([self._schema.field(name) for name in names])
        try:
            with self._lock:
                rows = self._view.read(self._name, names).select(names).cast(schema)  # pyright: ignore[reportArgumentType]
        except Exception as error:
            self.error = error
            raise
        return pyarrow.dataset.dataset(rows).scanner(columns=wanted, filter=filter, **options)


class SandboxedSql:
    """A connection over one snapshot, for statements that may come from anybody. Safe for several threads.

    Statements run one at a time. Nothing else may use `view` meanwhile.
    """

    def __init__(
        self, view: LiveView, *, timeout_s: float = TIMEOUT_S, memory_limit: str = MEMORY_LIMIT
    ) -> None:
        self.view, self.timeout_s, self.memory_limit = view, timeout_s, memory_limit
        self._lock, self._reading = RLock(), Lock()
        self._registered: dict[str, Any] = {}
        self._connection = duckdb.connect(
            config={
                "memory_limit": memory_limit,
                "autoload_known_extensions": "false",
                "autoinstall_known_extensions": "false",
                "allow_community_extensions": "false",
                "allow_persistent_secrets": "false",
                "python_enable_replacements": "false",
            }
        )
        for name, value in {
            "temp_directory": "''",
            "enable_progress_bar": "false",
            "max_execution_time": f"{int(timeout_s * 1000)}",
            "enable_external_access": "false",
            "lock_configuration": "true",
        }.items():
            self._connection.execute(f"SET {name} = {value}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def columns(self, name: str) -> dict[str, str]:
        """Return the columns of a view, with their SQL types."""
        with self._lock:
            self._register(name)
            rows = self._connection.execute(f'DESCRIBE "{name}"').fetchall()
        return {row[0]: row[1] for row in rows}

    def query(self, sql: str, *, max_rows: int | None = None) -> pa.Table:
        """Return the rows of one SELECT, the first `max_rows` of them if given.

        Raises QueryError for any other statement, for one that fails, and for one beyond a limit.
        """
        with self._reader(sql) as reader:
            batches: list[pa.RecordBatch] = []
            left = max_rows
            for batch in reader:
                batches.append(batch if left is None else batch.slice(0, left))
                left = None if left is None else left - batches[-1].num_rows
                if left == 0:
                    break
            return pa.Table.from_batches(batches, reader.schema)

    def batches(self, sql: str) -> Generator[pa.Table]:
        """Yield the rows of one SELECT in tables of bounded size, at least one. Raises as `query`."""
        with self._reader(sql) as reader:
            yield reader.schema.empty_table()
            for batch in reader:
                yield pa.Table.from_batches([batch])

    def matching(self, condition: str) -> list[str]:
        """Return the media ids of the view `captioned` for which an SQL condition holds, in order.

        Raises QueryError as `query`.
        """
        if not condition.strip():
            raise QueryError(f"the condition is empty; write one over the columns of {CAPTIONED}")
        sql = f"SELECT DISTINCT media_id FROM {CAPTIONED} WHERE (\n{condition}\n) ORDER BY media_id"
        return self.query(sql)["media_id"].to_pylist()

    @contextmanager
    def _reader(self, sql: str) -> Generator[Any]:
        with self._lock:
            used = self._check(sql)
            for name in sorted(used):
                self._register(name)
            try:
                yield self._connection.sql(sql).to_arrow_reader(_BATCH_ROWS)
            except duckdb.Error as error:
                self._raise_read_error()
                columns = {name: [*self.columns(name)] for name in sorted(used)}
                raise describe_error(
                    error, columns, timeout_s=self.timeout_s, memory_limit=self.memory_limit
                ) from error

    def _check(self, sql: str) -> set[str]:
        """Return the names of the views that a statement uses. Raises QueryError for what is not allowed."""
        if len(sql) > _MAX_CHARS:
            raise QueryError(f"the statement has {len(sql)} characters; at most {_MAX_CHARS} are allowed")
        [(text,)] = self._connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()
        tree = json.loads(text)
        if tree["error"]:
            raise _refuse_parsed(tree)
        if len(tree["statements"]) != 1:
            raise QueryError(f"{len(tree['statements'])} statements; write exactly one SELECT")
        used, ctes = set[str](), set[str]()
        for node in _nodes(tree["statements"]):
            _check_function(node)
            ctes |= {entry["key"].lower() for entry in (node.get("cte_map") or {}).get("map", ())}
            if node.get("type") == "BASE_TABLE":
                used.add(_table_name(node))
            if node.get("type") == "SHOW_REF" and node["query"] is None:
                raise QueryError(f"write DESCRIBE VIEW; {_views()}")
        unknown = sorted(used - ctes - {*VIEWS})
        if unknown:
            near = get_close_matches(unknown[0], VIEWS, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise QueryError(f"there is no view {unknown[0]!r}; {hint}{_views()}")
        return used & {*VIEWS}

    def _register(self, name: str) -> None:
        if name in self._registered:
            return
        if name == CAPTIONED:
            for part in ("media", "captions", "clips", "selections"):
                self._register(part)
            self._registered[name] = captioned_sql(self.view)
            self._connection.execute(self._registered[name])
            return
        if name == COMMITS:
            rows = commits_table(self.view.dataset)
        elif name == DECISIONS:
            with self._reading:
                texts = self.view.read("captions", ["media_id", *LENGTH_COLUMNS.values()])
                rows = standing_decisions(self.view.read("reviews"), texts)
        else:
            rows = _LiveRows(self.view, name, self._reading)
        self._registered[name] = rows
        self._connection.register(name, rows)

    def _raise_read_error(self) -> None:
        """Raise the error of a view that could not be read, such as DatasetError for a damaged part."""
        for rows in self._registered.values():
            if isinstance(rows, _LiveRows) and rows.error is not None:
                error, rows.error = rows.error, None
                raise error


def sandboxed(
    view: LiveView, *, timeout_s: float = TIMEOUT_S, memory_limit: str = MEMORY_LIMIT
) -> SandboxedSql:
    """Return a read-only SQL connection over the live rows of `view`, without `LARGE_COLUMNS`."""
    return SandboxedSql(view, timeout_s=timeout_s, memory_limit=memory_limit)


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a syntax tree."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            yield node
            pending += node.values()
        elif isinstance(node, list):
            pending += node


def _check_function(node: dict[str, Any]) -> None:
    name = str(node.get("function_name", "")).lower()
    if node.get("type") == "TABLE_FUNCTION":
        called = str(node["function"].get("function_name", "")).lower()
        if called not in _TABLE_FUNCTIONS:
            allowed = ", ".join(sorted(_TABLE_FUNCTIONS))
            raise QueryError(f"the table function {called} is not allowed here; {allowed} are. {_views()}")
    if name in _REFUSED_FUNCTIONS:
        raise QueryError(f"the function {name} is not allowed here: it reaches outside of the dataset")


def _table_name(node: dict[str, Any]) -> str:
    if node["catalog_name"] or node["schema_name"]:
        path = (node["catalog_name"], node["schema_name"], node["table_name"])
        raise QueryError(f"{'.'.join(filter(None, path))}: name a view without a schema; {_views()}")
    return str(node["table_name"]).lower()


def _refuse_parsed(tree: dict[str, Any]) -> QueryError:
    if tree.get("error_type") == "parser":
        return QueryError(f"the statement cannot be parsed: {tree['error_message']}")
    return QueryError(f"only one SELECT is allowed: the dataset is read-only here. {_views()}")


def _views() -> str:
    return f"the views are {', '.join(VIEWS)}"


__all__ = ["LARGE_COLUMNS", "MEMORY_LIMIT", "TIMEOUT_S", "QueryError", "SandboxedSql", "sandboxed"]
