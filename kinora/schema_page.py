"""Write the reference part of docs/manifests.md from the records: `python -m kinora.schema_page`."""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from textwrap import dedent

import pyarrow as pa

from manifests import records, schemas
from manifests.migrations import STEPS
from manifests.parts import RECORDS
from manifests.review.decisions import DECISION_COLUMNS
from manifests.view_schemas import COMMITS_SCHEMA, VIEW_DOCS
from pipeline.analyze.signals.columns import SCORE_COLUMNS

PAGE = Path(__file__).parents[1] / "docs" / "manifests.md"
BEGIN = "<!-- begin of the reference; written by `python -m kinora.schema_page` -->"
END = "<!-- end of the reference -->"

COMMON = {
    "captioner": "Kind of captioner.",
    "clip_id": "The clip: names the bytes of its source, the stream and the span.",
    "code": "What failed, such as TRUNCATED.",
    "codec": "Codec of the video stream; null for a failed source.",
    "end_pts": "End of the span, exclusive.",
    "etag": "The store's entity tag, or the modification time in nanoseconds on a local disk.",
    "carried": "JSON object of the extra columns of a source list (licence, url, original caption).",
    "fps": "Frame rate.",
    "height": "Height, rotation applied.",
    "kept": "Whether the clip is kept.",
    "duration_s": "Duration.",
    "media_id": "The media that this is about: names what a captioner sees.",
    "message": "What went wrong, for people.",
    "model": "Name of the model.",
    "note": "Free text of the reviewer.",
    "num_frames": "Number of frames, counted by decoding.",
    "outcome": "ok, refused, empty, truncated, degenerate, timeout or error. Only ok has texts.",
    "prompt_digest": "Digest of the prompts.",
    "analysis": "Digest of the analysis that found this.",
    "remedy": "What to do about it, for people.",
    "reviewer": "Name of the reviewer.",
    "revision": "Revision or digest of the model's weights.",
    "size_bytes": "Size of the file.",
    "source_digest": "Digest of the source file's bytes.",
    "source_key": "Key of this version of the file: changes with its size or etag.",
    "stage": "The stage that failed: analyze, `score NAME`, cut or caption.",
    "start_pts": "Start of the span.",
    "status": "ok or failed.",
    "stream_index": "Index of the video stream in its file.",
    "time_base_den": "Denominator of the time base.",
    "time_base_num": "Numerator of the time base: a pts times num / den is a time in seconds.",
    "uri": "The source file: a path, s3://… or a member of a tar.",
    "verdict": "approve, edit, reject, flag, span, withdraw or compare.",
    "width": "Width, rotation applied.",
}
"""Descriptions of columns whose record has none of its own."""
SPECIAL = {
    ("gaps", "reason"): "Why there is no clip: `transition`, `shot_too_short`, `no_frames` or `damaged`.",
    ("reviews", "reason"): "Reason of a rejection or flag.",
    ("reviews", "length"): "Length of the text that an edit replaces: short, medium or dense.",
    ("media", "length"): "Length of the member's data, in bytes.",
    (
        "captions",
        "frames_shown",
    ): "Indices of the frames that the captioner saw, among every n-th of the media: n "
    "is the least that gives at most `max_frames` of the configuration.",
}
"""Descriptions of columns, by table, where a field's own says less."""
UNITS = {
    "size_bytes": "bytes",
    "offset": "bytes",
    "height": "px",
    "width": "px",
    "fps": "frames/s",
    "num_frames": "frames",
    "start_pts": "time base",
    "end_pts": "time base",
    "window_start_pts": "time base",
    "window_end_pts": "time base",
}
DECISION_DOCS = {
    "media_id": "The reviewed media.",
    "clip_id": "Its clip.",
    "verdict": "approve, edit, reject, flag; span if only that was mended; null where reviewers differ.",
    "short": "The edited short text; null where it was not edited.",
    "medium": "The edited medium text; null where it was not edited.",
    "text": "The edited dense text; null where it was not edited.",
    "reason": "Reason of a rejection or flag.",
    "note": "Free text of the newest review.",
    "start_s": "Start of the new span, seconds from the start of the media; null without one.",
    "end_s": "End of the new span, exclusive.",
    "reviewers": "Names of the reviewers.",
    "disagreement": "Whether the newest verdicts or texts of two reviewers differ.",
    "stale": "Whether the caption has changed since an approval or edit.",
    "caption_version": "Version of the caption that the verdict was on.",
    "caption_digest": "Digest of the texts that the verdict was on.",
    "newest": "`review_id` of the newest review that counts.",
}
COMMIT_DOCS = {
    "number": "Number of the commit, from 0.",
    "at": "UTC time, ISO 8601.",
    "stage": "What made it: analyze, score, dedup, select, cut, caption, review, pack, …",
    "config_digest": "Digest of the configuration; the caption version for `caption`.",
    "config": "JSON object of the configuration, without credentials.",
    "counts": "JSON object of counts by result.",
    "seconds": "Wall time.",
    "command": "Command line that made it; empty if there was none.",
    "versions": "JSON object of software versions.",
}
_ANALYZE_S = ("analyze_s", "double", "yes", "s", "Wall time of the analysis.")
_Cells = tuple[str, str, str, str, str]


