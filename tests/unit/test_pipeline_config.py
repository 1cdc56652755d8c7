"""Configuration digests: equal settings keep their stored digest, whatever the fields are called now."""

from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

from captioner.config import EndpointConfig, VllmConfig
from manifests.dataset import Dataset
from pipeline.config import (
    _VERSIONS,
    NO_EFFECT,
    AnalyzeConfig,
    AskConfig,
    AuditConfig,
    CaptionConfig,
    CutConfig,
    DedupConfig,
    PackConfig,
    RayConfig,
    ScorersConfig,
    SelectConfig,
    config_digest,
    scored_analysis_digest,
)
from pipeline.planning.history import OTHER_CODE, History
from pipeline.planning.last_config import build, last, last_curation

LEGACY = Path(__file__).parents[1] / "golden" / "legacy" / "data"
SCORERS = ScorersConfig(
    text=True,
    logo=True,
    nsfw=True,
    aesthetic="heuristic",
    embedding=True,
    clip_model="ViT-B-32",
    clip_weights="w.safetensors",
    aesthetic_head="h.safetensors",
    frames=5,
    side_px=512,
    frames_per_s=1.0,
    budget_mb=32,
    min_text_score=0.7,
    min_text_length=2,
)
DEDUP = DedupConfig(
    exact=False,
    near=False,
    max_distance=10.0,
    max_relative_distance=0.1,
    min_coverage=0.5,
    semantic=True,
    max_cosine_distance=0.02,
    cluster_size=200,
    mirrored=True,
    prefer="best",
)
SCORED = AnalyzeConfig(
    detector="adaptive",
    adaptive_threshold=2.5,
    min_shot_s=0.25,
    max_shot_s=10.0,
    analysis_width_px=96,
    samples_per_s=2.0,
    min_chunk_s=7.0,
    scorers=SCORERS,
)
STORED = {
    "bed7695636fa48b3ab034db616b9e497": AnalyzeConfig(),
    "65cc0176e3933823789c46ee3280644e": SelectConfig(),
    "2435c992ddff650af4c56f81278fb5d9": SelectConfig(
        preset="strict", min_duration_s=0.8, languages=("en",), max_nsfw=0.5
    ),
    "5f14ebeb75fc51d4ea8a86394a903b4b": DedupConfig(),
    "94933519e4e762d4d7df21db1eacde2a": DEDUP,
    "f9b93aa0c5309794b001327c6f7acf31": CutConfig(),
    "8129cab28e34ff654e13442ec032c38d": CutConfig(
        max_side_px=640, crf=23, crop_borders=False, clips_per_tar=10, max_chunk_s=5.0
    ),
    "b7cacfbffc5c387e1eb114793f918363": CaptionConfig(),
    "f51c5e7c28255fb691517847b4adbae1": CaptionConfig(
        max_frames=32, max_side_px=320, batch_clips=8, actors=2
    ),
    "7afde52922cca3b0890352ad68eebce8": PackConfig(),
    "57d2cfc7fc3d0d292fe48f5261bcb503": PackConfig(
        buckets=("17x64x64",), fps=12.0, max_crop=0.1, shard_bytes=2**20
    ),
}
"""Digests computed by the code of commit 9abe30d."""
RAISED = {"AnalyzeConfig": 7, "DedupConfig": 1}
"""Versions at commit 9abe30d of stages whose code has changed its results since."""


@pytest.fixture
def former_versions(monkeypatch):
    for name, version in RAISED.items():
        assert _VERSIONS[name] > version
        monkeypatch.setitem(_VERSIONS, name, version)


@pytest.mark.parametrize("digest", STORED)
@pytest.mark.usefixtures("former_versions")
def test_equal_settings_keep_their_digest(digest):
    assert config_digest(STORED[digest]) == digest


@pytest.mark.usefixtures("former_versions")
def test_scorers_change_no_analysis_but_analyses_that_held_scores_are_recognized():
    assert scored_analysis_digest(SCORED) == "aff6fccd9de7ca788c01abad0e393295"
    assert config_digest(SCORED) == config_digest(replace(SCORED, scorers=ScorersConfig()))
    own = replace(SCORED, scorers=replace(SCORERS, own=("my_scorers:brightness",)))
    assert config_digest(own) == config_digest(SCORED) != config_digest(AnalyzeConfig())
    limited = SelectConfig(limits={"my_brightness": (0.1, None)})
    assert config_digest(limited) != config_digest(SelectConfig())


def test_a_digest_depends_on_results_and_not_on_how_they_are_made():
    assert config_digest(CutConfig(clips_per_tar=1)) == config_digest(CutConfig())
    assert config_digest(CutConfig(crf=30)) != config_digest(CutConfig())
    assert config_digest(CaptionConfig(batch_clips=1, actors=1)) == config_digest(CaptionConfig())
    assert config_digest(AnalyzeConfig(max_shot_s=5)) != config_digest(AnalyzeConfig())


def test_fields_without_effect_exist():
    configs = {
        AskConfig,
        AuditConfig,
        EndpointConfig,
        VllmConfig,
        *(type(config) for config in STORED.values()),
    }
    assert {field.name for config in configs for field in fields(config)} >= NO_EFFECT


@pytest.mark.usefixtures("former_versions")
def test_a_log_with_former_field_names_gives_the_configuration_it_was_written_under():
    dataset = Dataset.open(LEGACY)
    found = last_curation(dataset, RayConfig())
    scorers = ScorersConfig(clip_model="ViT-L-14")  # the former default
    assert found.analyze == AnalyzeConfig(min_chunk_s=30.0, min_shot_s=0.5, scorers=scorers)
    assert found.select == SelectConfig(min_duration_s=0.8)
    assert (found.dedup, found.cut) == (DedupConfig(), CutConfig())
    assert last(dataset, "pack", PackConfig) == PackConfig()
    for stage in ("analyze", "select", "dedup", "cut"):
        config = getattr(found, stage)
        commits = [commit for commit in dataset.commits if commit.stage == stage]
        assert commits
        assert {commit.config_digest for commit in commits} == {config_digest(config)}
        assert History(dataset.commits, stage).change(commits[-1].config_digest, config) == OTHER_CODE


def test_stored_values_of_renamed_fields_are_kept():
    stored = {"max_relative": 0.1, "min_covered": 0.5, "cluster_clips": 200}
    built = build(DedupConfig, stored)
    assert (built.max_relative_distance, built.min_coverage, built.cluster_size) == (0.1, 0.5, 200)
    assert build(DedupConfig, asdict(DEDUP)) == DEDUP
    ray = build(RayConfig, {"analyze": {"most": 1}, "score": {"least": 0, "label": "gpu"}})
    assert (ray.analyze.max_size, ray.score.min_size, ray.score.label) == (1, 0, "gpu")
