"""Pending units computed on columns equal those found row by row, for a dataset with an irregular history."""

from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from test_manifests_conservation import CAPTION, CLIPS, KEPT, MEDIA, SOURCE

from manifests.arrow import pc
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.records import Failure, Outcome, SourceStatus
from pipeline.config import CutConfig, DedupConfig, SelectConfig, config_digest
from pipeline.cut.crop import crop_of, encoding_of
from pipeline.planning import pending
from pipeline.runtime.lazy_units import LazyUnits
from pipeline.select.select import rules_digest

ENCODING = config_digest(CutConfig())
RULES = rules_digest(config_digest(SelectConfig()), "a")


def source(name: str, key: str, **changes: Any) -> Any:
    return replace(SOURCE, uri=f"/{name}.mp4", source_key=key, **changes)


def clip(clip_id: str, key: str, name: str, analysis: str = "a", start: int = 0) -> Any:
    span = {"start_pts": start, "end_pts": start + 40, "num_frames": 40}
    return replace(CLIPS[0], clip_id=clip_id, source_key=key, uri=f"/{name}.mp4", analysis=analysis, **span)


def failed(stage: str, unit: str, config: str = "c", quarantined: bool = False) -> Failure:
    about = {"uri": "/x.mp4", "code": "X", "message": "m", "remedy": "r"}
    return Failure(stage=stage, unit=unit, config=config, quarantined=quarantined, **about)


def picked(clip_id: str, kept: bool = True, rules: str = RULES) -> Any:
    return replace(KEPT, clip_id=clip_id, kept=kept, reason="kept" if kept else "black", rules=rules)


def cut(clip_id: str, encoding: str = ENCODING) -> Any:
    return replace(MEDIA, clip_id=clip_id, media_id=f"m-{clip_id}-{encoding[:4]}", encoding=encoding)


def said(media_id: str, version: str, outcome: Outcome = Outcome.OK) -> Any:
    text = "t" if outcome is Outcome.OK else None
    return replace(CAPTION, media_id=media_id, version=version, outcome=outcome, text=text, short=text)


