"""What a captioner is given of a clip beside its frames: what is heard, and its scores in words."""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from captioner.transcript import TranscriptError, heard_between
from manifests.arrow import combine, pc
from manifests.live_view import LiveView
from pipeline.caption.score_words import score_columns, score_words
from pipeline.caption.transcripts import is_ending
from pipeline.caption.units import CaptionUnit
from pipeline.planning.auditing import media_spans

_EDGE_S = 0.05
"""A span that ends this near to both ends of its source is all of it."""


def with_transcripts(view: LiveView, media: pa.Table, transcripts: str) -> pa.Table:
    """Append to rows of media their span in the source, `whole`, and what the source list carried.

    Args:
        transcripts: `CaptionConfig.transcripts`.

    Raises ValueError for a column that no source list has.
    """
    spans = media_spans(view, media["media_id"])
    sources = view.read(
        "sources", ["uri", "carried", "start_pts", "end_pts", "time_base_num", "time_base_den"]
    )
    sources = sources.take(combine(pc.index_in(spans["uri"], value_set=combine(sources["uri"]))))
    unit_s = pc.divide(
        sources["time_base_num"].cast(pa.float64()), sources["time_base_den"].cast(pa.float64())
    )
    length_s = pc.multiply(pc.subtract(sources["end_pts"], sources["start_pts"]).cast(pa.float64()), unit_s)
    starts, ends = pc.less_equal(spans["start_s"], _EDGE_S), pc.subtract(length_s, spans["end_s"])
    whole = pc.fill_null(pc.and_(starts, pc.less_equal(ends, _EDGE_S)), False)
    for name, column in {"start_s": spans["start_s"], "end_s": spans["end_s"], "whole": whole}.items():
        media = media.append_column(name, combine(column))
    if is_ending(transcripts):
        return media
    texts = combine(sources["carried"]).dictionary_encode()
    known = [_cell(text, transcripts) for text in texts.dictionary.to_pylist()]
    if media.num_rows and not any(known):
        raise ValueError(
            f"transcripts: no source has a column {transcripts!r}; name one of the source list, or the "
            "ending of files beside the sources, such as .vtt"
        )
    return media.append_column("transcript", pa.array(known, pa.string()).take(texts.indices))


def scores_in_words(view: LiveView, clip_rows: pa.ChunkedArray, names: Sequence[str]) -> pa.Array:
    """Return the scores of clips in words.

    Args:
        clip_rows: rows of the view `clips`.
        names: of `pipeline.caption.score_words.SCORES`.

    Raises ValueError for a score that no clip has.
    """
    columns = score_columns(names)
    known = {*view.columns("clips")}
    if missing := [f"{name} (column {column})" for name, column in columns.items() if column not in known]:
        raise ValueError(
            f"score_words: no clip has {', '.join(missing)}; run `kinora curate` with its scorer, or leave "
            "it out"
        )
    scores = view.read("clips", [*dict.fromkeys(columns.values())]).take(combine(clip_rows))
    return pa.array([score_words(row, names) for row in scores.to_pylist()], pa.string())


def make_unit(transcripts: str, rows: Sequence[Mapping[str, Any]]) -> CaptionUnit:
    """Return the unit of a row; with an error if its transcript cannot be read."""
    fields = dict(rows[0])
    transcript = fields.pop("transcript", "")
    if not transcript:
        return CaptionUnit(**fields)
    try:
        heard = heard_between(transcript, fields["start_s"], fields["end_s"], whole=fields["whole"])
    except TranscriptError as error:
        problem = (
            f"{fields['uri']}: column {transcripts} of its source list: {error}; mend it, and list it again"
        )
        return CaptionUnit(**fields, heard_error=problem)
    return CaptionUnit(**fields, heard=heard)


def _cell(carried: str, column: str) -> str:
    """Return a column of a source list, as text; JSON for lists and objects."""
    value = json.loads(carried or "{}").get(column)
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)
