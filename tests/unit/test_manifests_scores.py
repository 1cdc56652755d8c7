"""Which scores count: those of the newest request, also from analyses of earlier versions."""

from dataclasses import asdict

import pyarrow as pa

from manifests import conservation
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.records import Clip, Failure, SourceRow, SourceStatus
from manifests.schemas import to_table
from manifests.scores import SCORES_COLUMN, STAGE, ScorerRequest, requests

A = ScorerRequest(scorer="text", digest="A", columns={"text_area": "float64"}, analyses=("old",))
B = ScorerRequest(scorer="text", digest="B", columns={"text_area": "float64"})


def source(key: str, analysis: str) -> SourceRow:
    unknown = dict.fromkeys(
        ("codec", "width", "height", "fps", "time_base_num", "time_base_den", "num_frames")
    )
    return SourceRow(
        source_key=key, uri=key, size_bytes=1, etag="e", carried="{}", analysis=analysis, source_digest=key,
        status=SourceStatus.OK, kind="video", start_pts=0, end_pts=1, **unknown,
    )  # fmt: skip


def clip(clip_id: str, key: str, analysis: str) -> Clip:
    return Clip(
        clip_id=clip_id, source_key=key, source_digest=key, uri=key, kind="video", stream_index=0,
        start_pts=0, end_pts=1, time_base_num=1, time_base_den=1, num_frames=1, height=1, width=1,
        analysis=analysis,
    )  # fmt: skip


def score(dataset: Dataset, digest: str, values: dict[str, float]) -> Dataset:
    rows = [
        {"clip_id": name, "scorer": "text", "digest": digest, "text_area": v} for name, v in values.items()
    ]
    return dataset.commit(
        Commit(stage="analyze", added=(dataset.write_part("scores", pa.Table.from_pylist(rows)),))
    )


def ask(dataset: Dataset, request: ScorerRequest) -> Dataset:
    return dataset.commit(Commit(stage=STAGE, config={"requests": [asdict(request)]}))


def areas(dataset: Dataset) -> dict[str, float | None]:
    rows = LiveView(dataset).read("clips", ["clip_id", "text_area", SCORES_COLUMN]).to_pylist()
    return {row["clip_id"]: row.get("text_area") for row in rows}


def made(tmp_path) -> Dataset:
    """Two clips of an analysis that held scores, and one of an analysis that does not."""
    dataset = Dataset.create(tmp_path / "d")
    old = to_table(Clip, [clip("c1", "s1", "old"), clip("c2", "s1", "old")])
    old = old.append_column("text_area", pa.array([0.1, 0.2]))
    parts = (
        dataset.write_records("sources", [source("s1", "old"), source("s2", "new")]),
        dataset.write_part("clips", old),
        dataset.write_records("clips", [clip("c3", "s2", "new")]),
    )
    return dataset.commit(Commit(stage="analyze", added=parts))


def test_without_a_request_the_clips_have_their_own_columns(tmp_path):
    assert areas(made(tmp_path)) == {"c1": 0.1, "c2": 0.2, "c3": None}


def test_the_newest_request_decides_and_earlier_settings_find_their_rows_again(tmp_path):
    dataset = ask(made(tmp_path), A)
    assert areas(dataset) == {"c1": 0.1, "c2": 0.2, "c3": None}
    dataset = score(dataset, "A", {"c3": 0.3})
    assert areas(dataset) == {"c1": 0.1, "c2": 0.2, "c3": 0.3}
    other = score(ask(dataset, B), "B", {"c1": 0.9})
    assert areas(other) == {"c1": 0.9, "c2": None, "c3": None}  # a score of other settings is none
    back = ask(other, A)
    assert areas(back) == {"c1": 0.1, "c2": 0.2, "c3": 0.3}
    assert requests(back.commits) == {"text": A}
    labels = {name: LiveView(each).read("clips", [SCORES_COLUMN])[SCORES_COLUMN].to_pylist()
              for name, each in {"a": dataset, "b": other, "back": back}.items()}  # fmt: skip
    assert labels["a"] == labels["back"] != labels["b"]
    assert labels["a"][0] is None
    digests = LiveView(dataset).read("clips", ["_digest_text", "_row_text"]).to_pydict()
    assert digests == {"_digest_text": ["A", "A", "A"], "_row_text": [None, None, "A"]}


