"""Read the captions of a shard set: key columns to choose them, and their texts when they are packed."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.caption_order import count_versions
from manifests.live_view import LiveView
from manifests.records import LENGTH_COLUMNS, LENGTHS
from manifests.row_reads import read_rows
from pipeline.config import LATEST_CAPTIONS, PackConfig
from pipeline.pack.captions import (
    CaptionChoice,
    CaptionOption,
    check_versions,
    choose,
    length_bits,
    parse_policy,
    split_reviewed,
)
from pipeline.pack.reviews import (
    EDITED,
    ReviewCounts,
    count_reviews,
    decide,
    seen_digests,
    with_decisions,
    with_reviews,
    without_reviews,
)
from pipeline.pack.samples import COLUMNS, caption_digests, caption_lengths


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewedChoice(CaptionChoice):
    """The caption of each media that gets one, and what its review says."""

    reviews: ReviewCounts


_KEYS = ("media_id", "version", "outcome")


def choose_captions(view: LiveView, media: pa.Table, config: PackConfig) -> ReviewedChoice:
    """Return the caption of each media under `config.captions`, with what reviews say of it.

    Its rows have `content` (a digest) and `chars` for the texts, and the columns of `with_reviews` and
    `with_decisions`.

    Raises ValueError, with what there is, for a policy that cannot be followed.
    """
    lay_over, policy = split_reviewed(config.captions)
    options = parse_policy(policy)
    reviews = view.read("reviews")
    decisions = decide(reviews) if reviews.num_rows else None
    candidates = _candidates(view, options, decisions)
    if options:
        check_versions(options, _counts(view, candidates), config.captions)
    if decisions is None:
        candidates = without_reviews(candidates)
    else:
        candidates = with_reviews(candidates, decisions, config.reviews, lay_over=lay_over)
    candidates = candidates.filter(pc.not_equal(candidates["lengths"], 0))  # failed, or emptied by a reviewer
    choice = choose(media["media_id"], candidates, options)
    fixed = pc.binary_join_element_wise(choice.rows["content"], choice.rows["text_length"], ":")
    content = pc.if_else(choice.rows["fixed_length"], fixed, choice.rows["content"])
    rows = choice.rows.set_column(choice.rows.column_names.index("content"), "content", content)
    rows = with_decisions(rows, media, decisions, config.reviews, lay_over=lay_over)
    return ReviewedChoice(
        rows=rows,
        left_out=choice.left_out,
        redrawn=choice.redrawn,
        reviews=count_reviews(rows, decisions),
    )


def _candidates(view: LiveView, options: Sequence[CaptionOption], decisions: pa.Table | None) -> pa.Table:
    """Return the captions of the versions in `options`, or those that count: OK ones, and failed ones of
    reviewed media, for which a reviewer may have written a text."""
    reviewed = None if decisions is None else combine(decisions["media_id"])
    versions = [*dict.fromkeys(option.version for option in options if option.version != LATEST_CAPTIONS)]
    tables: list[pa.Table] = []
    for version in versions or [None]:
        table = view.read("captions", _KEYS, version=version)
        table = table.append_column("caption_row", pa.array(view.row_indices("captions", version)))
        wanted = pc.equal(table["outcome"], "ok")
        if reviewed is not None:
            wanted = pc.or_(wanted, pc.is_in(table["media_id"], value_set=reviewed))
        tables.append(table.filter(wanted))
    rows = pa.concat_tables(tables)
    about = read_rows(
        view.dataset,
        "captions",
        ["media_id", *COLUMNS["captions"]],
        rows["caption_row"].to_numpy(),
        lambda part: _describe(part, reviewed),
    )
    for name in about.column_names:
        rows = rows.append_column(name, about[name])
    return rows


def _describe(captions: pa.Table, reviewed: pa.Array | None) -> pa.Table:
    """Return of captions which lengths they have, a digest, their size, and what their reviews saw."""
    columns: dict[str, Any] = {
        "lengths": length_bits(captions, LENGTH_COLUMNS),
        "content": caption_digests(captions),
        "chars": caption_lengths(captions),
    }
    if reviewed is not None:
        columns["seen"] = seen_digests(captions, reviewed)
    return pa.table(columns)


def read_texts(view: LiveView, rows: pa.Table) -> pa.Table:
    """Return the columns of captions in `COLUMNS` for each of `rows`, with its edited texts.

    Args:
        rows: `caption_row` and `EDITED`.
    """
    texts = read_rows(view.dataset, "captions", COLUMNS["captions"], rows["caption_row"].to_numpy())
    for length, column in LENGTH_COLUMNS.items():
        edited = pc.coalesce(rows[EDITED[length]], texts[column])
        texts = texts.set_column(texts.column_names.index(column), column, edited)
    return texts.select(COLUMNS["captions"])


def count_texts(rows: pa.Table) -> dict[str, dict[str, int]]:
    """Return the number of rows by `version` and `text_length`."""
    counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for group in rows.group_by(["version", "text_length"]).aggregate([([], "count_all")]).to_pylist():
        counts[group["version"]][group["text_length"]] = group["count_all"]
    return {version: dict(sorted(counts[version].items())) for version in sorted(counts)}


def _counts(view: LiveView, candidates: pa.Table) -> dict[str, dict[str, int]]:
    """Return the number of OK captions of each version, and of those with each length."""
    attempts = view.read("caption_attempts", ("version", "outcome"))
    counts: dict[str, dict[str, int]] = {
        version: {"ok": counts["ok"]} for version, counts in count_versions(attempts).items()
    }
    for group in candidates.group_by(["version", "lengths"]).aggregate([([], "count_all")]).to_pylist():
        lengths = _lengths_of(group["lengths"])
        found = counts[group["version"]]
        found |= {length: found.get(length, 0) + group["count_all"] for length in lengths}
    return counts


def _lengths_of(bits: int) -> Sequence[Any]:
    return [length for bit, length in enumerate(LENGTHS) if bits >> bit & 1]
