"""What a run would do, stage by stage: how much, about how long at the rate of earlier runs, and why."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.dataset import Commit
from manifests.live_view import LiveView
from manifests.records import Source, digest
from pipeline.caption.batch import CaptionSpec
from pipeline.config import (
    AnalyzeConfig,
    CaptionConfig,
    CutConfig,
    DedupConfig,
    PackConfig,
    SelectConfig,
    config_digest,
)
from pipeline.dedup.decisions import INELIGIBLE, KINDS, DedupRound, dedup_digest
from pipeline.planning import pending
from pipeline.planning.history import OTHER_CODE, UNKNOWN, History, Rate, difference
from pipeline.select.select import rules_digest

NEW_FILE, CHANGED_FILE, FAILED = "new file", "changed file", "failed before"
UNSCORED = "a scorer failed before"
OTHER_MODEL = "other weights or code version"
UNLESS_COPY = "unless it is a copy"


@dataclass(frozen=True, kw_only=True, slots=True)
class StagePlan:
    """One stage of a run that has not begun."""

    stage: str
    unit: str
    """What is counted: files, clips or samples."""
    units: int
    """How many would run."""
    of: int
    """How many there are in all."""
    seconds: float | None
    """How long, at the rate of earlier commits; None where no rate is known yet."""
    rate: str
    """Where `seconds` comes from."""
    why: Mapping[str, int] = field(default_factory=dict)
    """Units by the reason that they would run."""


def plan_analyze(
    view: LiveView, listed: Sequence[Source], sources: Sequence[Source], config: AnalyzeConfig
) -> StagePlan:
    """Return what analysing `sources`, those of `listed` that are left to do, takes."""
    history = History(view.dataset.commits, "analyze")
    known = view.read("sources", ["uri", "source_key", "analysis", "status", "size_bytes"])
    uris = pa.array([source.uri for source in sources], pa.string())
    keys = pa.array([source.source_key for source in sources], pa.string())
    found = pc.index_in(uris, value_set=combine(known["uri"]))
    before = known.take(found)
    changed = pc.not_equal(before["source_key"], keys)
    other = _labels(before["analysis"], lambda name: history.change(name, config))
    failed = pc.equal(before["status"], "failed")
    same = pc.equal(before["analysis"], config_digest(config))
    after_failure = pc.if_else(same, FAILED, pc.binary_join_element_wise(pa.scalar(FAILED), other, "; "))
    why = pc.if_else(
        changed, CHANGED_FILE, pc.if_else(failed, after_failure, pc.if_else(same, UNSCORED, other))
    )
    sizes = known.group_by("analysis").aggregate([("size_bytes", "sum")]).to_pylist()
    rate = history.rate(config_digest(config), {row["analysis"]: row["size_bytes_sum"] for row in sizes})
    return _plan(
        "analyze", "files", why.fill_null(NEW_FILE), len(listed), rate, sum(s.size_bytes for s in sources)
    )


def plan_new(listed: Sequence[Source]) -> StagePlan:
    """Return what analysing `listed` into a dataset that is not there yet takes."""
    why = pa.chunked_array([pa.repeat(pa.scalar(NEW_FILE), len(listed))])
    return _plan("analyze", "files", why, len(listed), None, 0)


def plan_dedup(view: LiveView, dedup_round: DedupRound, config: DedupConfig) -> StagePlan:
    """Return what looking for copies among the new clips of `dedup_round` takes."""
    history = History(view.dataset.commits, "dedup")
    mine = config_digest(config)
    by = {dedup_digest(each, name): each for each in history.configs for name in _analyses(view)}

    def label(digest: str) -> str:
        name = by.get(digest, "")
        return "measured anew" if name == mine else history.change(name, config)

    new = dedup_round.clips.filter(dedup_round.clips["is_new"])
    decided = view.read("duplicates", ["clip_id", "kind", "config"])
    before = decided.take(pc.index_in(new["clip_id"], value_set=combine(decided["clip_id"])))
    undone = "others are new, and the best is kept" if config.prefer == "best" else "its keeper breaks a rule"
    again = pc.if_else(pc.equal(before["kind"], INELIGIBLE), "breaks no rule any more", undone)
    same = pc.equal(before["config"], new["digest"])
    why = pc.if_else(same, again, _labels(before["config"], label)).fill_null("not compared yet")
    num_clips = view.read("clips", ["clip_id"]).num_rows
    return _plan("dedup", "clips", why, num_clips, history.rate(mine), 0)


def plan_select(view: LiveView, rows: pa.Table, config: SelectConfig) -> StagePlan:
    """Return what deciding `rows`, clips that the rules did not decide, takes."""
    history = History(view.dataset.commits, "select")
    decided = view.read("selections", ["clip_id", "rules"])
    clips = view.read("clips", ["clip_id"])
    copies = view.read("duplicates", ["clip_id", "kind", "keeper"])
    copies = copies.filter(pc.is_in(copies["kind"], value_set=pa.array(KINDS)))
    copies = rows.select(["clip_id", "analysis"]).join(copies, "clip_id", join_type="inner").to_pylist()
    names = _analyses(view)
    by = {rules_digest(each, name): each for each in history.configs for name in names}
    by |= {
        rules_digest(each, row["analysis"], row["kind"], row["keeper"]): each
        for row in copies
        for each in history.configs
    }
    mine = config_digest(config)

    @cache
    def change(name: str) -> str:
        return "measured or compared anew" if name == mine else history.change(name, config)

    before = pc.take(decided["rules"], pc.index_in(rows["clip_id"], value_set=combine(decided["clip_id"])))
    why = _labels(before, lambda rules: change(by.get(rules, ""))).fill_null("not decided yet")
    return _plan("select", "clips", why, clips.num_rows, history.rate(mine), 0)


def plan_cut(view: LiveView, rows: pa.Table, config: CutConfig, unsure: pa.ChunkedArray) -> StagePlan:
    """Return what cutting `rows`, the rows of `pending.cut_table`, takes.

    Args:
        unsure: ids of clips that are compared first, and not cut where they are copies.
    """
    history = History(view.dataset.commits, "cut")
    media = view.read("media", ["clip_id", "encoding"])
    kept = view.read("selections", ["kept"])
    crops = view.query("SELECT DISTINCT crop FROM p", p=rows)["crop"].to_pylist()
    by = {digest("crop", name, *crop): name for name in history.configs for crop in crops if crop}
    by |= {name: name for name in history.configs}
    mine = config_digest(config)

    def label(encoding: str) -> str:
        name = by.get(encoding, "")
        return "other crop" if name == mine else history.change(name, config)

    before = pc.take(media["encoding"], pc.index_in(rows["clip_id"], value_set=combine(media["clip_id"])))
    failed = pc.is_in(rows["clip_id"], value_set=combine(pending.failed_units(view, "cut")["unit"]))
    why = pc.if_else(failed, FAILED, _labels(before, label).fill_null("not cut yet"))
    compared = pc.is_in(rows["clip_id"], value_set=combine(unsure))
    why = pc.if_else(compared, pc.binary_join_element_wise(why, UNLESS_COPY, "; "), why)
    of = int(pc.sum(kept["kept"]).as_py() or 0)
    return _plan("cut", "clips", why, of, history.rate(mine), 0)


def plan_caption(
    view: LiveView, rows: pa.Table, num_media: int, config: CaptionConfig, spec: CaptionSpec
) -> StagePlan:
    """Return what captioning `rows`, media that this version is to be tried on, takes."""
    history = History(view.dataset.commits, "caption")
    before = view.read("captions", ["media_id", "version", "outcome", "prompt_digest"])
    before = before.take(pc.index_in(rows["media_id"], value_set=combine(before["media_id"])))
    prompts = f"{spec.dense.digest}+{spec.short.digest}"

    def label(version: str) -> str:
        change = history.change(version, config)
        return OTHER_MODEL if change == OTHER_CODE else change

    other = _labels(before["version"], label)
    reworded = pc.and_(pc.not_equal(before["prompt_digest"], prompts), pc.equal(other, OTHER_MODEL))
    other = pc.if_else(
        reworded, _labels(before["prompt_digest"], lambda old: f"prompt {old} -> {prompts}"), other
    )
    again = pc.and_(pc.equal(before["version"], spec.version), pc.not_equal(before["outcome"], "ok"))
    why = pc.if_else(again, FAILED, other).fill_null("not captioned yet")
    return _plan("caption", "clips", why, num_media, history.rate(spec.version), 0)


def plan_pack(
    commits: Sequence[Commit],
    num_samples: int,
    num_media: int,
    before: Mapping[str, Any],
    config: PackConfig,
    *,
    same: bool,
) -> StagePlan:
    """Return what packing takes.

    Args:
        before: what the shard set that is there says of itself; empty where there is none.
        same: whether that is the very set.
    """
    history = History(commits, "pack")
    made = [
        c.config
        for c in commits
        if c.stage == "pack" and c.config.get("fingerprint") == before.get("fingerprint")
    ]
    why = "no shard set is there yet"
    if before:
        ours = {name: value for name, value in made[-1].items() if name in asdict(config)} if made else {}
        change = difference(ours, asdict(config)) if made else UNKNOWN
        why = "other clips or captions" if change == OTHER_CODE else change
    each = pa.chunked_array([pa.repeat(pa.scalar(why), 0 if same else num_samples)])
    return _plan("pack", "clips", each, num_media, history.rate(config_digest(config)), 0)


def _plan(
    stage: str, unit: str, why: pa.ChunkedArray, of: int, rate: Rate | None, size_bytes: int
) -> StagePlan:
    units = len(why)
    counts = pc.value_counts(why)
    by = zip(counts.field(0).to_pylist(), counts.field(1).to_pylist(), strict=True)
    seconds, said = None, "no rate known yet"
    if rate is not None:
        seconds = round(rate.seconds_each * (size_bytes if rate.by == "bytes" else units), 3)
        under = "this" if rate.same else "another"
        said = f"that of {rate.units} {unit} before, by {rate.by}, under {under} configuration"
    why_by = dict(sorted(by, key=lambda pair: (-pair[1], pair[0])))
    return StagePlan(stage=stage, unit=unit, units=units, of=of, seconds=seconds, rate=said, why=why_by)


def _analyses(view: LiveView) -> set[str]:
    """Return the digests of all analyses that a clip or the log knows."""
    found = view.read("clips", ["analysis"]).group_by("analysis").aggregate([])
    return {*found["analysis"].to_pylist(), *History(view.dataset.commits, "analyze").configs}


def _labels(names: pa.ChunkedArray | pa.Array, label: Callable[[str], str]) -> pa.ChunkedArray:
    """Return a sentence for each name, null where there is none; `label` is asked once for each name."""
    whole = combine(names).dictionary_encode()
    said = pa.array([label(name) for name in whole.dictionary.to_pylist()], pa.string())
    return pa.chunked_array([said.take(whole.indices)])
