"""Steps of the strata that are in the order of a value: within a step the order is random.

So the reviewed clips of a step are a random part of it, and an estimate that counts each step by its size is
not misled by a queue that begins with the worst captions.
"""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from math import floor

import pyarrow as pa

from manifests.arrow import pc
from manifests.caption_checks import AGREEMENT, UNSUPPORTED

STEPS = 20
"""Steps that agreements from 0 to 1 are divided into."""


def agreement_step(agreement: float) -> int:
    """Return the step of an agreement, the lowest first."""
    return min(max(floor(agreement * STEPS), 0), STEPS - 1)


def agreement_steps(agreement: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Return `agreement_step` of a column; null where there is none."""
    values = agreement.cast(pa.float64())
    values = pc.if_else(pc.is_finite(values), values, pa.scalar(None, pa.float64()))
    steps = pc.floor(pc.multiply(values, float(STEPS))).cast(pa.int64())
    return pc.min_element_wise(pc.max_element_wise(steps, 0, skip_nulls=False), STEPS - 1, skip_nulls=False)


def rank_name(column: str, value: int) -> str:
    """Return what people call the captions of one step of a column."""
    if column == AGREEMENT:
        return f"agreement {value / STEPS:.2f} to {(value + 1) / STEPS:.2f}"
    return f"{value} {UNSUPPORTED} claims" if value > 1 else f"1 {UNSUPPORTED} claim"