COMMITS: list[dict[str, list[Any]]] = [
    {
        "sources": [
            source("one", "k1"),
            source("copy", "k2"),  # of the same bytes: the same clips
            source("replaced", "k3"),
            source("bad", "k4", status=SourceStatus.FAILED),
            source("again", "k5"),
        ],
        "clips": [
            *(
                clip(f"c{n}", key, name, start=40 * n)
                for key, name in (("k1", "one"), ("k2", "copy"))
                for n in (0, 1)
            ),
            clip("gone", "k3", "replaced"),
            clip("c5", "k5", "again"),
        ],
        "failures": [failed("analyze", "k4")],
    },
    {"selections": [picked("c0"), picked("c1", rules="old"), picked("gone"), picked("c5", kept=False)]},
    {
        "sources": [source("replaced", "k6"), source("again", "k5", analysis="b"), source("late", "k7")],
        "clips": [
            clip("c6", "k6", "replaced"),
            clip("c5", "k5", "again", "b"),  # the same span, measured anew
            *(clip(f"c7{n}", "k7", "late", start=40 * (9 - n)) for n in range(10)),
        ],
    },
    {"selections": [picked("c6"), picked("c5"), *(picked(f"c7{n}") for n in range(6)), picked("c1")]},
    {
        "media": [cut("c0", "older"), cut("c0"), cut("c6"), cut("gone"), cut("c70", "older")],
        "failures": [
            failed("cut", "c5", ENCODING),
            failed("cut", "c71", ENCODING, quarantined=True),
            failed("cut", "c72", "older"),
            failed("cut", "c6", ENCODING),  # and was cut
        ],
    },
    {"captions": [said(f"m-c6-{ENCODING[:4]}", "v1"), said(f"m-c0-{ENCODING[:4]}", "v1", Outcome.EMPTY)]},
    {
        "captions": [said(f"m-c6-{ENCODING[:4]}", "v2", Outcome.EMPTY), said("nowhere", "v2")],
        "failures": [failed("caption", f"m-c6-{ENCODING[:4]}"), failed("caption", f"m-c0-{ENCODING[:4]}")],
    },
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return build(tmp_path_factory.mktemp("odd") / "d", COMMITS)


def build(root: Path, commits: list[dict[str, list[Any]]]) -> Dataset:
    dataset = Dataset.create(root)
    for tables in commits:
        added = tuple(dataset.write_records(table, rows) for table, rows in tables.items())  # type: ignore[arg-type]
        dataset = dataset.commit(Commit(stage="test", added=added))
    return dataset


class Rows:
    """The rows that count, picked one by one."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.sources = self._newest("sources", "uri")
        live = {s["source_key"] for s in self.sources}
        analyzed = [s for s in self._all("sources") if s["status"] == "ok" and s["source_key"] in live]
        good = {(s["source_key"], s["analysis"]) for s in {s["uri"]: s for s in analyzed}.values()}
        every = self._newest("clips", "clip_id", "source_key", "analysis")
        self.clip_occurrences = [c for c in every if (c["source_key"], c["analysis"]) in good]
        self.clips = [*{c["clip_id"]: c for c in self.clip_occurrences}.values()]
        ids = {c["clip_id"] for c in self.clips}
        self.selections = [s for s in self._newest("selections", "clip_id") if s["clip_id"] in ids]
        self.kept = {s["clip_id"] for s in self.selections if s["kept"]}
        self.media = [m for m in self._newest("media", "clip_id") if m["clip_id"] in self.kept]
        done = {m["clip_id"] for m in self.media}
        mute = {c["media_id"] for c in self.newest_attempts if c["outcome"] != "ok"}
        bad = {s["source_key"] for s in self.sources if s["status"] == "failed"}
        counts = {"analyze": bad, "cut": self.kept - done, "caption": mute}
        self.failures = [
            f for f in self._newest("failures", "stage", "unit") if f["unit"] in counts[f["stage"]]
        ]

    def captions(self, version: str | None = None) -> list[dict[str, Any]]:
        rows = [c for c in self._attempts() if version in (None, c["version"])]
        rows.sort(key=lambda c: c["outcome"] == "ok")
        return [*{c["media_id"]: c for c in rows}.values()]

    @property
    def newest_attempts(self) -> list[dict[str, Any]]:
        return [*{c["media_id"]: c for c in self._attempts()}.values()]

    @property
    def caption_attempts(self) -> list[dict[str, Any]]:
        rows = sorted(self._attempts(), key=lambda c: c["outcome"] == "ok")
        return [*{(c["media_id"], c["version"]): c for c in rows}.values()]

    def _attempts(self) -> list[dict[str, Any]]:
        ids = {m["media_id"] for m in self.media}
        return [c for c in self._all("captions") if c["media_id"] in ids]

    def to_cut(self, config: CutConfig, mode: str, source_keys: set[str]) -> list[tuple[str, list[str]]]:
        name = config_digest(config)
        failures = [f for f in self.failures if f["stage"] == "cut"]
        have = {(m["clip_id"], m["encoding"]) for m in self.media}
        left = {f["unit"] for f in failures if f["quarantined"] and f["config"] == name and mode == "failed"}
        wanted = {f["unit"] for f in failures} - left
        settled = {f["unit"] for f in failures if f["config"] == name}
        clips = [
            clip
            for clip in self.clips
            if clip["clip_id"] in self.kept
            and (clip["clip_id"], encoding_of(crop_of(clip, config), config)) not in have
            and (
                clip["clip_id"] not in settled
                if mode == "none"
                else clip["clip_id"] in wanted or clip["source_key"] in source_keys
            )
        ]
        clips.sort(key=lambda clip: (clip["uri"], clip["source_key"], clip["start_pts"]))
        groups = groupby(clips, key=lambda clip: clip["source_key"])
        return [(key, [clip["clip_id"] for clip in group]) for key, group in groups]

    def to_select(self, config: SelectConfig) -> set[str]:
        rules = {s["clip_id"]: s["rules"] for s in self.selections}
        undecided = (
            c
            for c in self.clips
            if rules.get(c["clip_id"]) != rules_digest(config_digest(config), c["analysis"])
        )
        return {clip["clip_id"] for clip in undecided}

    def _all(self, table: Any) -> list[dict[str, Any]]:
        return self._dataset.read(table).to_pylist()

    def _newest(self, table: Any, *keys: str) -> list[dict[str, Any]]:
        return [*{tuple(row[key] for key in keys): row for row in self._all(table)}.values()]


def in_any_order(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(map(repr, rows))


@pytest.mark.parametrize(
    "view",
    [
        "sources",
        "clip_occurrences",
        "clips",
        "gaps",
        "selections",
        "media",
        "caption_attempts",
        "newest_attempts",
        "failures",
    ],
)
def test_the_rows_that_count_are_those_picked_one_by_one(dataset, view):
    found = LiveView(dataset).read(view).to_pylist()
    assert in_any_order(found) == in_any_order(getattr(Rows(dataset), view, []))


@pytest.mark.parametrize("stage", ["analyze", "cut", "caption", "score text"])
def test_failures_of_a_stage_are_those_picked_one_by_one(dataset, stage):
    found = LiveView(dataset).read("failures", stage=stage).to_pylist()
    wanted = [row for row in Rows(dataset).failures if row["stage"] == stage]
    assert in_any_order([row for row in found if row["stage"] == stage]) == in_any_order(wanted)
    assert {row["stage"] for row in found} <= {stage}


@pytest.mark.parametrize("version", [None, "v1", "v2", "it's"])
def test_captions_of_a_version_are_those_picked_one_by_one(dataset, version):
    found = LiveView(dataset).captions(version).to_pylist()
    assert in_any_order(found) == in_any_order(Rows(dataset).captions(version))


def test_some_columns_are_those_of_whole_rows_in_the_same_order(dataset):
    view = LiveView(dataset)
    some = view.read("clips", ["clip_id", "analysis", "no_such_column"])
    assert some.column_names == ["clip_id", "analysis"]
    assert some.equals(LiveView(dataset).clips.select(["clip_id", "analysis"]))


VIEWS: list[Any] = [
    "sources",
    "clip_occurrences",
    "clips",
    "gaps",
    "selections",
    "duplicates",
    "media",
    "captions",
    "caption_attempts",
    "newest_attempts",
    "failures",
]


@pytest.mark.parametrize("number", range(len(COMMITS)))
def test_a_view_advanced_past_a_commit_equals_a_new_view(dataset, number):
    before, after = (Dataset.open(dataset.uri, at=at) for at in (number, number + 1))
    held, new = LiveView(before), LiveView(after)
    for view in VIEWS:
        held.read(view)
    then, supposed = held.advanced_to(after), held
    for part in after.commits[-1].added:
        supposed = supposed.with_rows(part.table, after.read_part(part))  # type: ignore[arg-type]
    for view in VIEWS:
        assert then.read(view).to_pylist() == new.read(view).to_pylist()
        assert supposed.read(view).to_pylist() == new.read(view).to_pylist()
        assert supposed.advanced_to(before).read(view).to_pylist() == LiveView(before).read(view).to_pylist()


def test_places_are_the_positions_of_live_rows(dataset):
    view = LiveView(dataset)
    rows = dataset.read("clips").take(view.row_indices("clips"))
    assert rows.to_pylist() == view.read("clips").to_pylist()
    assert len(rows) < dataset.read("clips").num_rows


@pytest.mark.parametrize("config", [CutConfig(), CutConfig(crf=20)])
@pytest.mark.parametrize("mode", ["none", "failed", "all"])
def test_pending_cuts_equal_those_picked_one_by_one(dataset, config, mode):
    clips = pending.to_cut(LiveView(dataset), config, mode, {"k7"} if mode != "none" else None)
    units = pending.cut_units(clips, config)
    found = [(unit.source_key, list(unit.clip_ids)) for unit in units]
    assert found == Rows(dataset).to_cut(config, mode, {"k7"})
    assert found
    assert [units[at] for at in range(-len(units), 0)] == list(units)


def test_a_long_local_file_is_split_into_chunks(dataset):
    clips = pending.to_cut(LiveView(dataset), CutConfig())
    clips = clips.filter(pc.equal(clips["source_key"], "k7"))
    units = list(pending.cut_units(clips, CutConfig(max_chunk_s=10.0)))
    [whole] = pending.cut_units(clips, CutConfig(max_chunk_s=0.0))
    assert len(units) > 1
    assert tuple(name for unit in units for name in unit.clip_ids) == whole.clip_ids
    assert len({unit.name for unit in units}) == len(units)
    chunks = [{int(start / 10 // 10) for start, _ in unit.spans} for unit in units]
    assert all(len(indices) == 1 for indices in chunks)


def test_chunks_are_shorter_when_there_is_little_work_for_many_tasks(dataset):
    clips = pending.to_cut(LiveView(dataset), CutConfig())
    few, many = (len(pending.cut_units(clips, CutConfig(), num_tasks)) for num_tasks in (1, 1000))
    assert len(pending.cut_units(clips, CutConfig())) <= few < many
    unsplit = pending.cut_units(clips, CutConfig(max_chunk_s=0.0), 1000)
    assert len(unsplit) == len(set(clips["source_key"].to_pylist()))
    assert many == len(pending.cut_units(clips, CutConfig(max_chunk_s=10.0)))


@pytest.mark.parametrize("config", [SelectConfig(), SelectConfig(min_motion=0.1)])
def test_pending_selections_equal_those_picked_one_by_one(dataset, config):
    current = LiveView(dataset)
    found = pending.to_select(current, config, DedupConfig())["clip_id"].to_pylist()
    assert sorted(found) == sorted(Rows(dataset).to_select(config))
    of_source = pending.to_select(current, config, DedupConfig(), source_keys={"k6"})
    assert of_source["clip_id"].to_pylist() in ([], ["c6"])


def test_media_are_captioned_once_and_a_retry_takes_only_failed_ones(dataset):
    current, versions = LiveView(dataset), ("v1", "v2", "v3")
    by_version = {version: pending.to_caption(current, version, retry=False)[0] for version in versions}
    assert {version: sorted(unit.clip_id for unit in units) for version, units in by_version.items()} == {
        "v1": ["c70"],
        "v2": ["c0", "c70"],
        "v3": ["c0", "c6", "c70"],
    }
    failed, num_media = pending.to_caption(current, "v2", retry=True)
    assert ([(unit.clip_id, unit.uri) for unit in failed], num_media) == ([("c6", "/replaced.mp4")], 3)


def test_an_empty_table_has_no_units(dataset):
    clips = pending.to_cut(LiveView(dataset), CutConfig()).slice(0, 0)
    units = LazyUnits(clips, ("source_key",), lambda rows: rows)
    assert len(units) == 0
    assert not list(units)
