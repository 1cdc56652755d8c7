"""Trace a clip, media, sample, source or review back to source bytes, and forward to all made of it.

A sample key of a shard or batch, a clip id, a media id, a source key, digest or path, or a review id; the
beginning of one will do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group

from kinora.cli.result import Result
from kinora.cli.snapshot import Snapshot
from kinora.shards_of import samples_of
from kinora.trace_text import render_clip, render_source
from manifests import lineage
from manifests.dataset import Commit
from manifests.lineage import ClipLineage
from manifests.live_view import COMMIT_COLUMN, LiveView
from manifests.shards import ShardIndex
from pipeline.config import SelectConfig
from pipeline.planning.last_config import build
from pipeline.select.rules import check_rules

POSITIONAL = "id"
_MAX_CLIPS = 40
"""Clips of a source that are printed; `--json` has all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Snapshot):
    id: str
    """What to trace; a unique beginning is enough."""
    shards: str | None = None
    """Shard set to find it in: a folder or s3://bucket/prefix. Default: name the sets that were packed."""


def run(config: Config) -> Result:
    """Trace one thing. Raises ValueError if no id, or more than one, begins with the text."""
    dataset = config.open()
    view = LiveView(dataset)
    found = lineage.resolve(dataset, config.id)
    index = ShardIndex.load(config.shards) if config.shards else None
    data: dict[str, Any] = {"id": config.id, "kind": found.kind, "commit": dataset.number}
    if found.kind != "source":
        clip_id, media_id = lineage.clip_of(dataset, found)
        [clip] = lineage.trace_clips(view, [clip_id], media_id)
        data |= _clip(clip, dataset.commits, index)
        return Result(data, render_clip(data))
    source = lineage.source_of(dataset, found)
    clips = lineage.trace_clips(view, lineage.clips_of(view, source))
    gaps = view.read("gaps")
    data |= {
        "source": source,
        "clips": [_clip(clip, dataset.commits, index) for clip in clips],
        "gaps": [row for row in gaps.to_pylist() if row["source_key"] == source["source_key"]],
        "failures": [row for row in view.failures.to_pylist() if row["unit"] == source["source_key"]],
    }
    return Result(data, Group(*render_source(data, max_clips=_MAX_CLIPS)))


def _clip(clip: ClipLineage, commits: Sequence[Commit], index: ShardIndex | None) -> dict[str, Any]:
    """Return a clip's lineage as plain values: rows, the rules that judged it, samples, and commits."""
    media = [*clip.media]
    ids, keys = ([row[name] for row in media] for name in ("media_id", "key"))
    samples = samples_of(index, ids, keys) if index else []
    by_media = {row["media_id"]: row for row in media}
    steps = {number: _step(commits[number]) for number in lineage.commits_of(clip)}
    packed = [] if index else [_pack(commit) for commit in commits if commit.stage == "pack"]
    return {
        "source": clip.source,
        "clip": _with_seconds(clip.clip),
        "live": clip.live,
        "selection": clip.selection and clip.selection | {"rules_checked": _rules(clip, commits)},
        "duplicate": clip.duplicate,
        "copies": [*clip.copies],
        "media": [_with_window(row, clip.clip) for row in by_media.values()],
        "failures": [*clip.failures],
        "samples": samples,
        "packed": packed,
        "steps": [*steps.values()],
    }


def _step(commit: Commit) -> dict[str, Any]:
    return {
        "commit": commit.number,
        "stage": commit.stage,
        "at": commit.at,
        "config_digest": commit.config_digest,
        "config": commit.config,
        "command": commit.command,
        "versions": commit.versions,
    }


def _pack(commit: Commit) -> dict[str, Any]:
    return {"shards": commit.config.get("out", ""), "commit": commit.number, "at": commit.at}


def _rules(clip: ClipLineage, commits: Sequence[Commit]) -> list[dict[str, Any]]:
    """Hold the clip against the rules of the commit that selected it."""
    if clip.selection is None:
        return []
    config = build(SelectConfig, commits[clip.selection[COMMIT_COLUMN]].config)
    return [
        {"rule": check.rule.reason, "value": check.value, "limit": check.limit, "broken": check.broken}
        for check in check_rules(clip.clip, config)
        if check.value is not None
    ]


def _with_seconds(clip: Mapping[str, Any]) -> dict[str, Any]:
    unit_s = clip["time_base_num"] / clip["time_base_den"]
    return {**clip, "start_s": clip["start_pts"] * unit_s, "end_s": clip["end_pts"] * unit_s}


def _with_window(media: Mapping[str, Any], clip: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of media with the span of the source that it shows."""
    whole = media["window_start_pts"] is None
    start, end = (clip[name] if whole else media[f"window_{name}"] for name in ("start_pts", "end_pts"))
    unit_s = clip["time_base_num"] / clip["time_base_den"]
    return {
        **media,
        "source_start_s": start * unit_s,
        "source_end_s": end * unit_s,
        "source_start_pts": start,
        "source_end_pts": end,
    }
