"""A dry run reports units, time and reasons per stage, estimated from the log."""

from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa
import pytest

from benchmarks.synthetic_dataset import make, touch
from captioner.prompts import load_prompt
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.parts import RECORDS
from manifests.records import Source
from manifests.schemas import arrow_schema
from pipeline.caption.batch import CaptionSpec
from pipeline.config import (
    AnalyzeConfig,
    CaptionConfig,
    CurateConfig,
    CutConfig,
    DedupConfig,
    PackConfig,
    SelectConfig,
    config_digest,
)
from pipeline.jobs.caption import caption
from pipeline.jobs.curate import curate, retry
from pipeline.jobs.dedup import dedup
from pipeline.jobs.pack import pack
from pipeline.planning import pending
from pipeline.planning.dry_run import plan_analyze, plan_pack
from pipeline.planning.history import OTHER_CODE, History, difference
from pipeline.runtime.progress import no_progress
from pipeline.runtime.session import RaySession
from pipeline.select.select import select

CONFIG = CurateConfig()


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("made")


@pytest.fixture(scope="module")
def dataset(raw: Path) -> Dataset:
    """20 sources; the first of each of 4 parts failed."""
    return make(raw / "d", touch(raw / "raw", 20), parts=4, commits=2)


def dry(raw: Path, config: CurateConfig, source: str = "raw") -> dict:
    report = curate(str(raw / source), str(raw / "d"), config, dry_run=True)
    return {plan.stage: plan for plan in report.plan}


def listed(dataset: Dataset) -> list[Source]:
    rows = dataset.read("sources", ["uri", "size_bytes", "etag"]).to_pylist()
    return [Source(**row) for row in {row["uri"]: row for row in rows}.values()]


def test_a_finished_dataset_has_nothing_pending(raw, dataset):
    assert {stage: (plan.units, plan.why) for stage, plan in dry(raw, CONFIG).items()} == dict.fromkeys(
        ("analyze", "dedup", "select", "cut"), (0, {})
    )


def test_new_changed_and_failed_files_and_changed_settings_are_separate_reasons(dataset):
    known = listed(dataset)
    new = Source(uri="/new.mp4", size_bytes=1, etag="1")
    changed = replace(known[3], size_bytes=9)
    files = [new, changed, *known]
    config = AnalyzeConfig(max_shot_s=5)
    view = LiveView(dataset)
    now = {config_digest(AnalyzeConfig())}
    left = pending.to_analyze(view, files, now)
    assert plan_analyze(view, files, left, AnalyzeConfig(), now).why == {"changed file": 1, "new file": 1}
    assert left == [new, changed]
    left = pending.to_analyze(view, files, {config_digest(config)})
    plan = plan_analyze(view, files, left, config, {config_digest(config)})
    other = "other configuration: max_shot_s 20 -> 5"
    num_failed = sum(part.rows for part in dataset.parts("failures"))
    assert num_failed
    assert plan.why == {
        other: 20 - num_failed,
        f"failed before; {other}": num_failed,
        "changed file": 1,
        "new file": 1,
    }
    assert plan.seconds == pytest.approx(22 * 0.5)
    assert "under another configuration" in plan.rate


def test_a_changed_threshold_and_encoding_are_named(raw, dataset):
    config = replace(CONFIG, select=SelectConfig(min_motion=0.25), cut=CutConfig(crf=20, clips_per_tar=5))
    plans = dry(raw, config)
    kept = plans["cut"].of
    assert plans["analyze"].units == 0
    assert plans["select"].why == {"other configuration: min_motion none -> 0.25": plans["select"].of}
    assert plans["cut"].why == {"other configuration: crf 18 -> 20": kept}
    assert plans["cut"].seconds == pytest.approx(kept * 0.05, abs=0.01)


def test_the_plan_for_cut_follows_from_the_pending_selection(tmp_path):
    """A keeper breaks a new rule, its copy does not: the copy is compared again, and likely cut."""
    made = make(tmp_path / "d", touch(tmp_path / "raw", 24), parts=4, commits=1)
    motion = {row["clip_id"]: row["motion"] for row in LiveView(made).clips.to_pylist()}
    rows = LiveView(made).duplicates.to_pylist()
    pairs = [(motion[row["keeper"]], motion[row["clip_id"]]) for row in rows if row["kind"] == "near"]
    between = next((one + other) / 2 for one, other in pairs if one < other)
    strict = replace(CONFIG, select=SelectConfig(min_motion=between))
    plans = dry(tmp_path, strict)
    again = plans["dedup"].units
    assert plans["dedup"].why == {"its keeper breaks a rule": again}
    assert plans["dedup"].seconds == pytest.approx(again * 1e-4, abs=1e-3)
    assert plans["cut"].why == {"not cut yet; unless it is a copy": again}

    with RaySession(strict.ray) as session:
        made, run = dedup(LiveView(made), strict, session, no_progress)
    decided = select(pending.to_select(LiveView(made), strict.select, strict.dedup), strict.select)
    then = LiveView(made).with_rows("selections", decided)
    copies = run.num_new - run.counts["none"]
    assert then.read("selections", ["kept"])["kept"].to_pylist().count(True) == plans["cut"].of - copies
    assert pending.to_cut(then, strict.cut).num_rows == again - copies

    assert dry(tmp_path, CONFIG)["dedup"].why == {"breaks no rule any more": run.counts["out"]}
    best = replace(CONFIG, dedup=DedupConfig(prefer="best"))
    assert dry(tmp_path, best)["dedup"].why == {
        "other configuration: prefer first -> best": len(rows),
    }


