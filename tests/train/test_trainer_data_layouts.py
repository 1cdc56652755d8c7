"""The same dataset packed joined and split gives equal samples, steps and latents, on a disk and on S3."""

import runpy
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pack_without_ray
import pyarrow as pa
import pytest
import torch

from benchmarks.packable_dataset import MadeMedium, caption_row, make
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.shards import ShardIndex
from pipeline.config import PackConfig, RayConfig
from pipeline.jobs import pack as job
from trainer.checkpoints import save_model
from trainer.config import CropConfig, EncodeConfig, FlowConfig, TextChoice
from trainer.data.decode import read_sample, read_texts
from trainer.data.encode import encode
from trainer.data.encode_tasks import ReadTexts
from trainer.data.encode_worker import Worker
from trainer.data.latent_cache import EncodedSet
from trainer.data.latents import LatentData
from trainer.data.pixels import PixelData
from trainer.data.stream import BlockReader, rows_of_shards
from trainer.vae.model import VideoVae
from video.encode import mp4_bytes

HERE = Path(__file__).parent
RUNS = runpy.run_path(str(HERE / "training_runs.py"))
UNIT = runpy.run_path(str(HERE.parent / "unit" / "conftest.py"))
s3_endpoint, s3_uri = UNIT["s3_endpoint"], UNIT["s3_uri"]
BUCKETS = ("9x32x32", "9x32x48")


def medium(clip: int, window: int) -> MadeMedium:
    """Videos of several lengths and shapes, and windows of others."""
    width, frames = (32, 48)[clip % 2], (28, 36, 61)[clip % 3] - 2 * window
    frames_THWC = np.full((frames, 32, width, 3), 20 + 15 * clip, np.uint8)
    frames_THWC[:, 8 : 12 + window, 4:20] = 250 - 10 * clip
    return MadeMedium(content=mp4_bytes(frames_THWC, 24), num_frames=frames, height=32, width=width)


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> Path:
    """A dataset `d`, packed in `joined` and `split`, and a VAE."""
    root = tmp_path_factory.mktemp("layouts")
    make(root / "d", clips=10, medium=medium, windows=lambda clip: 2 if clip == 4 else 1)
    for layout in ("joined", "split"):
        pack(root, str(root / layout), layout)
    save_model(root / "vae", "vae", VideoVae(RUNS["VAE"]), {})
    return root


def pack(root: Path, out: str, layout: Any, *, dataset: str = "d") -> Mapping[str, int]:
    """Pack in this process, without Ray; return the tars that were written."""
    with pytest.MonkeyPatch.context() as patch:
        pack_without_ray.patch(patch)
        config = PackConfig(buckets=BUCKETS, fps=8, layout=layout)
        return job.pack(str(root / dataset), out, config, RayConfig()).tars_written


def pixels(shards: str, *, streaming: bool = False) -> PixelData:
    crop = CropConfig(side_px=32, lengths=(9,), cache_mb=0)
    data = PixelData(shards=shards, batch_size=4, validation_fraction=0, crop=crop, streaming=streaming)
    data.setup("fit")
    return data


def encode_set(root: Path, shards: str) -> dict[str, Any]:
    config = EncodeConfig(shards=shards, vae=str(root / "vae"))
    return encode(config, progress=lambda line: None)


def test_samples_and_steps_are_equal(sets):
    joined, split = (ShardIndex.load(sets / layout) for layout in ("joined", "split"))
    assert joined.digest == split.digest
    assert joined.num_samples == split.num_samples == 11
    assert len({*split.column("window_frames")}) >= 3
    for row in range(split.num_samples):
        sample = read_sample(split, split.sample(row))
        assert sample == read_sample(joined, joined.sample(row))
        assert read_texts(split, split.sample(row)) == (sample.short, sample.dense)
    one, other = (pixels(str(sets / layout)) for layout in ("joined", "split"))
    assert one.identity == other.identity
    for step in range(8):
        assert one.rows_of_step(step) == other.rows_of_step(step)
        batches = [data.read(step, 0).frames_BTHWC for data in (one, other)]
        assert all((a == b).all() for a, b in zip(*batches, strict=True))


@pytest.mark.parametrize("on_s3", [False, True])
def test_blocks_of_a_stream_hold_the_same_samples(sets, on_s3, request):
    place = str(sets / "split")
    if on_s3:
        place = request.getfixturevalue("s3_uri")
        assert pack(sets, place, "split") == {"captions": 4, "media": 4}
    index, joined = ShardIndex.load(place), ShardIndex.load(sets / "joined")
    reader = BlockReader(index, buffer_bytes=10_000_000)
    for rows in rows_of_shards(index, np.arange(index.num_samples)):
        block = tuple(rows.tolist())
        for row in reversed(block):
            assert reader.read(row, block) == read_sample(joined, joined.sample(row))
    streamed = pixels(place, streaming=True)
    assert {row for step in range(3) for row in streamed.rows_of_step(step)} >= {*range(11)}
    assert len(streamed.read(0, 0).frames_BTHWC)


def test_latents_and_steps_of_the_transformer_are_equal(sets):
    figures = {layout: encode_set(sets, str(sets / layout)) for layout in ("joined", "split")}
    same = ("clips", "encoded", "texts", "texts_encoded", "failed")
    assert {name: figures["joined"][name] for name in same} == {n: figures["split"][n] for n in same}
    stored = [EncodedSet.load(ShardIndex.load(sets / layout)) for layout in ("joined", "split")]
    for row in range(11):
        starts = stored[0].starts(row)
        assert starts == stored[1].starts(row)
        assert all(np.array_equal(*(each.latent(row, start) for each in stored)) for start in starts)
        assert all(np.array_equal(*(e.text(row, text) for e in stored)) for text in ("short", "dense"))
    batches = []
    for layout in ("joined", "split"):
        data = LatentData(
            shards=str(sets / layout),
            batch_size=4,
            validation_fraction=0,
            flow=FlowConfig(),
            text=TextChoice(),
            dit=RUNS["NANO"],
        )
        data.setup("fit")
        batches.append([data.read(step, 0) for step in (0, 3)])
    for one, other in zip(*batches, strict=True):
        for groups in zip(one.groups, other.groups, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(*groups, strict=True))


def test_an_edited_caption_encodes_its_own_texts_and_reads_no_media(sets, tmp_path, monkeypatch):
    root, out = tmp_path, str(tmp_path / "split")
    shutil.copytree(sets / "d", root / "d")
    shutil.copytree(sets / "vae", root / "vae")
    pack(root, out, "split")
    assert encode_set(root, out)["encoded"] == 11
    dataset = Dataset.open(root / "d")
    media = LiveView(dataset).media.to_pylist()[3]
    part = dataset.write_part("captions", pa.Table.from_pylist([caption_row(media, "made-1", "edited")]))
    dataset.commit(Commit(stage="caption", added=(part,), config_digest="made-1"))
    assert pack(root, out, "split") == {"captions": 1}
    figures = encode_set(root, out)
    assert (figures["encoded"], figures["texts_encoded"], figures["already_encoded"]) == (0, 2, 11)
    index = ShardIndex.load(out)
    row = index.column("media_id").index(media["media_id"])
    monkeypatch.delattr(ShardIndex, "read")
    worker = Worker(EncodeConfig(shards=out, vae=str(root / "vae")), "cpu")
    [texts] = worker.run(ReadTexts(rows=(row,))).samples
    assert texts.texts["dense"].startswith("edited text")
    assert texts.media_digest == index.sample(row).media_digest