def render() -> str:
    """Return the reference: every table with its columns and history, then the views."""
    return "\n".join(_lines())


def write(page: Path = PAGE) -> None:
    """Replace the reference in the page."""
    before, after = page.read_text().split(BEGIN)[0], page.read_text().split(END)[1]
    page.write_text(f"{before}{BEGIN}\n\n{render()}\n{END}{after}")


def field_docs(record: type) -> dict[str, str]:
    """Return the description of each column of a record: that of its field, else the common one."""
    [class_] = ast.parse(dedent(inspect.getsource(record))).body
    assert isinstance(class_, ast.ClassDef)
    own: dict[str, str] = {}
    for statement, following in zip(class_.body, [*class_.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr):
            text = ast.literal_eval(following.value)
            own[ast.unparse(statement.target)] = " ".join(text.split())
    return {field.name: own.get(field.name) or COMMON.get(field.name, "") for field in fields(record)}


def _lines() -> Iterator[str]:
    yield "## Tables\n"
    for table, record in RECORDS.items():
        yield from _table(table, record)
    yield "## Views\n"
    yield "Each view also has `_commit` (int64), the number of the commit that added the row.\n"
    yield "| view | rows | columns |\n|---|---|---|"
    for name, about in VIEW_DOCS.items():
        yield f"| `{name}` | {about} | {_columns_of(name)} |"
    yield "\n### `decisions`\n"
    yield "| column | about |\n|---|---|"
    yield from (f"| `{name}` | {DECISION_DOCS[name]} |" for name in DECISION_COLUMNS)
    yield "\n### `commits`\n"
    yield "| column | type | about |\n|---|---|---|"
    for field in COMMITS_SCHEMA:
        yield f"| `{field.name}` | {field.type} | {COMMIT_DOCS[field.name]} |"
    yield ""


def _table(table: str, record: type) -> Iterator[str]:
    steps = STEPS.get(record.__name__, ())
    yield f"### `{table}`\n"
    about = (record.__doc__ or "").split("\n\n")[0]
    yield f"{' '.join(about.split())} Record `{record.__name__}`, version {1 + len(steps)}.\n"
    for number, step in enumerate(steps, start=2):
        history = " ".join((step.__doc__ or "").split("\n\n")[0].split())
        yield f"- Version {number}: {history[:1].lower()}{history[1:]}"
    if steps:
        yield ""
    yield "| column | type | null | unit | about |\n|---|---|---|---|---|"
    docs = field_docs(record)
    schema = schemas.arrow_schema(record)
    rows = [_cells(field, SPECIAL.get((table, field.name)) or docs[field.name]) for field in schema]
    rows += [_ANALYZE_S] if table == "sources" else []
    yield from (f"| `{name}` | {' | '.join(rest)} |" for name, *rest in rows)
    yield ""
    if table == "clips":
        yield from _scores()


def _cells(field: pa.Field, about: str) -> _Cells:
    unit = "s" if field.name.endswith("_s") else UNITS.get(field.name, "")
    about = re.sub(r"\bNone\b", "null", about)
    kind = f"list of {field.type.value_type}" if pa.types.is_list(field.type) else str(field.type)
    return field.name, kind, "yes" if field.nullable else "no", unit, _cell(about)


def _scores() -> Iterator[str]:
    yield "Scores are further columns, null where nothing could be measured, with those of your own scorers"
    yield "beside Kinora's:\n"
    yield "| column | type | about |\n|---|---|---|"
    yield from (f"| `{each.name}` | {each.type} | {_cell(each.about)} |" for each in SCORE_COLUMNS)
    yield ""


def _columns_of(name: str) -> str:
    special: Mapping[str, str] = {
        "decisions": "below",
        "commits": "below",
        "captioned": "those of `media`, `captions`, `clips` and `selections`; of equal names the first, but "
        "`caption_detail` and `media_digest` are `detail` and `digest` of their views",
        "clips": "of its table, with the scores that count; without pictures, hashes and embeddings",
        "scores": "of its table, with the columns of all scorers",
    }
    table = {"clip_occurrences": "clips", "caption_attempts": "captions", "newest_attempts": "captions"}
    return special.get(name, f"of table `{table.get(name, name)}`")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    write()

__all__ = ["BEGIN", "END", "PAGE", "field_docs", "records", "render", "write"]
