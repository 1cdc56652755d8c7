"""Deduplication as part of curation on Ray: copies name their keepers, which stay when data is added."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from embedding_models import open_clip_folder  # pyright: ignore[reportMissingImports]  # in tests/unit

from captioner.embedding import load_embedder
from kinora.cli.main import main
from kinora.commands import explain
from manifests import conservation
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from pipeline.config import AnalyzeConfig, CurateConfig, DedupConfig, ScorersConfig
from pipeline.jobs.curate import curate
from video.encode import VideoWriter


def write(path: Path, seed: int, *, height: int = 96, crf: int = 18) -> None:
    """A disc that moves over a blurred background."""
    rng = np.random.default_rng(seed)
    ground_HWC = cv2.GaussianBlur(rng.integers(0, 255, (96, 160, 3)).astype(np.uint8), (0, 0), 9)
    ground_HWC = cv2.normalize(ground_HWC, np.empty_like(ground_HWC), 40, 215, cv2.NORM_MINMAX)
    width = round(height * 160 / 96)
    with VideoWriter(path, height=height, width=width, fps=12, crf=crf) as out:
        for index in range(24):
            rgb_HWC = cv2.circle(ground_HWC.copy(), (30 + 4 * index, 48), 18, (250, 240, 20), -1)
            out.write(cv2.resize(rgb_HWC, (width, height)), index)


def test_a_copy_names_its_keeper_and_keepers_stay_when_data_is_added(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.jobs.dedup._LOCAL_PAIRS", 0)  # also a single pair goes to Ray
    raw, where = tmp_path / "raw", str(tmp_path / "d")
    raw.mkdir()
    write(raw / "small.mp4", 0, height=48)
    write(raw / "other.mp4", 1)
    first = curate(str(raw), where, CurateConfig())
    assert (first.compared, first.kept, dict(first.dropped)) == (2, 2, {})
    before = LiveView(Dataset.open(where)).selections.to_pylist()
    write(raw / "large.mp4", 0, height=144)
    second = curate(str(raw), where, CurateConfig())
    assert (second.compared, second.decided, dict(second.dropped)) == (1, 1, {"duplicate_near": 1})
    view = LiveView(Dataset.open(where))
    assert [row for row in view.selections.to_pylist() if row["kept"]] == before
    funnel, violations = conservation.audit(view)
    assert violations == []
    assert funnel["selection"]["dropped"] == {"duplicate_near": 1}
    clips = {Path(row["uri"]).stem: row["clip_id"] for row in view.clips.to_pylist()}
    told = explain.run(explain.Config(dataset=where, clip=clips["large"])).data
    assert told["duplicate"]["decision"]["keeper"] == clips["small"]
    assert clips["small"] in told["decision"]["detail"]
    assert curate(str(raw), where, CurateConfig()).nothing_left


@pytest.mark.slow
def test_clips_with_nearly_the_same_embedding_are_dropped_if_turned_on(tmp_path):
    raw, where = tmp_path / "raw", str(tmp_path / "d")
    raw.mkdir()
    write(raw / "a.mp4", 0)
    write(raw / "b.mp4", 0, height=144, crf=34)
    scorers = ScorersConfig(embedding=True, clip_model=open_clip_folder(tmp_path / "m"))
    dedup = DedupConfig(near=False, semantic=True, max_cosine_distance=0.02)
    config = CurateConfig(analyze=AnalyzeConfig(scorers=scorers), dedup=dedup)
    report = curate(str(raw), where, config)
    assert (report.unscored, report.compared, dict(report.dropped)) == (0, 2, {"duplicate_semantic": 1})
    dataset = Dataset.open(where)
    assert conservation.violations(dataset) == []
    kept = {row["clip_id"] for row in LiveView(dataset).selections.to_pylist() if row["kept"]}
    rows = {row["kind"]: row for row in LiveView(dataset).duplicates.to_pylist()}
    assert {rows["semantic"]["keeper"]} == kept
    assert rows["semantic"]["offset_s"] is None
    write(raw / "c.mp4", 0, height=192)
    later = curate(str(raw), where, config)
    assert dict(later.dropped) == {"duplicate_semantic": 1}
    assert {r["clip_id"] for r in LiveView(Dataset.open(where)).selections.to_pylist() if r["kept"]} == kept


@pytest.mark.slow
def test_clips_that_were_embedded_later_are_found_by_a_text(tmp_path, capsys):
    raw, where = tmp_path / "raw", str(tmp_path / "d")
    raw.mkdir()
    for seed in range(3):
        write(raw / f"{seed}.mp4", seed)
    curate(str(raw), where, CurateConfig())
    scorers = ScorersConfig(embedding=True, clip_model=open_clip_folder(tmp_path / "m"))
    report = curate(str(raw), where, CurateConfig(analyze=AnalyzeConfig(scorers=scorers)))
    assert (report.scored, report.unscored, report.clips) == (3, 0, 0)
    argv = ["search", "a yellow disc", "--dataset", where, "--index", str(tmp_path / "index"), "--json"]
    assert main(argv) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["results"]
    clips = LiveView(Dataset.open(where)).read("clips", ["clip_id", "embedding"]).to_pylist()
    text_D = load_embedder(scorers.clip_model).embed_texts(["a yellow disc"])[0]
    scores = {row["clip_id"]: float(np.frombuffer(row["embedding"], "<f2") @ text_D) for row in clips}
    assert [row["clip_id"] for row in found] == sorted(scores, key=lambda name: -scores[name])
    assert [row["score"] for row in found] == pytest.approx(sorted(scores.values(), reverse=True), abs=1e-3)
