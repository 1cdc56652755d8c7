"""Read the captions of a shard set: key columns to choose them, and their texts when they are packed."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.caption_order import count_versions
from manifests.live_view import LiveView
from manifests.records import LENGTH_COLUMNS, LENGTHS
from pipeline.pack.captions import CaptionChoice, check_versions, choose, length_bits, parse_policy
from pipeline.pack.plan import COLUMNS, caption_digests, caption_lengths

_KEYS = ("media_id", "version", "outcome", "lengths", "content", "chars")


def choose_captions(view: LiveView, media_id: pa.ChunkedArray, policy: str) -> CaptionChoice:
    """Return the caption of each media under `policy`, with `content` (a digest) and `chars` for its texts.

    Raises ValueError, with what there is, for a policy that cannot be followed.
    """
    options = parse_policy(policy)
    view.derive("captions", "lengths", [*LENGTH_COLUMNS.values()], _length_bits)
    view.derive("captions", "content", COLUMNS["captions"], caption_digests)
    view.derive("captions", "chars", [*LENGTH_COLUMNS.values()], caption_lengths)
    versions = [*dict.fromkeys(option.version for option in options)]
    tables = [view.read("captions", _KEYS, version=version) for version in versions or [None]]
    candidates = pa.concat_tables(table.filter(pc.equal(table["outcome"], "ok")) for table in tables)
    if options:
        check_versions(options, _counts(view, candidates), policy)
    choice = choose(media_id, candidates, options)
    fixed = pc.binary_join_element_wise(choice.rows["content"], choice.rows["text_length"], ":")
    content = pc.if_else(choice.rows["fixed_length"], fixed, choice.rows["content"])
    rows = choice.rows.set_column(choice.rows.column_names.index("content"), "content", content)
    return CaptionChoice(rows=rows, left_out=choice.left_out, redrawn=choice.redrawn)


def read_texts(view: LiveView, rows: pa.Table) -> pa.Table:
    """Return the columns of captions in `COLUMNS` for each of `rows` (`media_id`, `version`)."""
    tables: list[pa.Table] = []
    for version in sorted({*rows["version"].to_pylist()}):
        captions = view.read("captions", ("media_id", *COLUMNS["captions"]), version=version)
        wanted = rows.filter(pc.equal(rows["version"], version))["media_id"]
        tables.append(captions.filter(pc.is_in(captions["media_id"], value_set=combine(wanted))))
    captions = pa.concat_tables(tables)
    index = pc.index_in(rows["media_id"], value_set=combine(captions["media_id"]))
    return captions.select(COLUMNS["captions"]).take(index)


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


def _length_bits(captions: pa.Table) -> pa.Array:
    return length_bits(captions, LENGTH_COLUMNS)


def _lengths_of(bits: int) -> Sequence[Any]:
    return [length for bit, length in enumerate(LENGTHS) if bits >> bit & 1]
