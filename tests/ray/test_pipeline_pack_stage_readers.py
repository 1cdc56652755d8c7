"""Other libraries read a packed set: every sample with its video or picture, its text and its record."""

import csv
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import duckdb
import numpy as np
import other_readers
import pytest
import ray.data
import webdataset as wds

from captioner.prompts import load_prompt
from captioner.protocol import CaptionAnswer, Captioner, CaptionRequest, Provenance
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.records import Outcome
from manifests.shards import ShardIndex
from pipeline.caption.batch import CaptionSpec
from pipeline.config import CaptionConfig, CurateConfig, PackConfig, RayConfig
from pipeline.jobs.caption import caption
from pipeline.jobs.curate import curate
from pipeline.jobs.pack import pack
from pipeline.media.read import read_media
from video.encode import VideoWriter

ENVIRONMENT = Path(__file__).parents[2] / ".bench" / "readers"
"""Where the slow tests install the readers, beside the packages of this interpreter."""
PACKAGES = ("datasets==5.2.0", "torchcodec==0.17.0", "megatron-energon==7.4.1")
BUCKETS = ("9x32x32", "9x32x48", "1x64x64")


def teller() -> Callable[[CaptionConfig], Captioner]:
    """Return a loader of a captioner whose texts are true of one clip only."""

    class Teller:
        def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
            return [self.answer(request) for request in requests]

        def answer(self, request: CaptionRequest) -> CaptionAnswer:
            return CaptionAnswer(
                clip_id=request.clip_id,
                prompt_digest=request.prompt.digest,
                outcome=Outcome.OK,
                text=f"{request.prompt.name} of {request.clip_id} — größer",
                raw="",
                frames_shown=(0,),
                provenance=Provenance(captioner="vlm", model="teller", revision="1", decoding="{}"),
            )

    return lambda config: Teller()


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A dataset `d` of six videos and eight stills, JPEG and PNG in turn, packed in `shards`.

    Only the last sources have a licence, and `year` is a whole number in some: a reader that takes its types
    from the first samples fails if they differ.
    """
    root = tmp_path_factory.mktemp("readers")
    (root / "raw").mkdir()
    paths = [*_videos(root / "raw"), *_stills(root / "raw")]
    with (root / "list.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "licence", "year"])
        years = (24, 23.976, "")
        rows.writerows([path, "CC-BY" * (n >= 10), years[n % 3]] for n, path in enumerate(paths))
    config = CurateConfig()
    config = replace(config, select=replace(config.select, min_side_px=16))
    assert curate(str(root / "list.csv"), str(root / "d"), config).cut == 14
    spec = CaptionSpec(dense=load_prompt("dense"), short=load_prompt("short"), version="v1")
    assert caption(str(root / "d"), CaptionConfig(actors=1), RayConfig(), spec, teller()).ok == 14
    report = pack(str(root / "d"), str(root / "shards"), PackConfig(buckets=BUCKETS), RayConfig())
    assert dict(report.buckets) == {"1x64x64": 8, "9x32x32": 3, "9x32x48": 3}
    return root


def _videos(folder: Path) -> Iterator[Path]:
    for number in range(6):
        height, width = ((48, 48), (48, 80))[number % 2]
        with VideoWriter(folder / f"v{number}.mp4", height=height, width=width, fps=12) as out:
            for index in range(18):
                rgb_HWC = np.full((height, width, 3), (20 * number + 30, 90, 120), np.uint8)
                rgb_HWC[4:14, index : index + 5] = 240
                out.write(rgb_HWC, index)
        yield folder / f"v{number}.mp4"


def _stills(folder: Path) -> Iterator[Path]:
    for number in range(8):
        tiles = np.random.default_rng(number).integers(0, 255, (6, 6, 3), np.uint8)
        path = folder / f"s{number}.{'jpg' if number % 2 else 'png'}"
        cv2.imwrite(str(path), cv2.resize(tiles, (96, 96), interpolation=cv2.INTER_NEAREST))
        yield path


@pytest.fixture(scope="module")
def expected(root) -> dict[str, list[str]]:
    """Text, carried columns and digest of the media of each sample, from the dataset."""
    dataset = Dataset.open(root / "d")
    view = LiveView(dataset)
    carried = {row["uri"]: row["carried"] for row in view.sources.to_pylist()}
    clips = {row["clip_id"]: row for row in view.clips.to_pylist()}
    texts = {row["media_id"]: row["short"] for row in view.captions().to_pylist()}
    found = {}
    for row in view.media.to_pylist():
        content: Any = read_media(dataset.storage, row)
        if row["extension"] != "mp4":
            bgr_HWC = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
            assert bgr_HWC is not None
            content = bgr_HWC[..., ::-1]
        about = carried[clips[row["clip_id"]]["uri"]]
        found[row["clip_id"]] = [texts[row["media_id"]], about, other_readers.digest(content)]
    assert len({tuple(each) for each in found.values()}) == 14
    return found


def tars(root: Path, kind: str = "") -> list[str]:
    return sorted(str(path) for path in (root / "shards" / "tars" / kind).rglob("*.tar"))


def pixels(picture: bytes) -> np.ndarray:
    bgr_HWC = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert bgr_HWC is not None
    return bgr_HWC[..., ::-1]


def told(sample: dict[str, Any]) -> list[str]:
    """Return what `expected` holds of a sample, decoded or not."""
    text, record = sample["txt"], sample["json"]
    text = text.decode() if isinstance(text, bytes) else text
    record = json.loads(record) if isinstance(record, bytes) else record
    media = sample.get("mp4")
    if media is None:
        media = pixels(sample["png"]) if isinstance(sample["png"], bytes) else sample["png"]
    return [text, record["source"]["carried"], other_readers.digest(media)]


def test_webdataset_with_two_workers_reads_each_bucket(root, expected, monkeypatch):
    found = {}
    for folder in sorted({str(Path(tar).parent) for tar in tars(root)}):
        urls = [tar for tar in tars(root) if tar.startswith(folder)]
        for worker in range(2):
            monkeypatch.setenv("WORKER", str(worker))
            monkeypatch.setenv("NUM_WORKERS", "2")
            mine = [*wds.WebDataset(urls, shardshuffle=False, empty_check=True)]
            assert mine
            found |= {sample["__key__"]: told(sample) for sample in mine}
    assert found == expected


def test_webdataset_takes_videos_and_pictures_by_name(root, expected):
    for kind, extension, count in (("videos", "mp4", 6), ("images", "png", 8)):
        samples = wds.WebDataset(tars(root, kind), shardshuffle=False).to_tuple(extension, "txt", "json")
        assert len([*samples]) == count


def test_records_have_the_same_keys_and_types_in_every_sample(root):
    def shape(value: Any) -> Any:
        return {k: shape(v) for k, v in value.items()} if isinstance(value, dict) else type(value).__name__

    samples = [*wds.WebDataset(tars(root), shardshuffle=False)]
    records = [json.loads(sample["json"]) for sample in samples]
    assert len({json.dumps(shape(record), sort_keys=True) for record in records}) == 1
    assert shape(records[0])["source"] == {
        "carried": "str",
        "digest": "str",
        "end_s": "float",
        "start_s": "float",
        "uri": "str",
    }
    caption = {"short": "str", "medium": "str", "dense": "str", "length": "str", "version": "str"}
    assert shape(records[0])["caption"].items() >= caption.items()
    assert {record["caption"]["medium"] for record in records} == {""}


def test_ray_reads_all_tars_decoded_and_the_folder_as_it_is(root, expected):
    found = {}
    for kind in ("videos", "images"):
        rows = ray.data.read_webdataset(tars(root, kind)).take_all()
        found |= {row["__key__"]: told(row) for row in rows}
    assert found == expected
    rows = ray.data.read_webdataset(str(root / "shards" / "tars"), decoder=None).take_all()
    assert {row["__key__"]: told(row) for row in rows} == expected
    assert len(ray.data.read_webdataset(tars(root)).take_all()) == 14


def test_duckdb_reads_the_index_and_it_is_the_arrow_one(root):
    index = ShardIndex.load(root / "shards")
    found = duckdb.sql(f"FROM '{root}/shards/index.parquet'").to_arrow_table()
    assert found.num_rows == index.num_samples == 14
    for row, cells in enumerate(found.to_pylist()):
        ref = index.sample(row)
        assert cells["key"] == ref.key
        assert f"{cells['num_frames']}x{cells['height']}x{cells['width']}" == ref.bucket.name
        content = (root / "shards" / cells["shard"]).read_bytes()
        assert content[cells["offset"] :][: cells["length"]] == index.read(ref)
    sql = "SELECT width, count(*), min(window_frames) FROM found GROUP BY 1 ORDER BY 1"
    assert duckdb.sql(sql).fetchall() == [(32, 3, 12), (48, 3, 12), (64, 8, 1)]


@pytest.fixture(scope="session")
def python_with_readers() -> str:
    """Return an interpreter that has the readers beside the packages of this one."""
    python = ENVIRONMENT / "bin" / "python"
    if not (ENVIRONMENT / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
        [site] = ENVIRONMENT.glob("lib/python*/site-packages")
        (site / "kinora.pth").write_text(sysconfig.get_paths()["purelib"])
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
        (ENVIRONMENT / "complete").touch()
    return str(python)


def run(*command: str) -> str:
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(ENVIRONMENT / "hf"), "PYTHONPATH": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("reader", other_readers.READERS)
def test_hugging_face_and_megatron_energon_read_every_sample(
    root, expected, python_with_readers, reader, tmp_path
):
    folder = tmp_path / "shards"
    shutil.copytree(root / "shards", folder)

    def read() -> dict[str, list[str]]:
        if reader == "energon":
            command = [str(Path(python_with_readers).with_name("energon")), "prepare", "--non-interactive"]
            command += ["--split-ratio", "1,0,0", "--sample-type", "CrudeWebdataset", "--force-overwrite"]
            for kind in ("videos", "images"):
                run(*command, str(folder / "tars" / kind))
        script = str(other_readers.__file__)
        return json.loads(run(python_with_readers, script, reader, str(folder / "tars")).splitlines()[-1])

    assert read() == expected
    config = PackConfig(buckets=BUCKETS)
    assert pack(str(root / "d"), str(folder), config, RayConfig()).nothing_left
    more = replace(config, min_shards=3)
    assert not pack(str(root / "d"), str(folder), more, RayConfig()).nothing_left
    assert read() == expected
