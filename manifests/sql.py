"""DuckDB connections with a memory limit, for queries over Arrow tables."""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from tempfile import gettempdir

import duckdb

MEMORY_LIMIT = "1GB"
"""Memory limit of a connection, above which DuckDB spills to disk."""


def connect() -> duckdb.DuckDBPyConnection:
    """Open an in-memory database with the memory limit."""
    connection = duckdb.connect(
        config={
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": f"{gettempdir()}/kinora-duckdb",
            "preserve_insertion_order": "false",
        }
    )
    connection.execute("SET enable_progress_bar = false")
    return connection
