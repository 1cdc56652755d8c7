"""The decision that stands for each media, from the rows of `reviews`. Pure functions.

withdrawals   rows that a withdrawal names do not count, unless that withdrawal was withdrawn itself
fields        verdict, each text, and the span stand apart: an edit of one text leaves all else
rounds        a row whose reviewer was shown the newest decision begins a round and settles those before it;
              rows of reviewers who were not (blind, or at the same time) belong to one round
agreement     of each reviewer and field the newest row of a round counts; where reviewers of the last
              round differ, no decision stands
staleness     an approval or edit of texts that are no longer those of the caption is stale
"""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from typing import Any

import numpy as np
import pyarrow as pa

from manifests.arrow import combine, digest_texts, pc
from manifests.digest import UNIT_SEPARATOR
from manifests.records import LENGTH_COLUMNS, Verdict
from manifests.sql import connect

DECISION_COLUMNS = (
    "media_id",
    "clip_id",
    "verdict",
    *LENGTH_COLUMNS.values(),
    "reason",
    "note",
    "start_s",
    "end_s",
    "reviewers",
    "disagreement",
    "stale",
    "caption_version",
    "caption_digest",
    "newest",
)
"""Columns of `standing_decisions`."""
_TEXTS = [*LENGTH_COLUMNS.values()]
_TEXT_COLUMNS = ", ".join(
    f"max(value) FILTER (field = '{length}' AND stands AND same_caption) AS {column}"
    for length, column in LENGTH_COLUMNS.items()
)
_STANDING = f"""
    WITH rounds AS (
        SELECT *, count(*) FILTER (settles) OVER (PARTITION BY media, is_span ORDER BY _row) AS round
        FROM (SELECT *, coalesce(NOT blind AND saw >= lag(_row) OVER (
                  PARTITION BY media, is_span ORDER BY _row), false) AS settles FROM r)),
    sizes AS (
        SELECT *, round = max(round) OVER (PARTITION BY media, is_span) AS is_last
        FROM (SELECT media, is_span, round, count(DISTINCT reviewer) AS size FROM rounds GROUP BY ALL)),
    fields AS (
        SELECT media, is_span, round, reviewer, _row, digest, 'verdict' AS field, verdict AS value
        FROM rounds WHERE NOT is_span
        UNION ALL SELECT media, is_span, round, reviewer, _row, digest, length, text
        FROM rounds WHERE length <> ''
        UNION ALL SELECT media, is_span, round, reviewer, _row, digest, 'span', span
        FROM rounds WHERE is_span),
    opinions AS (
        SELECT media, is_span, round, field, reviewer, max(_row) AS _row, arg_max(value, _row) AS value,
               arg_max(digest, _row) AS digest
        FROM fields GROUP BY ALL),
    settled AS (
        SELECT o.media, o.field, any_value(s.is_last) AS is_last, max(o._row) AS _row, max(o.value) AS value,
               arg_max(o.digest, o._row) AS digest,
               min(o.value) = max(o.value) AND count(*) = any_value(s.size) AS stands
        FROM opinions o JOIN sizes s USING (media, is_span, round)
        GROUP BY o.media, o.field, o.round
        QUALIFY o.round = max(o.round) OVER (PARTITION BY o.media, o.field)),
    checked AS (
        SELECT s.*, digest IS NULL OR coalesce(v.verdict_digest, digest) = digest AS same_caption
        FROM settled s LEFT JOIN (
            SELECT media, max(digest) AS verdict_digest FROM settled WHERE field = 'verdict' GROUP BY media)
        v USING (media)),
    decided AS (
        SELECT media, max(value) FILTER (field = 'verdict') AS verdict, {_TEXT_COLUMNS},
               coalesce(bool_or(is_last AND NOT stands) FILTER (field <> 'span'), false) AS captions_differ,
               bool_or(is_last AND NOT stands) AS disagreement,
               max(_row) FILTER (field = 'verdict') AS verdict_row,
               max(_row) FILTER (field = 'span' AND stands) AS span_row
        FROM checked GROUP BY media),
    people AS (
        SELECT media, list_sort(list(DISTINCT reviewer)) AS reviewers, max(_row) AS newest_row
        FROM r GROUP BY media)
    SELECT d.*, p.* EXCLUDE (media) FROM decided d JOIN people p USING (media)
"""
"""Reads the table r, with the rows of media that have several."""
_FOUND = pa.schema(
    [
        ("media", pa.int32()),
        ("verdict", pa.int32()),
        *((column, pa.int32()) for column in _TEXTS),
        ("captions_differ", pa.bool_()),
        ("disagreement", pa.bool_()),
        ("verdict_row", pa.int64()),
        ("span_row", pa.int64()),
        ("reviewers", pa.list_(pa.int32())),
        ("newest_row", pa.int64()),
    ]
)
"""Result of `_STANDING`, and of `_single`."""
_ACCEPT = -1
"""Code of approvals and edits, which agree if their texts do. The other codes index `_VERDICTS`."""
_VERDICTS = pa.array([Verdict.REJECT.value, Verdict.FLAG.value])


