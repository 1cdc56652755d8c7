"""Plan a run without running it: per stage, the number of units, the estimated time and the reasons."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.dataset import Commit
from manifests.digest import digest_parts
from manifests.live_view import LiveView
from manifests.records import Source
from manifests.scores import ScorerRequest
from pipeline.caption.units import CaptionSpec
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
from pipeline.select.select import measured_by, rules_digest

NEW_FILE, CHANGED_FILE, FAILED = "new file", "changed file", "failed before"
NEW_SCORES = "scored first"
OTHER_MODEL = "other weights or code version"
OTHER_WINDOWS = "other windows"
UNLESS_COPY = "unless it is a copy"


@dataclass(frozen=True, kw_only=True, slots=True)
class StagePlan:
    """What one stage of a run would do."""

    stage: str
    unit: str
    """What is counted: files, clips or samples."""
    units: int
    """Number of units that would run."""
    of: int
    """Total number of units."""
    seconds: float | None
    """Estimated time at the rate of earlier commits; None if no rate is known yet."""
    rate: str
    """What `seconds` is based on."""
    why: Mapping[str, int] = field(default_factory=dict)
    """Number of units by the reason why they would run."""


def plan_analyze(
    view: LiveView,
    listed: Sequence[Source],
    sources: Sequence[Source],
    config: AnalyzeConfig,
    analyses: Collection[str],
) -> StagePlan:
    """Plan the analysis of `sources`, the pending ones of `listed`; `analyses` have its results."""
    history = History(view.dataset.commits, "analyze")
    known = view.read("sources", ["uri", "source_key", "analysis", "status", "size_bytes"])
    uris = pa.array([source.uri for source in sources], pa.string())
    keys = pa.array([source.source_key for source in sources], pa.string())
    before = _align(known, "uri", uris)
    is_changed = pc.not_equal(before["source_key"], keys)
    has_failed = pc.equal(before["status"], "failed")
    same_config = pc.is_in(before["analysis"], value_set=pa.array(sorted(analyses), pa.string()))
    change = _labels(before["analysis"], lambda analysis: history.change(analysis, config))
    failed = pc.if_else(same_config, FAILED, pc.binary_join_element_wise(pa.scalar(FAILED), change, "; "))
    why = pc.if_else(has_failed, failed, change)
    why = pc.if_else(is_changed, CHANGED_FILE, why).fill_null(NEW_FILE)
    sizes = known.group_by("analysis").aggregate([("size_bytes", "sum")]).to_pylist()
    rate = history.rate(config_digest(config), {row["analysis"]: row["size_bytes_sum"] for row in sizes})
    size_bytes = sum(source.size_bytes for source in sources)
    return _stage_plan("analyze", "files", why, len(listed), rate, size_bytes)


def plan_first_analyze(listed: Sequence[Source]) -> StagePlan:
    """Plan the analysis of `listed` into a new dataset."""
    return _stage_plan("analyze", "files", _repeat(NEW_FILE, len(listed)), len(listed), None)


def plan_score(
    view: LiveView,
    clips: pa.Table,
    wanted: Mapping[str, ScorerRequest],
    *,
    stage: str = "score",
    num_clips: int | None = None,
) -> StagePlan:
    """Plan the scoring of `clips`, the rows of `to_score` or `to_ask`: none of sources yet to be analysed.

    Args:
        num_clips: clips that are to be scored in all. Default: all clips.
    """
    history = History(view.dataset.commits, stage)
    before = view.scorer_requests

    def why(names: str) -> str:
        changed = [n for n in names.split() if n in before and before[n].digest != wanted[n].digest]
        others = [n for n in names.split() if n not in changed]
        parts = [("other settings of", changed), ("not scored by", others)]
        return "; ".join(f"{words} {', '.join(found)}" for words, found in parts if found)

    total = view.read("clips", ["clip_id"]).num_rows if num_clips is None else num_clips
    return _stage_plan(stage, "clips", _labels(clips["scorers"], why), total, history.rate(""))


def plan_dedup(view: LiveView, dedup_round: DedupRound, config: DedupConfig) -> StagePlan:
    """Plan the comparison of the new clips of `dedup_round`."""
    history = History(view.dataset.commits, "dedup")
    settings = config_digest(config)
    analyses = _analyses(view)
    config_of = {dedup_digest(each, analysis): each for each in history.configs for analysis in analyses}

    def change(digest: str) -> str:
        earlier = config_of.get(digest, "")
        return "analyzed again" if earlier == settings else history.change(earlier, config)

    new = dedup_round.clips.filter(dedup_round.clips["is_new"])
    decided = view.read("duplicates", ["clip_id", "kind", "config"])
    before = _align(decided, "clip_id", new["clip_id"])
    same_config = pc.equal(before["config"], new["digest"])
    best = config.prefer == "best"
    reopened = "others are new, and the best is kept" if best else "its keeper breaks a rule"
    reopened = pc.if_else(pc.equal(before["kind"], INELIGIBLE), "breaks no rule any more", reopened)
    why = pc.if_else(same_config, reopened, _labels(before["config"], change)).fill_null("not compared yet")
    num_clips = view.read("clips", ["clip_id"]).num_rows
    return _stage_plan("dedup", "clips", why, num_clips, history.rate(settings))


def plan_select(
    view: LiveView, clips: pa.Table, config: SelectConfig, scored: pa.ChunkedArray | None = None
) -> StagePlan:
    """Plan the selection of `clips`, the rows of `pending.to_select`.

    Args:
        scored: ids of clips that are scored first, and selected then.
    """
    history = History(view.dataset.commits, "select")
    settings = config_digest(config)
    measured = {*_analyses(view), *pc.unique(measured_by(clips)).to_pylist()}
    inputs = [*((analysis,) for analysis in measured), *_copies(view, clips)]
    config_of = {rules_digest(each, *of): each for each in history.configs for of in inputs}

    @cache
    def change(earlier: str) -> str:
        return "analyzed or compared again" if earlier == settings else history.change(earlier, config)

    decided = view.read("selections", ["clip_id", "rules"])
    before = _align(decided, "clip_id", clips["clip_id"])
    why = _labels(before["rules"], lambda digest: change(config_of.get(digest, "")))
    why = why.fill_null("not decided yet")
    if scored is not None:
        others = scored.filter(pc.invert(pc.is_in(scored, value_set=combine(clips["clip_id"]))))
        why = pa.chunked_array([*why.chunks, *_repeat(NEW_SCORES, len(others)).chunks], pa.string())
    num_clips = view.read("clips", ["clip_id"]).num_rows
    return _stage_plan("select", "clips", why, num_clips, history.rate(settings))


def plan_cut(view: LiveView, clips: pa.Table, config: CutConfig, compared: pa.ChunkedArray) -> StagePlan:
    """Plan the cutting of `clips`, the rows of `pending.to_cut`.

    Args:
        compared: ids of clips that are compared first, and not cut if they are copies.
    """
    history = History(view.dataset.commits, "cut")
    settings = config_digest(config)
    crops = view.query("SELECT DISTINCT crop FROM p", p=clips)["crop"].to_pylist()
    config_of = {
        digest_parts("crop", each, *crop): each for each in history.configs for crop in crops if crop
    }
    config_of |= {each: each for each in history.configs}

    def change(encoding: str) -> str:
        earlier = config_of.get(encoding, "")
        return "other crop" if earlier == settings else history.change(earlier, config)

    media = view.read("media", ["clip_id", "encoding"])
    before = _align(media, "clip_id", clips["clip_id"])
    has_failed = pc.is_in(clips["clip_id"], value_set=combine(pending.failed_units(view, "cut")["unit"]))
    same = pc.equal(before["encoding"], clips["encoding"])
    why = pc.if_else(same, OTHER_WINDOWS, _labels(before["encoding"], change)).fill_null("not cut yet")
    why = pc.if_else(has_failed, FAILED, why)
    is_compared = pc.is_in(clips["clip_id"], value_set=combine(compared))
    why = pc.if_else(is_compared, pc.binary_join_element_wise(why, UNLESS_COPY, "; "), why)
    num_kept = int(pc.sum(view.read("selections", ["kept"])["kept"]).as_py() or 0)
    return _stage_plan("cut", "clips", why, num_kept, history.rate(settings))


def plan_caption(
    view: LiveView, media: pa.Table, num_media: int, config: CaptionConfig, spec: CaptionSpec
) -> StagePlan:
    """Plan the captioning of `media`, those without a caption of this version."""
    history = History(view.dataset.commits, "caption")
    prompts = spec.prompt_digest

    def change(version: str) -> str:
        found = history.change(version, config)
        return OTHER_MODEL if found == OTHER_CODE else found

    captions = view.read("newest_attempts", ["media_id", "version", "outcome", "prompt_digest"])
    before = _align(captions, "media_id", media["media_id"])
    changed = _labels(before["version"], change)
    new_prompt = pc.and_(pc.not_equal(before["prompt_digest"], prompts), pc.equal(changed, OTHER_MODEL))
    prompt_change = _labels(before["prompt_digest"], lambda earlier: f"prompt {earlier} -> {prompts}")
    has_failed = pc.and_(pc.equal(before["version"], spec.version), pc.not_equal(before["outcome"], "ok"))
    why = pc.if_else(has_failed, FAILED, pc.if_else(new_prompt, prompt_change, changed))
    why = why.fill_null("not captioned yet")
    return _stage_plan("caption", "clips", why, num_media, history.rate(spec.version))


def plan_pack(
    commits: Sequence[Commit],
    num_samples: int,
    num_media: int,
    before: Mapping[str, Any],
    config: PackConfig,
    *,
    same: bool,
    damaged: str = "",
) -> StagePlan:
    """Plan the packing of a shard set.

    Args:
        before: the record of the existing shard set; empty if there is none.
        same: whether the existing set is up to date.
        damaged: a file that it lacks, or that is cut short.
    """
    history = History(commits, "pack")
    why = _pack_change(commits, before, config) if before else "no shard set is there yet"
    why = f"{damaged} is missing or cut short" if damaged else why
    why_each = _repeat(why, 0 if same else num_samples)
    return _stage_plan("pack", "clips", why_each, num_media, history.rate(config_digest(config)))


def _pack_change(commits: Sequence[Commit], before: Mapping[str, Any], config: PackConfig) -> str:
    packs = [commit.config for commit in commits if commit.stage == "pack"]
    made = [each for each in packs if each.get("fingerprint") == before.get("fingerprint")]
    if not made:
        return UNKNOWN
    now = asdict(config)
    change = difference({name: value for name, value in made[-1].items() if name in now}, now)
    return "other clips or captions" if change == OTHER_CODE else change


def _stage_plan(
    stage: str, unit: str, why: pa.ChunkedArray, of: int, rate: Rate | None, size_bytes: int = 0
) -> StagePlan:
    """Count the units of a stage by reason, and estimate its time.

    Args:
        why: the reason of each unit.
    """
    counts = pc.value_counts(why)
    by_reason = zip(counts.field(0).to_pylist(), counts.field(1).to_pylist(), strict=True)
    seconds, basis = None, "no rate known yet"
    if rate is not None:
        seconds = round(rate.seconds_each * (size_bytes if rate.by == "bytes" else len(why)), 3)
        configuration = "this configuration" if rate.same else "another configuration"
        basis = f"from {rate.units} {unit}, by {rate.by}, under {configuration}"
    return StagePlan(
        stage=stage,
        unit=unit,
        units=len(why),
        of=of,
        seconds=seconds,
        rate=basis,
        why=dict(sorted(by_reason, key=lambda pair: (-pair[1], pair[0]))),
    )


def _analyses(view: LiveView) -> set[str]:
    """Return the digests of all analyses in the clips table and in the log."""
    used = view.read("clips", ["analysis"]).group_by("analysis").aggregate([])
    return {*used["analysis"].to_pylist(), *History(view.dataset.commits, "analyze").configs}


def _copies(view: LiveView, clips: pa.Table) -> list[tuple[str, str, str]]:
    """Return analysis, kind and keeper of each of `clips` that is a copy."""
    copies = view.read("duplicates", ["clip_id", "kind", "keeper"])
    copies = copies.filter(pc.is_in(copies["kind"], value_set=pa.array(KINDS)))
    copies = clips.select(["clip_id", "analysis"]).join(copies, "clip_id", join_type="inner").to_pylist()
    return [(row["analysis"], row["kind"], row["keeper"]) for row in copies]


def _align(rows: pa.Table, key: str, values: pa.ChunkedArray | pa.Array) -> pa.Table:
    """Return the row for each of `values`, found by `key`; nulls if there is none. Drops the column `key`."""
    index = pc.index_in(values, value_set=combine(rows[key]))
    return rows.drop_columns([key]).take(index)


def _labels(values: pa.ChunkedArray | pa.Array, label: Callable[[str], str]) -> pa.ChunkedArray:
    """Map each value to its label; null stays null. Calls `label` once per distinct value."""
    encoded = combine(values).dictionary_encode()
    labels = pa.array([label(value) for value in encoded.dictionary.to_pylist()], pa.string())
    return pa.chunked_array([labels.take(encoded.indices)])


def _repeat(text: str, num: int) -> pa.ChunkedArray:
    return pa.chunked_array([pa.repeat(pa.scalar(text), num)])