def test_a_view_that_is_advanced_has_the_new_scores(tmp_path):
    dataset = made(tmp_path)
    view = LiveView(dataset)
    view.read("clips", ["text_area"])
    dataset = score(ask(dataset, A), "A", {"c3": 0.3})
    assert view.advanced_to(dataset).read("clips", ["text_area"])["text_area"].to_pylist() == [0.1, 0.2, 0.3]


def test_a_failure_of_a_scorer_lives_until_it_succeeds_or_other_settings_count(tmp_path):
    def failures(dataset: Dataset) -> list[str]:
        return LiveView(dataset).failures["unit"].to_pylist()

    def fail(dataset: Dataset, name: str, config: str) -> Dataset:
        row = Failure(stage="score text", unit=name, uri="u", code="C", message="", remedy="", config=config)
        part = dataset.write_records("failures", [row])
        return dataset.commit(Commit(stage=STAGE, added=(part,)))

    dataset = fail(fail(ask(made(tmp_path), A), "c3", "A"), "c1", "old")
    assert failures(dataset) == ["c3", "c1"]
    dataset = score(dataset, "A", {"c3": 0.3})
    assert failures(dataset) == ["c1"]
    dataset = fail(ask(dataset, B), "c2", "B")
    assert failures(dataset) == ["c1", "c2"]
    assert failures(score(ask(dataset, A), "A", {"c1": 0.1})) == []


def test_every_clip_is_scored_failed_or_left_to_do(tmp_path):
    dataset = made(tmp_path)
    assert conservation.funnel(dataset)["scores"] == {}
    dataset = ask(dataset, A)
    assert conservation.funnel(dataset)["scores"] == {"text": {"scored": 2, "failed": 0, "to_do": 1}}
    row = Failure(stage="score text", unit="c3", uri="u", code="C", message="", remedy="", config="A")
    failed = dataset.commit(Commit(stage=STAGE, added=(dataset.write_records("failures", [row]),)))
    assert conservation.funnel(failed)["scores"] == {"text": {"scored": 2, "failed": 1, "to_do": 0}}
    done = conservation.funnel(score(failed, "A", {"c3": 0.3}))["scores"]
    assert done == {"text": {"scored": 3, "failed": 0, "to_do": 0}}


def test_fifty_scorers_count_at_once_and_each_score_changes_what_is_decided_on(tmp_path):
    names = [f"q{number:02}" for number in range(50)]
    wanted = [ScorerRequest(scorer=name, digest="D", columns={name: "float64"}) for name in names]
    dataset = made(tmp_path)
    dataset = dataset.commit(Commit(stage=STAGE, config={"requests": [asdict(each) for each in wanted]}))
    rows = [
        {"clip_id": clip_id, "scorer": name, "digest": "D", name: 0.5}
        for clip_id, scored in (("c1", names), ("c2", names[1:]), ("c3", names))
        for name in scored
    ]
    part = dataset.write_part("scores", pa.Table.from_pylist(rows, schema=pa.schema(
        [(name, pa.string()) for name in ("clip_id", "scorer", "digest")] + [(n, pa.float64()) for n in names]
    )))  # fmt: skip
    dataset = dataset.commit(Commit(stage=STAGE, added=(part,)))
    clips = LiveView(dataset).read("clips", ["q00", "q49", SCORES_COLUMN]).to_pydict()
    assert (clips["q00"], clips["q49"]) == ([0.5, None, 0.5], [0.5, 0.5, 0.5])
    one, two, three = clips[SCORES_COLUMN]
    assert one == three != two
