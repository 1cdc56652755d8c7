"""Show why a clip was kept or dropped: every measurement beside its limit, and what became of the clip."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from rich.console import Group
from rich.table import Table
from rich.text import Text

from kinora.cli.result import Exit, Result
from kinora.cli.snapshot import Snapshot
from manifests.arrow import pc
from manifests.live_view import LiveView
from manifests.records import longest_text
from pipeline.analyze.signals.columns import SCORE_COLUMNS
from pipeline.config import CutConfig, SelectConfig
from pipeline.cut.crop import crop_of
from pipeline.dedup.decisions import KINDS
from pipeline.planning.last_config import last
from pipeline.select.presets import NO_LIMIT
from pipeline.select.rules import RuleCheck, check_rules


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Snapshot):
    clip: str | None = None
    """Clip id or a unique prefix of one. Default: summarize what each rule dropped."""
    examples: int = 3
    """Example clips listed per rule."""


def run(config: Config) -> Result:
    """Explain one clip, or summarize all decisions."""
    view = LiveView(config.open())
    if config.clip is None:
        return _explain_rules(view, config.examples)
    found = [row for row in view.clips.to_pylist() if row["clip_id"].startswith(config.clip)]
    if len(found) != 1:
        raise ValueError(
            f"--clip {config.clip}: matches {len(found)} clips of {config.dataset}, not one; "
            "run `kinora explain` without --clip for examples"
        )
    return _explain_clip(view, found[0])


def _explain_rules(view: LiveView, examples: int) -> Result:
    rows = view.selections.to_pylist()
    counts = Counter(row["reason"] for row in rows)
    if not rows:
        return Result({"rules": {}}, "no clips were selected yet; run `kinora curate` first", Exit.NOTHING)
    table = Table("decision", "clips", "examples", box=None, padding=(0, 2, 0, 0))
    table.columns[1].justify = "right"
    data: dict[str, Any] = {}
    for reason, count in counts.most_common():
        sample = [row for row in rows if row["reason"] == reason][:examples]
        data[reason] = {
            "clips": count,
            "examples": [{k: r[k] for k in ("clip_id", "detail")} for r in sample],
        }
        table.add_row(reason, str(count), "\n".join(f"{r['clip_id']}  {r['detail']}" for r in sample))
    bands: dict[str, Any] = {}
    for rule, count in Counter(row["review"] for row in rows if row["review"]).most_common():
        sample = [row for row in rows if row["review"] == rule][:examples]
        bands[rule] = {"clips": count, "examples": [{k: r[k] for k in ("clip_id", "detail")} for r in sample]}
        found = "\n".join(f"{r['clip_id']}  {r['detail']}" for r in sample)
        table.add_row(f"kept, review {rule}", str(count), found)
    return Result({"rules": data, "review": bands}, table)


def _explain_clip(view: LiveView, clip: dict[str, Any]) -> Result:
    clip_id = clip["clip_id"]
    unit_s = clip["time_base_num"] / clip["time_base_den"]
    decision = _row(view.selections.to_pylist(), clip_id)
    media = _media(view, clip_id)
    duplicate = _duplicates(view, clip_id)
    units = {clip_id, *(row["media_id"] for row in media)}
    failures = [f for f in view.failures.to_pylist() if f["unit"] in units]
    carried = _source_columns(view, clip["source_key"])
    results = check_rules(clip, last(view.dataset, "select", SelectConfig))
    data = {
        "clip": clip,
        "carried": carried,
        "decision": decision,
        "duplicate": duplicate,
        "media": media[0] if media else {},
        "caption": (media[0]["caption"] if media else None) or {},
        "windows": media,
        "failures": failures,
    }
    data["rules"] = [
        {"reason": v.rule.reason, "column": v.rule.column, "value": v.value, "sign": v.rule.sign}
        | {"limit": v.limit, "unit": v.rule.unit, "broken": v.broken}
        for v in results
    ]
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("clip", clip_id)
    table.add_row("source", Text(clip["uri"]))
    for name, value in carried.items():
        table.add_row(Text(name), Text(str(value)))
    span = f"{clip['start_pts'] * unit_s:.3f} to {clip['end_pts'] * unit_s:.3f} s"
    table.add_row("span", f"{span}, {clip['num_frames']} frames, {clip['width']}x{clip['height']}")
    if crop := crop_of(clip, last(view.dataset, "cut", CutConfig)):
        table.add_row("crop", f"{crop[2]}x{crop[3]} at ({crop[0]}, {crop[1]}), without borders")
    band = f", in the review band of {decision['review']}" if decision.get("review") else ""
    table.add_row("decision", f"{decision.get('reason', 'undecided')}{band}  {decision.get('detail', '')}")
    for file in duplicate["also_in"]:
        table.add_row("same bytes in", Text(file))
    if duplicate["copies"]:
        lines = (f"{row['clip_id']}  {row['kind']}  {row['detail']}" for row in duplicate["copies"])
        table.add_row("copies", "\n".join(lines))
    for row in media:
        window = f"window {row['window_index'] + 1} of {row['num_windows']}, " * (row["num_windows"] > 1)
        place = f"{row['path']} at {row['offset']}, {row['length']} bytes"
        table.add_row("media", f"{window}{row['duration_s']:.3f} s, {place}")
        if caption := row["caption"]:
            why = f"{caption['outcome']}: {caption['detail']}"
            table.add_row("caption", Text(longest_text(caption) or why))
    failed = [Text(f"{f['stage']}: {f['code']}: {f['message']}", "red") for f in failures]
    used = {check.rule.column for check in results}
    return Result(data, Group(table, *failed, _rule_table(results), _other_scores(view, clip, used)))


def _media(view: LiveView, clip_id: str) -> list[dict[str, Any]]:
    """Return the media of a clip, each with the caption that counts, or None."""
    captions = view.captions()
    texts = captions.filter(pc.equal(captions["clip_id"], clip_id)).to_pylist()
    by_media = {row["media_id"]: row for row in texts}
    rows = view.media.filter(pc.equal(view.media["clip_id"], clip_id)).to_pylist()
    rows.sort(key=lambda row: row["window_index"])
    return [row | {"caption": by_media.get(row["media_id"])} for row in rows]


def _duplicates(view: LiveView, clip_id: str) -> dict[str, Any]:
    """Return the clip's dedup decision, its copies, and other files with the same bytes."""
    decided = view.duplicates
    row = next(iter(decided.filter(pc.equal(decided["clip_id"], clip_id)).to_pylist()), None)
    copies = decided.filter(
        pc.and_(pc.equal(decided["keeper"], clip_id), pc.is_in(decided["kind"], pa.array(KINDS)))
    )
    spans = view.read("clip_occurrences", ["clip_id", "uri"])
    files = spans.filter(pc.equal(spans["clip_id"], clip_id))["uri"].to_pylist()
    own = view.read("clips", ["clip_id", "uri"])
    [used] = own.filter(pc.equal(own["clip_id"], clip_id))["uri"].to_pylist()
    return {"decision": row, "copies": copies.to_pylist(), "also_in": sorted({*files} - {used})}


