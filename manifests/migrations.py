"""Schema migrations: one function from each version of a record to the next, oldest first.

A step receives the whole table of one part, with its score columns, and returns it with the columns of the
next version. Never change a released step: files of its version exist.
"""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from collections.abc import Callable, Mapping

import pyarrow as pa

from manifests.arrow import pc
from manifests.digest import digest_parts

Step = Callable[[pa.Table], pa.Table]


def media_1_to_2(table: pa.Table) -> pa.Table:
    """Add `digest`, empty: version 1 did not record it."""
    return table.append_column("digest", pa.array([""] * table.num_rows, pa.string()))


def media_2_to_3(table: pa.Table) -> pa.Table:
    """Add the window: version 2 cut every clip whole."""
    zeros = pa.array([0] * table.num_rows, pa.int64())
    table = table.append_column("window_index", zeros).append_column("num_windows", zeros)
    for name in ("window_start_pts", "window_end_pts"):
        table = table.append_column(name, pa.nulls(table.num_rows, pa.int64()))
    return table


def media_3_to_4(table: pa.Table) -> pa.Table:
    """Add `audio`, empty: version 3 kept no sound."""
    return table.append_column("audio", pa.array([""] * table.num_rows, pa.string()))


def failure_1_to_2(table: pa.Table) -> pa.Table:
    """Add `quarantined`, false: version 1 had no quarantine."""
    return table.append_column("quarantined", pa.array([False] * table.num_rows, pa.bool_()))


def caption_1_to_2(table: pa.Table) -> pa.Table:
    """Add `medium`, null: version 1 held a dense text (`text`) and a short one."""
    return table.append_column("medium", pa.nulls(table.num_rows, pa.string()))


def caption_2_to_3(table: pa.Table) -> pa.Table:
    """Add `parts`, null, and `heard`, empty: version 2 had neither parts nor transcripts."""
    table = table.append_column("parts", pa.nulls(table.num_rows, pa.string()))
    return table.append_column("heard", pa.array([""] * table.num_rows, pa.string()))


def review_1_to_2(table: pa.Table) -> pa.Table:
    """Add what version 1, which no command wrote, did not know: ids, the media, what the reviewer saw.

    A new text replaces the dense one, the only one that version 1 could name.
    """
    names = ("clip_id", "caption_version", "reviewer", "at", "verdict")
    rows = zip(*(table[name].to_pylist() for name in names), strict=True)
    has_text = table["new_text"].is_valid().to_pylist()
    empty, nulls = pa.array([""] * len(table), pa.string()), pa.nulls(len(table), pa.float64())
    columns: dict[str, pa.Array] = {
        "review_id": pa.array([digest_parts("review 1", *row) for row in rows], pa.string()),
        "media_id": empty,
        "caption_digest": empty,
        "saw": empty,
        "blind": pa.array([False] * len(table), pa.bool_()),
        "length": pa.array(["dense" if has else "" for has in has_text], pa.string()),
        "note": empty,
        "start_s": nulls,
        "end_s": nulls,
        "action": empty,
        "withdraws": empty,
        "other_version": empty,
        "choice": empty,
    }
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


def selection_1_to_2(table: pa.Table) -> pa.Table:
    """Add `review` from the prefix `review: RULE ` that version 1 wrote into the `detail` of a kept clip."""
    marked = pc.extract_regex(table["detail"], r"^review: (?P<rule>\S+) (?P<value>.*)$")
    is_marked = pc.and_(table["kept"], marked.is_valid())
    review = pc.if_else(is_marked, pc.struct_field(marked, "rule"), "")
    detail = pc.if_else(is_marked, pc.struct_field(marked, "value"), table["detail"])
    table = table.set_column(table.column_names.index("detail"), "detail", detail)
    return table.append_column("review", review)


STEPS: Mapping[str, tuple[Step, ...]] = {
    "Media": (media_1_to_2, media_2_to_3, media_3_to_4),
    "Failure": (failure_1_to_2,),
    "Selection": (selection_1_to_2,),
    "Caption": (caption_1_to_2, caption_2_to_3),
    "Review": (review_1_to_2,),
}
"""By record name: step i migrates from version i + 1 to i + 2. A record without steps is at version 1."""
