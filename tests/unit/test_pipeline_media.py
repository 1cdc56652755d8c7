"""What the pipeline's tasks write and read lies on S3 as in a folder: parts, and tars of clips."""

import json
import tarfile
from collections.abc import Iterator

import numpy as np
import pytest

from manifests import integrity
from manifests.dataset import Commit, Dataset
from manifests.digest import digest_bytes
from manifests.live_view import LiveView
from manifests.records import Selection
from pipeline.analyze.stage import analyze_batch
from pipeline.config import AnalyzeConfig, CutConfig, ListConfig
from pipeline.cut.stage import cut_batch
from pipeline.media.read import read_media
from pipeline.media.tar import TarWriter
from pipeline.pack.stage import write_tars
from pipeline.planning import pending
from pipeline.runtime.context import StageContext
from pipeline.runtime.pieces import Piece
from pipeline.runtime.units import to_row
from pipeline.select.select import KEPT
from pipeline.sources.listing import list_sources
from video.encode import encode_mp4
from video.frames import read_frames


def commit(dataset: Dataset, stage: str, pieces: Iterator[Piece]) -> Dataset:
    [done] = [piece.result for piece in pieces]
    return dataset.commit(Commit(stage=stage, added=done.parts, counts=dict(done.counts)), rebase=True)


def test_a_video_goes_all_the_way(place, tmp_path):
    noise_THWC = np.random.default_rng(0).integers(0, 255, (50, 64, 96, 3), np.uint8)
    (tmp_path / "raw").mkdir()
    encode_mp4(noise_THWC, 25, tmp_path / "raw" / "a.mp4")
    dataset = Dataset.create(place)
    context = StageContext(dataset_uri=dataset.uri, attempts_uri=str(tmp_path))
    sources = list_sources(str(tmp_path / "raw"), ListConfig()).sources
    dataset = commit(
        dataset,
        "analyze",
        analyze_batch(to_row(sources), config=AnalyzeConfig(), context=context),
    )
    clips = LiveView(dataset).clips["clip_id"].to_pylist()
    assert clips
    kept = [Selection(clip_id=c, kept=True, reason=KEPT, detail="", rules="r") for c in clips]
    dataset = dataset.commit(Commit(stage="select", added=(dataset.write_records("selections", kept),)))
    units = pending.cut_units(pending.to_cut(LiveView(dataset), CutConfig()), CutConfig())
    dataset = commit(dataset, "cut", cut_batch(to_row(units), config=CutConfig(), context=context))
    media = LiveView(dataset).media.to_pylist()
    assert [row["clip_id"] for row in media] == clips
    content = read_media(dataset.storage, media[0])
    assert digest_bytes(content) == media[0]["digest"]
    assert len(list(read_frames(content))) == media[0]["num_frames"]
    found = integrity.verify(dataset, media=True)
    assert (found.broken, found.orphans, found.incomplete_uploads, found.tars) == ([], [], [], 1)
    about = {"key": media[0]["clip_id"], "packed_as": "mp4"}
    record = {"caption": {"short": "noise", "medium": None, "dense": "all noise"}}
    samples = [media[0] | about | {"text": "noise", "record": record}]
    shard = {"path": "ar_4-3/0.tar", "kind": "joined", "samples": samples}
    [sample] = write_tars(
        {"units": json.dumps([shard])}, dataset_uri=dataset.uri, out_uri=str(tmp_path / "shards")
    )
    with tarfile.open(tmp_path / "shards" / "ar_4-3" / "0.tar") as tar:
        member = tar.extractfile(f"{sample['key']}.mp4")
        assert member is not None
        assert member.read() == content


def test_a_tar_that_breaks_off_is_not_there(place):
    dataset = Dataset.create(place)
    with pytest.raises(RuntimeError, match="stop"), TarWriter(dataset.storage, "media/x.tar") as tar:
        add_and_stop(tar)
    assert list(dataset.storage.list("media")) == []
    assert list(dataset.storage.incomplete_uploads()) == []


def add_and_stop(tar: TarWriter) -> None:
    tar.add("a.mp4", b"pixels")
    raise RuntimeError("stop")


def test_media_that_ends_early_says_which(place):
    dataset = Dataset.create(place)
    dataset.storage.put("media/x.tar", b"pix")
    with pytest.raises(ValueError, match=r"media/x.tar: ends before the clip c1"):
        read_media(dataset.storage, {"path": "media/x.tar", "offset": 0, "length": 9, "clip_id": "c1"})
