"""Errors of SQL statements, in terms of the views and columns that there are."""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import duckdb

_COLUMN = re.compile(r'(?:Referenced column "([^"]+)" not found|does not have a column named "([^"]+)")')


class QueryError(ValueError):
    """A statement that is not allowed, that fails, or that is beyond a limit."""


def describe_error(
    error: duckdb.Error, columns: Mapping[str, Sequence[str]], *, timeout_s: float, memory_limit: str
) -> QueryError:
    """Return the QueryError of a DuckDB error.

    Args:
        columns: column names of the views that the statement uses.
    """
    if isinstance(error, duckdb.InterruptException):
        return QueryError(f"the statement took longer than {timeout_s:g} s; narrow it with WHERE or LIMIT")
    if isinstance(error, duckdb.OutOfMemoryException):
        return QueryError(
            f"the statement needs more than {memory_limit} of memory; select fewer columns or rows"
        )
    if match := _COLUMN.search(str(error)):
        return QueryError(_describe_column(match[1] or match[2], columns))
    text = str(error).split("\n\nLINE ")[0].split("\n\tCandidate functions")[0]
    return QueryError(text.replace("\n", " ").strip())


def _describe_column(name: str, columns: Mapping[str, Sequence[str]]) -> str:
    known = [column for names in columns.values() for column in names]
    near = get_close_matches(name.lower(), known, n=1)
    hint = f"; did you mean {near[0]}?" if near else "."
    lists = (f"{view} has {', '.join(names)}" for view, names in columns.items())
    return f"there is no column {name!r}{hint} {'. '.join(lists)}".strip()
