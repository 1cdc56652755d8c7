"""Limit a search by an SQL condition."""

import numpy as np

from kinora.search.index import SearchIndex
from manifests.arrow import combine, pc
from manifests.carried import clips_sql
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.sandboxed_sql import sandboxed


def where_mask(dataset: Dataset, index: SearchIndex, condition: str) -> np.ndarray:
    """Return a mask of the clips for which an SQL condition holds.

    Raises QueryError for a condition that is none over the columns of clips, source lists and selections.
    """
    view, decided = LiveView(dataset), "SELECT clip_id, kept, reason, review FROM selections"
    sql = f"""
        SELECT DISTINCT clip_id FROM ({clips_sql(view)}) LEFT JOIN ({decided}) USING (clip_id)
        WHERE (\n{condition}\n)"""
    with sandboxed(view) as connection:
        found = connection.query(sql)
    is_found = pc.is_in(combine(index.rows["clip_id"]), value_set=combine(found["clip_id"]))
    return np.array(is_found.to_numpy(zero_copy_only=False))
