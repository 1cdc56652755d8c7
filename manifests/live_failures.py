"""Which failures are live: those of units that exist and have not succeeded since."""

from collections.abc import Mapping
from typing import Any

STILL_FAILED: Mapping[str, tuple[str, Mapping[str, tuple[Any, list[str]]]]] = {
    "analyze": (
        "SEMI JOIN s ON n.unit = s.source_key AND s.status = 'failed'",
        {"s": ("sources", ["source_key", "status"])},
    ),
    "cut": (
        "SEMI JOIN d ON n.unit = d.clip_id AND d.kept ANTI JOIN m ON n.unit = m.clip_id",
        {"d": ("selections", ["clip_id", "kept"]), "m": ("media", ["clip_id"])},
    ),
    "caption": (
        "SEMI JOIN c ON n.unit = c.media_id AND c.outcome <> 'ok'",
        {"c": ("newest_attempts", ["media_id", "outcome"])},
    ),
    "score ": (
        """SEMI JOIN (SELECT clip_id, analysis AS config, _commit FROM k UNION ALL
                      SELECT clip_id, digest AS config, -1 AS _commit FROM k CROSS JOIN w) a
           ON n.unit = a.clip_id AND n.config = a.config AND n._commit >= a._commit
           ANTI JOIN r ON n.unit = r.clip_id AND n.stage = 'score ' || r.scorer AND r._commit >= n._commit""",
        {
            "k": ("clips", ["clip_id", "analysis", "_commit"]),
            "r": ("scores", ["clip_id", "scorer", "_commit"]),
        },
    ),
}
"""By prefix of the stage name: the join that keeps live failures `n`, and the views it needs beside `w`, the
digests of the scorers that count. A scorer's failure names its digest, or the analysis it was part of."""
