"""Clips to captions to shards: every outcome a row, equal bytes from equal input, readable without us."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset as wds

from captioner.prompts import load_prompt
from captioner.protocol import CaptionAnswer, Captioner, CaptionRequest, Provenance
from manifests import conservation
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.records import Outcome
from manifests.shards import ShardIndex
from pipeline.caption.batch import CaptionSpec
from pipeline.config import CaptionConfig, CurateConfig, PackConfig, RayConfig
from pipeline.errors import NothingToDo
from pipeline.jobs.caption import caption
from pipeline.jobs.curate import curate
from pipeline.jobs.pack import OutputRefused, pack
from video.encode import VideoWriter

PACK = PackConfig(buckets=("9x32x32", "9x32x48", "1x32x32"), fps=8)
RAY = RayConfig()
CAPTION = CaptionConfig(max_frames=9, actors=1)


def load_teller(say: Callable[[CaptionRequest], str | None]) -> Callable[[CaptionConfig], Captioner]:
    """Return a loader of a captioner that says `say(request)`; None stands for a refusal."""

    class Teller:
        def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
            return [self.answer(request) for request in reversed(requests)]

        def answer(self, request: CaptionRequest) -> CaptionAnswer:
            text = say(request)
            return CaptionAnswer(
                clip_id=request.clip_id,
                prompt_digest=request.prompt.digest,
                outcome=Outcome.REFUSED if text is None else Outcome.OK,
                text=text,
                raw=text or "I cannot",
                frames_shown=(0,),
                provenance=Provenance(captioner="vlm", model="teller", revision="1", decoding="{}"),
                detail="" if text else "begins with 'I cannot'",
            )

    return lambda config: Teller()


def redness(request: CaptionRequest) -> str:
    """Say something that only this clip makes true."""
    red = request.frames_THWC[..., 0].mean()
    return f"{request.prompt.name}: {len(request.frames_THWC)} frames, red {red:.0f}"


def asking(version: str) -> CaptionSpec:
    return CaptionSpec(dense=load_prompt("dense"), short=load_prompt("short"), version=version)


@pytest.fixture(scope="module")
def curated(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("curated")
    (root / "raw").mkdir()
    for number, (height, width) in enumerate([(32, 32), (32, 48), (32, 32), (24, 24)]):
        with VideoWriter(root / "raw" / f"{number}.mp4", height=height, width=width, fps=12) as out:
            for index in range(36):
                rgb_HWC = np.full((height, width, 3), (80 * (index // 18) + 20 * number, 90, 120), np.uint8)
                top = 4 + 3 * number
                rgb_HWC[top : top + 10, index % 18 : index % 18 + 5] = 240
                out.write(rgb_HWC, index)
    config = CurateConfig()
    report = curate(
        str(root / "raw"), str(root / "d"), replace(config, select=replace(config.select, min_side_px=16))
    )
    assert report.cut == 8
    return root


def copied(curated: Path, to: Path) -> str:
    import shutil

    shutil.copytree(curated / "d", to)
    return str(to)


def members(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def test_a_caption_is_of_its_own_clip_and_a_second_run_does_nothing(curated, tmp_path):
    uri = copied(curated, tmp_path / "d")
    report = caption(uri, replace(CAPTION, batch_clips=3), RAY, asking("v1"), load_teller(redness))
    assert (report.ok, report.failed) == (8, {})
    dataset = Dataset.open(uri)
    assert conservation.violations(dataset) == []
    clips = {row["clip_id"]: row for row in LiveView(dataset).clips.to_pylist()}
    for row in LiveView(dataset).captions().to_pylist():
        clip = clips[row["clip_id"]]
        red = 80 * (clip["start_pts"] > 0) + 20 * int(Path(clip["uri"]).stem)
        said = int(row["text"].rsplit(" ", 1)[1])
        assert abs(said - red) < 30
        assert row["text"].startswith("dense: 9 frames")
        assert row["short"].startswith("short: 9 frames")
        assert row["version"] == "v1"
    assert caption(uri, CAPTION, RAY, asking("v1"), load_teller(redness)).nothing_left
    media = LiveView(dataset).media.num_rows
    caption(uri, CAPTION, RAY, asking("v2"), load_teller(redness))
    dataset = Dataset.open(uri)
    assert LiveView(dataset).media.num_rows == media
    assert {row["version"] for row in LiveView(dataset).captions().to_pylist()} == {"v2"}
    assert LiveView(dataset).captions("v1").num_rows == 8


def test_refusals_crashes_and_lost_media_are_rows_and_retry_takes_only_them(curated, tmp_path):
    uri = copied(curated, tmp_path / "d")
    dataset = Dataset.open(uri)
    ids = sorted(LiveView(dataset).media["clip_id"].to_pylist())

    def moody(request: CaptionRequest) -> str | None:
        if request.clip_id == ids[0]:
            raise RuntimeError("out of memory")
        return None if request.clip_id == ids[1] else redness(request)

    report = caption(uri, CAPTION, RAY, asking("v1"), load_teller(moody))
    assert (report.ok, report.failed) == (6, {"INTERNAL": 1, "REFUSED": 1})
    dataset = Dataset.open(uri)
    assert conservation.violations(dataset) == []
    assert conservation.funnel(dataset)["captions"]["other"] == {"error": 1, "refused": 1}
    failed = {row["code"]: row for row in LiveView(dataset).failures.to_pylist()}
    assert "out of memory" in failed["INTERNAL"]["message"]
    assert caption(uri, CAPTION, RAY, asking("v1"), load_teller(redness)).nothing_left
    again = caption(uri, CAPTION, RAY, asking("v1"), load_teller(redness), retry=True)
    assert (again.ok, again.already_done) == (2, 6)
    assert LiveView(Dataset.open(uri)).failures.num_rows == 0


def test_shards_are_read_by_the_stock_library_and_the_index_agrees(curated, tmp_path):
    uri = copied(curated, tmp_path / "d")
    caption(uri, CAPTION, RAY, asking("v1"), load_teller(redness))
    out = tmp_path / "shards"
    report = pack(uri, str(out), PACK, RAY)
    assert (report.samples, dict(report.left_out)) == (6, {"too_small": 2})
    assert dict(report.buckets) == {"9x32x32": 4, "9x32x48": 2}
    urls = sorted(str(path) for path in out.rglob("*.tar"))
    assert [str(Path(url).parent.relative_to(out)) for url in urls] == [
        "tars/videos/ar_1-1/dur_9f_1.1s/res_32x32",
        "tars/videos/ar_1-1/dur_9f_1.1s/res_32x32",
        "tars/videos/ar_4-3/dur_9f_1.1s/res_48x32",
        "tars/videos/ar_4-3/dur_9f_1.1s/res_48x32",
    ]
    stock: dict[str, dict[str, Any]] = {s["__key__"]: s for s in wds.WebDataset(urls, shardshuffle=False)}
    captions = {row["clip_id"]: row for row in LiveView(Dataset.open(uri)).captions().to_pylist()}
    index = ShardIndex.load(out)
    assert index.fps == 8
    refs = [index.sample(row) for row in range(index.num_samples)]
    assert {ref.clip_id for ref in refs} == set(stock)
    for ref in refs:
        sample = stock[ref.clip_id]
        record = json.loads(sample["json"])
        assert sample["txt"].decode() == record["caption"]["short"] == captions[ref.clip_id]["short"]
        assert record["caption"]["dense"] == captions[ref.clip_id]["text"]
        assert record["bucket"] == {"name": ref.bucket.name, "fps": 8}
        assert record["source"]["end_s"] - record["source"]["start_s"] == pytest.approx(1.5)
        assert sample["mp4"] in index.read(ref)


def test_equal_input_gives_equal_bytes_and_other_folders_are_refused(curated, tmp_path):
    uri = copied(curated, tmp_path / "d")
    with pytest.raises(NothingToDo, match="kinora caption"):
        pack(uri, str(tmp_path / "one"), PACK, RAY)
    caption(uri, CAPTION, RAY, asking("v1"), load_teller(redness))
    small = replace(PACK, shard_bytes=8000)
    pack(uri, str(tmp_path / "one"), small, RAY)
    pack(uri, str(tmp_path / "two"), small, RAY)
    first = members(tmp_path / "one")
    assert first == members(tmp_path / "two")
    assert sum(name.endswith(".tar") for name in first) > 2
    assert pack(uri, str(tmp_path / "one"), small, RAY).nothing_left
    caption(uri, CAPTION, RAY, asking("v2"), load_teller(lambda request: "another caption"))
    assert not pack(uri, str(tmp_path / "one"), small, RAY).nothing_left
    changed = members(tmp_path / "one")
    assert changed.keys() == first.keys()
    assert changed != first
    (tmp_path / "two" / "notes.txt").write_text("mine")
    with pytest.raises(OutputRefused, match="notes"):
        pack(uri, str(tmp_path / "two"), small, RAY)
    assert (tmp_path / "two" / "notes.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def packed(out: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the text and the caption record of each clip of a shard set."""
    urls = sorted(str(path) for path in out.rglob("*.tar"))
    samples = wds.WebDataset(urls, shardshuffle=False)
    return {s["__key__"]: (s["txt"].decode(), json.loads(s["json"])["caption"]) for s in samples}


