"""The columns that came with a source list, such as a licence, for SQL conditions.

They are a JSON object in the column `carried` of sources. A condition may also name each as a column of text.
"""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

import json
from collections.abc import Collection

from manifests.arrow import pc
from manifests.live_view import LiveView
from manifests.view_schemas import view_schema

_MAX_COLUMNS = 200
_OF_SOURCES = ("carried", "codec", "size_bytes")
"""Columns of sources that clips lack, for conditions over clips."""


def sources_sql(view: LiveView) -> str:
    """Return a SELECT of the live sources, with the columns of their lists."""
    return f"SELECT *{_columns(view, view_schema(view, 'sources').names)} FROM sources"


def clips_sql(view: LiveView) -> str:
    """Return a SELECT of the live clips with their scores, and the columns of the lists of their sources."""
    clips = view_schema(view, "clips").names
    extra = ", ".join(("source_key", *_OF_SOURCES))
    lists = _columns(view, [*clips, *_OF_SOURCES])
    return f"SELECT * FROM clips LEFT JOIN (SELECT {extra}{lists} FROM sources) USING (source_key)"


def _columns(view: LiveView, taken: Collection[str]) -> str:
    """Return expressions for the keys of `carried`, but for those that name another column."""
    names = {name.lower() for name in taken}
    keys = dict.fromkeys(
        key
        for text in pc.unique(view.read("sources", ["carried"])["carried"]).to_pylist()
        for key in json.loads(text)
    )
    free = [key for key in keys if key.lower() not in names][:_MAX_COLUMNS]
    return "".join(f", json_extract_string(carried, {_path(key)}) AS {_identifier(key)}" for key in free)


def _path(key: str) -> str:
    """Return a JSON pointer to a key as an SQL text."""
    escaped = key.replace("~", "~0").replace("/", "~1").replace("'", "''")
    return f"'/{escaped}'"


def _identifier(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
