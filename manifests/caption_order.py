"""Which of several captions of one media counts.

An OK caption comes before a failed one, a version that was asked for later before an earlier one, and a newer
row before an older one. So a failed run hides no good caption, and an old version that is asked for again
counts again.
"""

# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from manifests.dataset import Commit

LATEST_ROWS = "SELECT version, max(_commit) AS number FROM t GROUP BY version"
"""Query for the commit of the newest row of each version, from the caption rows `t`."""


def latest_requests(rows: Iterable[Mapping[str, Any]], commits: Iterable[Commit]) -> dict[str, int]:
    """Return the number of the commit that last asked for each caption version.

    Args:
        rows: result of `LATEST_ROWS`.
        commits: the log; `kinora caption` also records a request that finds nothing to do.
    """
    requests: dict[str, int] = {row["version"]: row["number"] for row in rows}
    for commit in commits:
        if commit.stage == "caption" and commit.config_digest in requests:
            requests[commit.config_digest] = max(requests[commit.config_digest], commit.number)
    return requests


def first_of_each(group: str, *, ok_first: bool, version: str | None) -> str:
    """Return the query for the first caption of each group, as its `_row`.

    Reads the tables t (captions), r (`number` of `latest_requests` by `version`) and o (live `media_id`).

    Args:
        group: columns to group by.
        ok_first: whether an OK caption comes before a newer failed one.
        version: only captions of this version.
    """
    order = "(t.outcome = 'ok')::INT, r.number, t._row" if ok_first else "r.number, t._row"
    quoted = "" if version is None else "'" + version.replace("'", "''") + "'"
    where = f"WHERE version = {quoted}" if quoted else ""
    return f"""
        SELECT arg_max(t._row, row({order})) AS _row
        FROM t JOIN r USING (version) SEMI JOIN o USING (media_id) {where} GROUP BY {group}"""


def count_versions(attempts: pa.Table) -> dict[str, dict[str, int]]:
    """Return the number of captions of each version, as `ok` and `failed`.

    Args:
        attempts: columns `version` and `outcome` of the view `caption_attempts`.
    """
    counts: dict[str, dict[str, int]] = {}
    groups = attempts.group_by(["version", "outcome"]).aggregate([([], "count_all")]).to_pylist()
    for group in sorted(groups, key=lambda group: str(group["version"])):
        found = counts.setdefault(group["version"], {"ok": 0, "failed": 0})
        found["ok" if group["outcome"] == "ok" else "failed"] += group["count_all"]
    return counts