def standing_decisions(reviews: pa.Table, captions: pa.Table | None = None) -> pa.Table:
    """Return the decision that stands for each reviewed media, one row each, in order of the first review.

    Columns (`DECISION_COLUMNS`): `verdict` (approve, edit, reject, flag; span if only the span was mended;
    null where reviewers differ), the edited texts (null where not edited), `reason`, `note`, the new span
    (`start_s`, `end_s`, seconds), `reviewers`, `disagreement`, `stale`, the caption that the verdict was on,
    and the id of the `newest` row that counts.

    Args:
        reviews: rows of the view `reviews`, in order.
        captions: the current caption of each media: `media_id` and the texts, or their `caption_digest`.
            Without it nothing is stale.
    """
    decides = pc.and_(counted_rows(reviews), pc.not_equal(reviews["verdict"], Verdict.COMPARE.value))
    rows = reviews.append_column("_row", pa.array(np.arange(len(reviews)))).filter(decides)
    media = combine(combine(rows["media_id"]).dictionary_encode())
    texts = combine(combine(rows["new_text"]).dictionary_encode())
    names = combine(pc.unique(rows["reviewer"]))
    names = names.take(pc.sort_indices(names))
    encoded = _encoded(rows, media.indices, texts.indices, names)
    media_N = media.indices.to_numpy()
    single = pa.array((np.bincount(media_N, minlength=1) == 1)[media_N])
    several = encoded.filter(pc.invert(single))
    tables = [_single(encoded.filter(single))]
    if several.num_rows:
        saw = rows["saw"].filter(pc.invert(single))
        saw_N = pc.index_in(saw, value_set=combine(reviews["review_id"]))
        with connect() as connection:
            connection.register("r", several.append_column("saw", saw_N))
            tables.append(connection.sql(_STANDING).to_arrow_table().select(_FOUND.names).cast(_FOUND))
    found = pa.concat_tables(tables).sort_by("media")
    return _decoded(found, rows, media.dictionary, texts.dictionary, names, captions)


def _single(rows: pa.Table) -> pa.Table:
    """Return what `_STANDING` does, of media with one row."""
    none, is_span = pa.scalar(None, pa.int64()), rows["is_span"]
    same, ends = pa.repeat(False, rows.num_rows), np.arange(rows.num_rows + 1, dtype=np.int32)
    columns: dict[str, Any] = {
        "media": rows["media"],
        "verdict": pc.if_else(is_span, None, rows["verdict"]),
        **{
            column: pc.if_else(pc.equal(rows["length"], length), rows["text"], None)
            for length, column in LENGTH_COLUMNS.items()
        },
        "captions_differ": same,
        "disagreement": same,
        "verdict_row": pc.if_else(is_span, none, rows["_row"]),
        "span_row": pc.if_else(is_span, rows["_row"], none),
        "reviewers": pa.ListArray.from_arrays(pa.array(ends), combine(rows["reviewer"])),
        "newest_row": rows["_row"],
    }
    return pa.table(columns).cast(_FOUND)


def _encoded(rows: pa.Table, media: pa.Array, texts: pa.Array, names: pa.Array) -> pa.Table:
    """Return the columns that decide, as integers: they compare and group many times faster than texts."""
    verdict, digest = rows["verdict"], combine(rows["caption_digest"])
    is_edit, is_span = pc.equal(verdict, Verdict.EDIT.value), pc.equal(verdict, Verdict.SPAN.value)
    spans = (pc.coalesce(rows[name].cast(pa.string()), "") for name in ("start_s", "end_s"))
    span = combine(pc.binary_join_element_wise(*spans, " ")).dictionary_encode()
    known = pc.if_else(pc.equal(digest, ""), pa.scalar(None, pa.string()), digest)
    return pa.table(
        {
            "_row": rows["_row"],
            "media": media,
            "reviewer": pc.index_in(rows["reviewer"], value_set=names),
            "verdict": pc.coalesce(pc.index_in(verdict, value_set=_VERDICTS), _ACCEPT),
            "blind": rows["blind"],
            "digest": combine(known.dictionary_encode()).indices,
            "length": pc.if_else(is_edit, rows["length"], ""),
            "text": pc.coalesce(texts, -1),
            "is_span": is_span,
            "span": combine(span).indices,
        }
    )