def _rule_table(results: list[RuleCheck]) -> Table:
    """Render every rule with its measurement, limit and verdict."""
    table = Table("rule", "value", "limit", "unit", "verdict", box=None, padding=(0, 2, 0, 0))
    for number in (1, 2):
        table.columns[number].justify = "right"
    dropped = False
    for check in results:
        rule = check.rule
        value = "-" if check.value is None else f"{check.value:.4g}"
        word = "not measured" if check.value is None else "passed"
        if check.broken:
            word, dropped = ("also fails" if dropped else "DROPPED"), True
        limit = f"{'at least' if rule.sign == '<' else 'at most'} {check.limit:g}"
        limit = "no limit" if abs(check.limit) >= NO_LIMIT else limit
        table.add_row(rule.reason, value, limit, rule.unit, word)
    return table


def _other_scores(view: LiveView, clip: dict[str, Any], used: set[str]) -> Table:
    """Render the scores that no rule uses."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    about = {column.name: column.about for column in SCORE_COLUMNS if column.type != "binary"}
    for request in view.scorer_requests.values():
        own = {name: request.scorer for name, kind in request.columns.items() if kind != "binary"}
        about = own | about
    for name, text in about.items():
        if name in clip and name not in used:
            value = clip[name]
            shown = "not measured" if value is None else f"{value:.4g}" if isinstance(value, float) else value
            table.add_row(name, str(shown), text)
    return table


def _source_columns(view: LiveView, source_key: str) -> dict[str, Any]:
    """Return the extra columns of the clip's source, from its source list or tar."""
    rows = view.sources.select(["source_key", "carried"]).to_pylist()
    return next((json.loads(row["carried"]) for row in rows if row["source_key"] == source_key), {})


def _row(rows: list[dict[str, Any]], clip_id: str) -> dict[str, Any]:
    return next((row for row in rows if row["clip_id"] == clip_id), {})