def test_a_new_dataset_has_new_files_and_no_rate(raw, dataset):
    report = curate(str(raw / "raw"), str(raw / "other"), CONFIG, dry_run=True)
    (plan,) = report.plan
    assert (plan.units, plan.why, plan.seconds, plan.rate) == (
        20,
        {"new file": 20},
        None,
        "no rate known yet",
    )
    assert not (raw / "other").exists()


def test_a_retry_takes_only_what_failed(raw, dataset):
    plans = {plan.stage: plan for plan in retry(str(raw / "d"), CONFIG, dry_run=True).plan}
    failed = plans["analyze"]
    assert failed.why == {"failed before": failed.units}
    assert failed.units == sum(part.rows for part in dataset.parts("failures"))
    assert [plans[stage].units for stage in ("dedup", "select", "cut")] == [0, 0, 0]


def asking(version: str, dense: str = "dense") -> CaptionSpec:
    return CaptionSpec(dense=load_prompt(dense), short=load_prompt("short"), version=version)


def test_a_changed_caption_configuration_or_prompt_is_named(tmp_path):
    made = make(tmp_path / "d", touch(tmp_path / "raw", 6), parts=2, commits=1)
    uri, old, config = str(tmp_path / "d"), asking("v1"), CaptionConfig()
    row = made.read("captions").slice(0, 8).to_pylist()
    prompts = f"{old.dense.digest}+{old.short.digest}"
    rows = [r | {"version": "v1", "prompt_digest": prompts} for r in row]
    rows[0] |= {"outcome": "empty", "text": None, "short": None}
    part = made.write_part("captions", pa.Table.from_pylist(rows, schema=arrow_schema(RECORDS["captions"])))
    made.commit(
        Commit(
            stage="caption",
            added=(part,),
            config=asdict(config),
            config_digest="v1",
            counts={"units": 8},
            seconds=4,
        )
    )

    def why(
        version: str, dense: str = "dense", config: CaptionConfig = config, *, again: bool = False
    ) -> dict:
        report = caption(uri, config, CONFIG.ray, asking(version, dense), None, retry=again, dry_run=True)  # type: ignore[arg-type]
        (plan,) = report.plan
        return dict(plan.why)

    made_prompt = made.read("captions", ["prompt_digest"])["prompt_digest"][0].as_py()
    others = why("v1")[f"prompt {made_prompt} -> {prompts}"]
    rest = {f"prompt {made_prompt} -> {prompts}": others}
    assert why("v1") == rest
    assert why("v1", again=True) == {"failed before": 1}
    assert why("v2") == rest | {"other weights or code version": 8}
    reworded = asking("v2", "short").dense.digest
    new = f"{reworded}+{old.short.digest}"
    assert why("v2", "short") == {
        f"prompt {made_prompt} -> {new}": others,
        f"prompt {prompts} -> {new}": 8,
    }
    assert (
        why("v2", config=replace(config, max_frames=4))["other configuration: max_frames 96 -> 4"]
        == others + 8
    )


def test_an_outdated_shard_set_names_its_changed_settings_or_captions(raw, dataset):
    report = pack(str(raw / "d"), str(raw / "shards"), PackConfig(), CONFIG.ray, dry_run=True)
    (plan,) = report.plan
    assert (plan.units, plan.why) == (report.samples, {"no shard set is there yet": report.samples})
    assert not (raw / "shards").exists()
    made = Commit(
        stage="pack",
        config=asdict(PackConfig()) | {"out": "/o", "fingerprint": "f"},
        config_digest=config_digest(PackConfig()),
        counts={"units": 10, "shards": 1},
        seconds=5.0,
    )

    def why(fingerprint: str, config: PackConfig) -> dict:
        return dict(plan_pack([made], 3, 4, {"fingerprint": fingerprint}, config, same=False).why)

    assert why("f", PackConfig()) == {"other clips or captions": 3}
    assert why("f", PackConfig(fps=12)) == {"other configuration: fps 8 -> 12": 3}
    assert why("g", PackConfig()) == {"another configuration, which the log does not hold": 3}
    assert plan_pack([made], 3, 4, {}, PackConfig(), same=False).seconds == pytest.approx(1.5)


def test_equal_settings_with_another_digest_are_another_code_version():
    assert difference({"a": 1.0, "b": [1]}, {"a": 1, "b": (1,)}) == OTHER_CODE
    assert difference({"clips_per_tar": 1}, {"clips_per_tar": 2}) == OTHER_CODE
    change = difference({"a": {"b": None}, "old": 1}, {"a": {"b": ""}, "n1": 1, "n2": 2})
    assert change == "other configuration: a.b none -> '', new field n1 and 1 more, former field old"


def test_a_rate_prefers_the_same_configuration_and_is_per_byte_if_sizes_are_known():
    commits = [
        Commit(stage="analyze", config_digest=name, counts={"units": units}, seconds=seconds)
        for name, units, seconds in (("a", 10, 20.0), ("b", 10, 40.0), ("b", 0, 5.0))
    ]
    history = History(commits, "analyze")
    mine, any_, none = history.rate("a"), history.rate("c"), History(commits, "cut").rate("a")
    assert (mine.seconds_each, mine.same) == (2.0, True)
    assert (any_.seconds_each, any_.same, none) == (3.0, False, None)
    by_byte = history.rate("a", {"a": 100})
    assert (by_byte.seconds_each, by_byte.by) == (0.2, "bytes")