def _decoded(
    found: pa.Table,
    rows: pa.Table,
    media: pa.Array,
    texts: pa.Array,
    names: pa.Array,
    captions: pa.Table | None,
) -> pa.Table:
    """Return the result of `_STANDING` with what its integers refer to."""
    at_verdict, at_span, at_newest = (
        pc.index_in(found[name], value_set=combine(rows["_row"]))
        for name in ("verdict_row", "span_row", "newest_row")
    )
    differ = found["captions_differ"]
    codes = {name: combine(pc.if_else(pc.less(found[name], 0), None, found[name])) for name in _TEXTS}
    edited = {name: _where_not(differ, texts.take(codes[name])) for name in _TEXTS}
    accepted = pc.equal(found["verdict"], _ACCEPT)
    any_text = pc.is_valid(pc.coalesce(*edited.values()))
    accepting = pc.if_else(any_text, Verdict.EDIT.value, Verdict.APPROVE.value)
    other = _VERDICTS.take(combine(pc.if_else(accepted, None, found["verdict"])))
    verdict = pc.coalesce(pc.if_else(accepted, accepting, other), Verdict.SPAN.value)
    of_verdict = {
        name: pc.coalesce(combine(rows[name]).take(combine(at_verdict)), "")
        for name in ("reason", "note", "caption_version", "caption_digest")
    }
    media_id = media.take(combine(found["media"]))
    lists = combine(found["reviewers"])
    reviewers = pa.ListArray.from_arrays(lists.offsets, names.take(lists.values))
    columns: dict[str, Any] = {
        "media_id": media_id,
        "clip_id": combine(rows["clip_id"]).take(combine(at_newest)),
        "verdict": _where_not(differ, verdict),
        **edited,
        "reason": pc.if_else(differ, "", of_verdict["reason"]),
        "note": pc.if_else(differ, "", of_verdict["note"]),
        "start_s": combine(rows["start_s"]).take(combine(at_span)),
        "end_s": combine(rows["end_s"]).take(combine(at_span)),
        "reviewers": reviewers,
        "disagreement": found["disagreement"],
        "stale": _stale(media_id, pc.and_not(accepted, differ), of_verdict["caption_digest"], captions),
        "caption_version": of_verdict["caption_version"],
        "caption_digest": of_verdict["caption_digest"],
        "newest": combine(rows["review_id"]).take(combine(at_newest)),
    }
    return pa.table({name: columns[name] for name in DECISION_COLUMNS})


def _where_not(mask: pa.ChunkedArray, values: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(mask, pa.scalar(None, pa.string()), values)


def _stale(
    media_id: pa.Array, accepted: pa.ChunkedArray, saw: pa.ChunkedArray, captions: pa.Table | None
) -> pa.ChunkedArray | pa.Array:
    """Return whether each accepting decision saw another caption than the current one."""
    if captions is None:
        return pa.array(np.zeros(len(media_id), bool))
    digests = captions.column("caption_digest") if "caption_digest" in captions.column_names else None
    digests = caption_digests(captions) if digests is None else combine(digests)
    now = digests.take(pc.index_in(media_id, value_set=combine(captions["media_id"])))
    known = pc.and_(pc.not_equal(saw, ""), pc.is_valid(now))
    changed = pc.and_(known, pc.coalesce(pc.not_equal(saw, now), False))
    return pc.coalesce(pc.and_(accepted, changed), False)


def counted_rows(reviews: pa.Table) -> pa.Array:
    """Return a mask of the rows that no withdrawal undoes and that are no withdrawal themselves."""
    is_withdrawal = pc.equal(reviews["verdict"], Verdict.WITHDRAW.value)
    withdrawn = set[str]()
    withdrawals = reviews.select(["review_id", "action", "withdraws"]).filter(is_withdrawal)
    for row in reversed(withdrawals.to_pylist()):  # only a later row can undo one
        if row["review_id"] not in withdrawn and not (row["action"] and row["action"] in withdrawn):
            withdrawn.add(row["withdraws"])
    targets = pa.array(sorted(withdrawn - {""}), pa.string())
    undone = pc.or_(
        pc.is_in(reviews["review_id"], value_set=targets), pc.is_in(reviews["action"], value_set=targets)
    )
    mask = pc.invert(pc.or_(is_withdrawal, undone))
    return combine(mask)


def caption_digests(captions: pa.Table) -> pa.Array:
    """Return `caption_digest` of each row of a table with the columns of the texts."""
    named = (
        pc.binary_join_element_wise(length, captions[column], "=")
        for length, column in LENGTH_COLUMNS.items()
    )
    joined = pc.binary_join_element_wise("caption", *named, UNIT_SEPARATOR, null_handling="skip")
    return digest_texts(joined)
