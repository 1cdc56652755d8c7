"""DuckDB with bounds on its memory, for queries over Arrow tables."""

from tempfile import gettempdir

import duckdb

MEMORY_LIMIT = "1GB"
"""What DuckDB may hold beside the columns that were read; then it goes to the disk."""


def connect() -> duckdb.DuckDBPyConnection:
    """Return a new DuckDB with bounds."""
    return duckdb.connect(
        config={
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": f"{gettempdir()}/kinora-duckdb",
            "preserve_insertion_order": "false",
        }
    )
