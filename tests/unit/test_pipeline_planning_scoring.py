"""What is left to score, also in datasets whose analyses held the scores."""

from dataclasses import asdict, replace

import pyarrow as pa
from test_manifests_scores import clip, source

from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.records import Clip, Failure, Media, Selection, Source
from manifests.schemas import to_table
from pipeline.config import (
    AnalyzeConfig,
    CurateConfig,
    RayConfig,
    ScorersConfig,
    config_digest,
    scored_analysis_digest,
)
from pipeline.jobs.score import request_scores
from pipeline.planning.last_config import last_curation
from pipeline.planning.pending import to_analyze
from pipeline.planning.scoring import equal_analyses, score_units, to_score, wanted_scorers

LOGO = AnalyzeConfig(scorers=ScorersConfig(logo=True, clip_weights="gone.pt"))
OLD = scored_analysis_digest(LOGO)
KEY = Source(uri="s1", size_bytes=1, etag="e").source_key


def old_dataset(tmp_path) -> Dataset:
    """As version 9abe30d made it: two clips with `corner_logo`, a third that the scorer failed on."""
    dataset = Dataset.create(tmp_path / "d")
    clips = to_table(Clip, [replace(clip(f"c{n}", "s1", OLD), source_key=KEY) for n in (1, 2, 3)])
    clips = clips.append_column("corner_logo", pa.array([True, False, None]))
    failed = Failure(stage="score logo", unit="c3", uri="s1", code="C", message="", remedy="", config=OLD)
    parts = (
        dataset.write_records("sources", [replace(source("s1", OLD), source_key=KEY)]),
        dataset.write_part("clips", clips),
        dataset.write_records("failures", [failed]),
    )
    config = asdict(LOGO)
    del config["scorers"]["own"]
    return dataset.commit(Commit(stage="analyze", added=parts, config=config, config_digest=OLD))


def names(view: LiveView, config: ScorersConfig, mode="none") -> dict[str, str]:
    wanted = wanted_scorers(view.dataset.commits, config)
    rows = to_score(view, wanted, mode).to_pylist()
    return {row["clip_id"]: row["scorers"] for row in rows}


def test_a_dataset_with_scores_in_its_analyses_has_nothing_left_to_do(tmp_path):
    dataset = old_dataset(tmp_path)
    view = LiveView(dataset)
    assert equal_analyses(dataset.commits, LOGO) == {OLD, config_digest(AnalyzeConfig())}
    assert equal_analyses(dataset.commits, AnalyzeConfig()) == {OLD, config_digest(AnalyzeConfig())}
    assert equal_analyses(dataset.commits, AnalyzeConfig(min_shot_s=2)).isdisjoint({OLD})
    listed = [Source(uri="s1", size_bytes=1, etag="e")]
    assert to_analyze(view, listed, equal_analyses(dataset.commits, AnalyzeConfig())) == []
    assert names(view, LOGO.scorers) == {}
    assert request_scores(view, CurateConfig(analyze=LOGO), new_sources=False) is dataset
    assert names(view, LOGO.scorers, "failed") == {"c3": "logo"}
    assert last_curation(dataset, RayConfig()).analyze.scorers == LOGO.scorers


def test_a_scorer_that_is_added_or_changed_runs_alone(tmp_path):
    view = LiveView(old_dataset(tmp_path))
    both = replace(LOGO.scorers, aesthetic="heuristic")
    assert names(view, both) == dict.fromkeys(("c1", "c2", "c3"), "aesthetic")
    config = CurateConfig(analyze=replace(LOGO, scorers=both))
    dataset = request_scores(view, config, new_sources=False)
    assert dataset.number == view.dataset.number + 1
    view = view.advanced_to(dataset)
    assert view.scorer_requests["logo"].analyses == (OLD,)
    assert view.read("clips", ["corner_logo"])["corner_logo"].to_pylist() == [True, False, None]
    assert request_scores(view, config, new_sources=False) is dataset
    digest = view.scorer_requests["aesthetic"].digest
    fields = {"scorer": "aesthetic", "digest": digest, "aesthetic_heuristic": 0.5}
    rows = [{"clip_id": name, **fields} for name in ("c1", "c2")]
    part = dataset.write_part("scores", pa.Table.from_pylist(rows))
    view = LiveView(dataset.commit(Commit(stage="score", added=(part,))))
    assert names(view, both) == {"c3": "aesthetic"}
    assert names(view, replace(both, frames=5)) == dict.fromkeys(("c1", "c2", "c3"), "logo aesthetic")


def test_units_group_the_clips_of_a_source_with_their_spans_and_media(tmp_path):
    dataset = old_dataset(tmp_path)
    media = Media(
        media_id="m",
        clip_id="c2",
        encoding="e",
        path="media/a.tar",
        offset=512,
        length=9,
        extension="mp4",
        num_frames=1,
        height=1,
        width=1,
        fps=1.0,
        duration_s=1.0,
    )
    kept = Selection(clip_id="c2", kept=True, reason="kept", detail="", rules="r")
    parts = (dataset.write_records("media", [media]), dataset.write_records("selections", [kept]))
    dataset = dataset.commit(Commit(stage="cut", added=parts))
    wanted = wanted_scorers(dataset.commits, ScorersConfig(aesthetic="heuristic"))
    (unit,) = score_units(to_score(LiveView(dataset), wanted))
    assert (unit.uri, unit.scorers, unit.clip_ids) == ("s1", ("aesthetic",), ("c1", "c2", "c3"))
    assert (unit.first_pts, unit.spans) == (0, ((0, 1),) * 3)
    assert unit.media == ((), (("media/a.tar", 512, 9),), ())