def versions(out: Path) -> set[str]:
    return {record["version"] for _, record in packed(out).values()}


@pytest.mark.slow
def test_captions_are_packed_by_a_policy_and_never_mixed_unasked(curated, tmp_path):
    uri, out = copied(curated, tmp_path / "d"), tmp_path / "shards"
    ids = sorted(LiveView(Dataset.open(uri)).media["clip_id"].to_pylist())

    def some(request: CaptionRequest) -> str | None:
        return f"B {request.prompt.name}" if request.clip_id in ids[:4] else None

    def run(version: str, say: Any) -> Any:
        return caption(uri, CAPTION, RAY, asking(version), load_teller(say))

    run("a", lambda request: f"A {request.prompt.name}")
    run("broken", lambda request: None)
    report = pack(uri, str(out), PACK, RAY)
    assert (report.samples, dict(report.captions)) == (6, {"a": {"short": 6}})
    assert {(text, record["dense"]) for text, record in packed(out).values()} == {("A short", "A dense")}
    run("b", some)
    report = pack(uri, str(out), PACK, RAY)
    assert {version: sum(each.values()) for version, each in report.captions.items()} == {
        version: sum(record["version"] == version for _, record in packed(out).values())
        for version in ("a", "b")
    }
    assert set(report.captions) == {"a", "b"}
    assert json.loads((out / "pack.json").read_text())["captions"]["policy"] == "latest-ok"
    only = pack(uri, str(out), replace(PACK, captions="a:dense"), RAY)
    assert (versions(out), dict(only.captions)) == ({"a"}, {"a": {"dense": 6}})
    assert {(text, record["length"], record["fixed_length"]) for text, record in packed(out).values()} == {
        ("A dense", "dense", True)
    }
    assert not pack(uri, str(out), replace(PACK, captions="a"), RAY).nothing_left
    mixed = pack(uri, str(out), replace(PACK, captions="mix:a:short=0.1,b:dense=0.9"), RAY, dry_run=True)
    assert sum(mixed.redrawn.values()) > 0
    assert mixed.samples == 6
    left = pack(uri, str(out), replace(PACK, captions="b"), RAY, dry_run=True)
    assert left.without_caption_why == {"no OK caption of b": 4}
    with pytest.raises(ValueError, match=r"no caption version 'c'.*a \(8 ok\), b \(4 ok\), broken \(0 ok\)"):
        pack(uri, str(out), replace(PACK, captions="c"), RAY)
    with pytest.raises(ValueError, match="no caption of a has a medium text; they have short, dense"):
        pack(uri, str(out), replace(PACK, captions="a:medium"), RAY)
    with pytest.raises(NothingToDo, match="no OK caption of broken"):
        pack(uri, str(out), replace(PACK, captions="broken"), RAY)
    assert run("a", some).nothing_left
    number = Dataset.open(uri).number
    assert run("a", some).nothing_left
    assert Dataset.open(uri).number == number  # asked for last already
    assert pack(uri, str(out), PACK, RAY).captions == {"a": {"short": 6}}
    assert conservation.violations(Dataset.open(uri)) == []


def test_one_text_for_many_clips_is_reported(curated, tmp_path):
    uri = copied(curated, tmp_path / "d")
    report = caption(uri, CAPTION, RAY, asking("v1"), load_teller(lambda request: "Pa fotografi."))
    ids = LiveView(Dataset.open(uri)).media["clip_id"].to_pylist()
    assert report.shared == (len(ids), min(ids))
    assert replace(report, shared=(20, "c")).shares_text
    assert not replace(report, shared=(20, "c"), ok=500).shares_text
    assert not report.shares_text
