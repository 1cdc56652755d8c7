"""Columns that checks add to captions: agreement with the clip, and claims with their verdicts.

A check appends the rows of captions again with its columns, so texts never change. Its commit says which
commit asked for each version, so that a check of an old version does not make it count.
"""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from typing import Final

import pyarrow as pa

from manifests.dataset import Commit

STAGE: Final = "audit"
"""Stage of the commits of checks."""
REQUESTS: Final = "requests"
"""Key of their configuration: the commit that last asked for each caption version."""
CLAIMS: Final = "claims"
AGREEMENT: Final = "agreement"
UNSUPPORTED: Final = "unsupported"
SEEN: Final = "agreement_seen"
CLAIMS_TYPE = pa.list_(
    pa.struct(
        [
            ("text", pa.string()),
            ("verdict", pa.string()),
            ("start_s", pa.float64()),
            ("end_s", pa.float64()),
            ("kind", pa.string()),
        ]
    )
)
CHECK_COLUMNS = pa.schema(
    [
        pa.field(AGREEMENT, pa.float64()),
        pa.field("agreement_next", pa.float64()),
        pa.field("agreement_previous", pa.float64()),
        pa.field("agreement_shuffled", pa.float64()),
        pa.field("similarity", pa.float64()),
        pa.field("agreement_scorer", pa.string()),
        pa.field(SEEN, pa.float64()),
        pa.field(CLAIMS, CLAIMS_TYPE),
        pa.field(UNSUPPORTED, pa.int64()),
        pa.field("unsupported_rate", pa.float64()),
        pa.field("claims_by", pa.string()),
        pa.field("audit", pa.string()),
    ]
)
"""The columns of a check:

- `agreement` with the own clip, 0 to 1; `agreement_next` and `agreement_previous` with the clips of the
  captions written after and before; `agreement_shuffled` with a clip of another source; `similarity` with the
  own clip, in the units of `agreement_scorer`; `agreement_seen`, the fraction of the caption's tokens that
  this scorer sees, sentence by sentence.
- `claims`; `unsupported`, the number of those that were checked and not found, and `unsupported_rate`, their
  fraction of the checked ones; `claims_by`, who checked them: `measured`, `model` or `world`.
- `audit`: digest of the settings of the check.
"""


def request_number(commit: Commit, version: str) -> int:
    """Return the number of the commit that asked for a caption version whose rows `commit` added."""
    if commit.stage != STAGE:
        return commit.number
    return int(dict(commit.config.get(REQUESTS, ())).get(version, 0))
