"""The lineage of a clip or a source as text of 80 columns, from source bytes to shards."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from manifests.records import longest_text

Row = Mapping[str, Any]
_CARRIED_CHARS = 200
_ID_CHARS = 36


def render_clip(data: Row) -> Table:
    """Return a table with a line for each step from the source to the samples."""
    table = _table()
    for label, text, *style in _source_lines(data["source"], data["steps"]):
        table.add_row(label, Text(text, *style))
    for label, text, *style in _clip_lines(data):
        table.add_row(label, Text(text, *style))
    return table


def render_source(data: Row, *, max_clips: int) -> Iterator[Table | Text]:
    """Yield the source, then a line for each of its clips, `max_clips` at most."""
    clips: Sequence[Row] = data["clips"]
    table = _table()
    for label, text, *style in _source_lines(data["source"], clips[0]["steps"] if clips else []):
        table.add_row(label, Text(text, *style))
    for row in data["failures"]:
        table.add_row("failed", Text(f"{row['stage']}: {row['code']}: {row['message']}", "red"))
    gaps = ", ".join(f"{row['reason']} {row['start_pts']} to {row['end_pts']}" for row in data["gaps"])
    table.add_row("made of it", Text(_counts(clips) + (f"; gaps: {gaps}" if gaps else "")))
    yield table
    if not clips:
        return
    table = Table("clip", "seconds", "decision", "made", box=None, padding=(0, 2, 0, 0))
    table.columns[0].no_wrap, table.columns[0].min_width = True, _ID_CHARS
    table.columns[3].overflow = "fold"
    for clip in clips[:max_clips]:
        own, decision = clip["clip"], clip["selection"]
        span = f"{own['start_s']:.2f} to {own['end_s']:.2f}"
        table.add_row(own["clip_id"], span, decision["reason"] if decision else "undecided", _made(clip))
    yield Text("")
    yield table
    if len(clips) > max_clips:
        yield Text(f"… and {len(clips) - max_clips} more clips (--json has all)")


def _made(clip: Row) -> str:
    """Return what was made of a clip: `2 captions` of one media, or with the number of windows."""
    media = [row for row in clip["media"] if row["live"]]
    counts = {
        "media": len(media) if len(media) > 1 else 0,
        "captions": sum(len(row["captions"]) for row in media),
        "reviews": sum(_num_reviews(row) for row in media),
        "samples": len(clip["samples"]),
    }
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


def _num_reviews(media: Row) -> int:
    """Count the reviews that were not taken back."""
    return sum(not review["withdrawn"] for review in media["reviews"])


def _table() -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _counts(clips: Sequence[Row]) -> str:
    media = [row for clip in clips for row in clip["media"] if row["live"]]
    captions = sum(len(row["captions"]) for row in media)
    reviews = sum(_num_reviews(row) for row in media)
    samples = sum(len(clip["samples"]) for clip in clips)
    found = f", {samples} samples" if samples else ""
    return f"{len(clips)} clips, {len(media)} media, {captions} captions, {reviews} reviews{found}"


def _source_lines(source: Row, steps: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    yield "source", str(source["uri"]), "bold"
    yield "", f"{source['size_bytes']} bytes, digest {source['source_digest']}, key {source['source_key']}"
    if source["carried"] != "{}":
        yield "", str(source["carried"])[:_CARRIED_CHARS]
    yield "analyze", _commit(source, steps)


def _clip_lines(data: Row) -> Iterator[tuple[str, ...]]:
    clip, steps = data["clip"], data["steps"]
    gone = "" if data["live"] else "  (no longer live: its source was analyzed anew)"
    yield "clip", f"{clip['clip_id']}{gone}", "bold"
    base = f"{clip['time_base_num']}/{clip['time_base_den']} s"
    span = f"{clip['start_s']:.3f} to {clip['end_s']:.3f} s"
    pts = f"pts {clip['start_pts']} to {clip['end_pts']} of {base}"
    yield "", f"{span} ({pts}), {clip['num_frames']} frames, {clip['width']}x{clip['height']}"
    yield from _decision_lines(data, steps)
    for media in data["media"]:
        yield from _media_lines(media, steps)
    for row in data["failures"]:
        yield "failed", f"{row['stage']}: {row['code']}: {row['message']}", "red"
    for sample in data["samples"]:
        yield "sample", f"{sample['key']} in {sample['shards']}", "bold"
        yield "", f"{sample['shard']} at {sample['offset']}, {sample['length']} bytes"
        caption = sample["caption"]
        text = f"caption {caption['version']}, {caption['length']} text" if caption else "no record"
        yield "", f"bucket {sample['bucket']}, {text}"
    for each in data["packed"]:
        yield "packed", f"may be in {each['shards']} (commit {each['commit']}); look with --shards"


def _decision_lines(data: Row, steps: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    duplicate, selection = data["duplicate"], data["selection"]
    if duplicate and duplicate["kind"] not in ("none", "out"):
        yield "dedup", f"{duplicate['kind']} copy {duplicate['detail']}; {_commit(duplicate, steps)}"
    for copy in data["copies"]:
        yield "copy", f"{copy['clip_id']}  {copy['kind']}  {copy['detail']}"
    if selection is None:
        yield "select", "undecided"
        return
    band = f", in the review band of {selection['review']}" if selection["review"] else ""
    detail = f" ({selection['detail']})" if selection["detail"] else ""
    yield "select", f"{selection['reason']}{band}{detail}; {_commit(selection, steps)}"
    close = [
        f"{rule['rule']} {rule['value']:.4g} (limit {rule['limit']:g})"
        for rule in selection["rules_checked"]
        if rule["broken"]
    ]
    if close:
        yield "", f"broken: {', '.join(close)}"


def _media_lines(media: Row, steps: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    gone = "" if media["live"] else "  (no longer live: cut anew)"
    yield "media", f"{media['media_id']}{gone}", "bold"
    window = f"window {media['window_index'] + 1} of {media['num_windows']}, " * (media["num_windows"] > 1)
    span = f"{media['source_start_s']:.3f} to {media['source_end_s']:.3f} s of the source"
    yield "", f"{window}{span}, {media['num_frames']} frames; sample key {media['key']}"
    place = f"{media['path']} at {media['offset']}, {media['length']} bytes"
    yield "", f"{place}, digest {media['digest'] or 'unknown'}"
    yield "cut", _commit(media, steps)
    for caption in media["captions"]:
        counts = ", counts" if caption["counts"] else ""
        made = f"{caption['captioner']} {caption['model']} {caption['revision']}".strip()
        yield "caption", f"{caption['version']}: {caption['outcome']}{counts}; {_commit(caption, steps)}"
        yield "", f"{made}, prompt {caption['prompt_digest'] or 'none'}, frames {[*caption['frames_shown']]}"
        yield "", longest_text(caption) or caption["detail"]
    for review in media["reviews"]:
        what = f"{review['verdict']} {review['length']}".strip()
        said = "; ".join(filter(None, (review["reason"], review["note"], review["new_text"])))
        gone = "  (withdrawn: it does not count)" if review["withdrawn"] else ""
        style = ("dim",) if gone else ()
        seen = f"of {review['caption_version']}" if review["caption_version"] else ""
        about = "; ".join(filter(None, (f"{what} {seen}".strip(), said)))
        yield ("review", f"{review['reviewer']} at {review['at']}: {about}{gone}", *style)


def _commit(row: Row, steps: Sequence[Row]) -> str:
    step = next((step for step in steps if step["commit"] == row["_commit"]), None)
    if step is None:
        return f"commit {row['_commit']}"
    known = step["config_digest"] in ("", row.get("version"))
    digest = "" if known else f", configuration {step['config_digest']}"
    return f"commit {step['commit']} ({step['at'][:19]}){digest}"
