"""Long clips become windows: cut once, captioned one by one, packed under their own keys, and kept by crf."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import webdataset as wds

from captioner.prompts import load_prompt
from captioner.protocol import CaptionAnswer, Captioner, CaptionRequest, Provenance
from manifests import conservation, integrity
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.records import Outcome
from manifests.shards import ShardIndex
from pipeline.caption.batch import CaptionSpec
from pipeline.config import CaptionConfig, CurateConfig, CutConfig, PackConfig, RayConfig
from pipeline.jobs.caption import caption
from pipeline.jobs.curate import curate
from pipeline.jobs.pack import pack
from pipeline.media.read import read_media
from video.encode import VideoWriter
from video.frames import read_frames

CURATE = CurateConfig()
CURATE = replace(
    CURATE,
    analyze=replace(CURATE.analyze, detector="content", content_threshold=100.0),  # no cut in these films
    select=replace(CURATE.select, min_side_px=16),
)
SPEC = CaptionSpec(dense=load_prompt("dense"), short=load_prompt("short"), version="v1")
PACK = PackConfig(buckets=("17x32x48",), fps=8)
RAY = RayConfig()


def with_cut(**changes) -> CurateConfig:
    return replace(CURATE, cut=replace(CutConfig(), **changes))


def looker() -> Callable[[CaptionConfig], Captioner]:
    """Return a loader of a captioner that tells how many frames it saw, and where the square was first."""

    class Looker:
        def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
            return [self.answer(request) for request in reversed(requests)]

        def answer(self, request: CaptionRequest) -> CaptionAnswer:
            first_HW = request.frames_THWC[0, ..., 0]
            text = f"{request.prompt.name}: {len(request.frames_THWC)} frames, first {first_HW.mean():.1f}"
            return CaptionAnswer(
                clip_id=request.clip_id,
                prompt_digest=request.prompt.digest,
                outcome=Outcome.OK,
                text=text,
                raw=text,
                frames_shown=(0,),
                provenance=Provenance(captioner="vlm", model="looker", revision="1", decoding="{}"),
            )

    return lambda config: Looker()


def film(path: Path, seconds: float, size: int, fps: int = 12) -> None:
    """A shot without a cut that grows slowly brighter, with a square of `size` pixels."""
    count = round(seconds * fps)
    with VideoWriter(path, height=32, width=48, fps=fps, crf=4) as out:
        for index in range(count):
            rgb_HWC = np.full((32, 48, 3), 40 + round(16 * index / fps), np.uint8)
            left = (index // 4 + 2 * size) % (48 - size)
            rgb_HWC[4 : 4 + size, left : left + size] = (230, 30, 30)
            out.write(rgb_HWC, index)


@pytest.fixture(scope="module")
def curated(tmp_path_factory) -> Path:
    """One film of 10 seconds (three windows) and one of 3 (whole), curated and captioned."""
    root = tmp_path_factory.mktemp("windows")
    (root / "raw").mkdir()
    film(root / "raw" / "long.mp4", 10, 8)
    film(root / "raw" / "short.mp4", 3, 14)
    report = curate(str(root / "raw"), str(root / "d"), CURATE)
    assert (report.to_cut, report.cut, report.cut_failed) == (2, 2, {})
    assert caption(str(root / "d"), CaptionConfig(actors=1), RAY, SPEC, looker()).ok == 4
    return root


@pytest.fixture
def dataset(curated, tmp_path) -> str:
    shutil.copytree(curated / "d", tmp_path / "d")
    return str(tmp_path / "d")


def media_of(uri: str) -> list[dict]:
    rows = LiveView(Dataset.open(uri)).media.to_pylist()
    return sorted(rows, key=lambda row: (row["num_windows"], row["window_index"]))


def test_windows_hold_each_frame_once_and_the_dataset_adds_up(curated):
    dataset = Dataset.open(curated / "d")
    assert conservation.violations(dataset) == []
    funnel = conservation.funnel(dataset)
    assert (funnel["cut"]["done"], funnel["cut"]["media"], funnel["cut"]["to_do"]) == (2, 4, 0)
    whole, *windows = media_of(str(curated / "d"))
    assert (whole["num_windows"], whole["num_frames"]) == (1, 36)
    assert [row["num_frames"] for row in windows] == [40, 40, 40]
    assert [row["duration_s"] for row in windows] == pytest.approx([10 / 3] * 3)
    cut_frames = [frame.rgb_HWC for row in windows for frame in read_frames(read_media(dataset.storage, row))]
    source = [frame.rgb_HWC for frame in read_frames(curated / "raw" / "long.mp4")]
    assert len(cut_frames) == len(source) == 120
    for ours, theirs in zip(cut_frames, source, strict=True):
        assert abs(ours.astype(int) - theirs).mean() < 3  # neighbours differ by 1.3, three apart by 4
    found = integrity.verify(dataset, media=True)
    assert (found.broken, found.orphans) == ([], [])


def test_each_window_is_captioned_by_what_it_shows(curated):
    rows = media_of(str(curated / "d"))
    captions = {row["media_id"]: row for row in LiveView(Dataset.open(curated / "d")).captions().to_pylist()}
    assert len(captions) == 4
    for row in rows:
        found = captions[row["media_id"]]
        assert found["clip_id"] == row["clip_id"]
        assert found["text"].startswith(f"dense: {row['num_frames']} frames")
    first = [float(captions[row["media_id"]]["short"].rsplit(" ", 1)[1]) for row in rows[1:]]
    assert first[1] - first[0] > 40
    assert first[2] - first[1] > 40


def test_a_second_run_does_nothing_and_another_crf_keeps_ids_and_captions(dataset, curated):
    raw = str(curated / "raw")
    assert curate(raw, dataset, CURATE).to_cut == 0
    before = media_of(dataset)
    assert curate(raw, dataset, with_cut(crf=30)).cut == 2
    after = media_of(dataset)
    assert [row["media_id"] for row in after] == [row["media_id"] for row in before]
    assert {row["digest"] for row in after}.isdisjoint({row["digest"] for row in before})
    assert caption(dataset, CaptionConfig(actors=1), RAY, SPEC, looker()).nothing_left
    assert conservation.violations(Dataset.open(dataset)) == []
    assert curate(raw, dataset, with_cut(crf=30)).to_cut == 0


def test_another_window_length_cuts_the_clips_again_whose_windows_it_changes(dataset, curated, tmp_path):
    raw = str(curated / "raw")
    plan = curate(raw, dataset, with_cut(window_s=3.2), dry_run=True).plan
    assert [(each.units, dict(each.why)) for each in plan if each.stage == "cut"] == [
        (1, {"other windows": 1})
    ]
    assert curate(raw, dataset, with_cut(window_s=3.2)).cut == 1
    assert [row["num_windows"] for row in media_of(dataset)] == [1, 4, 4, 4, 4]
    assert conservation.violations(Dataset.open(dataset)) == []
    captioned = caption(dataset, CaptionConfig(actors=1), RAY, SPEC, looker())
    assert (captioned.media, captioned.already_done, captioned.ok) == (5, 1, 4)
    assert curate(raw, dataset, with_cut(window_s=0)).cut == 1
    assert [row["num_windows"] for row in media_of(dataset)] == [1, 1]
    assert (
        curate(raw, dataset, CURATE).cut == 1
    )  # the windows, and their captions, are those of the first run
    assert caption(dataset, CaptionConfig(actors=1), RAY, SPEC, looker()).nothing_left


def test_a_shard_holds_windows_under_their_own_keys(dataset, tmp_path):
    report = pack(dataset, str(tmp_path / "shards"), PACK, RAY)
    rows = media_of(dataset)
    assert report.samples == 4
    frames = [24, 27, 27, 27]
    used = sum(17 / n * row["duration_s"] for n, row in zip(frames, rows, strict=True)) / 13
    assert report.footage_used == pytest.approx({"all": used, "17x32x48": used})
    assert json.loads((tmp_path / "shards" / "pack.json").read_text())["footage_used"] == report.footage_used
    tars = sorted(str(path) for path in (tmp_path / "shards").rglob("*.tar"))
    samples = {sample["__key__"]: sample for sample in wds.WebDataset(tars, shardshuffle=False)}
    long = rows[1]["clip_id"]
    assert set(samples) == {rows[0]["clip_id"], f"{long}-000", f"{long}-001", f"{long}-002"}
    index = ShardIndex.load(tmp_path / "shards")
    refs = {ref.key: ref for ref in (index.sample(row) for row in range(4))}
    for number, row in enumerate(rows[1:]):
        ref, record = refs[f"{long}-{number:03d}"], json.loads(samples[f"{long}-{number:03d}"]["json"])
        assert (ref.clip_id, ref.media_id, ref.media_digest) == (long, row["media_id"], row["digest"])
        assert (ref.window_frames, ref.source) == (27, record["source"]["digest"])
        assert record["source"]["start_s"] == pytest.approx(number * 10 / 3)
        assert record["source"]["end_s"] == pytest.approx((number + 1) * 10 / 3)
    digest = index.digest
    assert pack(dataset, str(tmp_path / "shards"), PACK, RAY).nothing_left
    pack(dataset, str(tmp_path / "other"), replace(PACK, min_shards=4), RAY)
    other = ShardIndex.load(tmp_path / "other")
    assert len({*other.column("shard")}) == 4
    assert other.digest == digest
