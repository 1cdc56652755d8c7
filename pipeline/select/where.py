"""Hold clips against the SQL condition `select.where`."""

import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.carried import clips_sql
from manifests.live_view import LiveView
from manifests.sandboxed_sql import sandboxed
from pipeline.config import SelectConfig

WHERE = "where"
"""Column with the answer for each clip, and the reason for which the others are dropped."""


def with_where(clips: pa.Table, view: LiveView, config: SelectConfig) -> pa.Table:
    """Append the column `WHERE` to rows of the clips table if there is a condition.

    Raises QueryError for a condition that is none over the columns of clips and of source lists.
    """
    if not config.where.strip():
        return clips
    with sandboxed(view) as sql:
        found = sql.query(f"SELECT DISTINCT clip_id FROM ({clips_sql(view)}) WHERE (\n{config.where}\n)")
    return clips.append_column(WHERE, pc.is_in(clips["clip_id"], value_set=combine(found["clip_id"])))
