"""Streamed samples are those of reading by range, with one request a block, on a disk and on S3."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from manifests.records import Bucket, SampleRef
from manifests.shards import PACK_FILE, ShardIndex, index_table, serialize_index
from manifests.storage import open_storage
from trainer.config import CropConfig
from trainer.data.decode import read_sample
from trainer.data.pixels import PixelData
from trainer.data.stream import BlockReader, block_size_of, rows_of_shards
from video.encode import mp4_bytes

BUCKET = Bucket(num_frames=9, height=32, width=32)
SHARDS, SAMPLES = 4, 6


@pytest.fixture
def shards(place) -> str:
    """A set of four tars of six clips, on a disk and on S3."""
    storage, refs = open_storage(place), []
    for shard in range(SHARDS):
        tar_bytes, name = io.BytesIO(), f"tars/{shard:06d}.tar"
        with tarfile.open(fileobj=tar_bytes, mode="w") as tar:
            for number in range(SAMPLES):
                start, key = tar_bytes.tell(), f"clip-{shard}-{number:03d}"
                frames_THWC = np.full((9, 32, 32, 3), 30 * shard + 10 * number, np.uint8)
                texts = {"txt": key.encode(), "json": json.dumps({"caption": {"dense": f"{key}!"}}).encode()}
                for extension, content in {"mp4": mp4_bytes(frames_THWC, 8), **texts}.items():
                    info = tarfile.TarInfo(f"{key}.{extension}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
                refs.append(
                    SampleRef(
                        clip_id=f"clip-{shard}",
                        key=key,
                        source=f"film-{shard}",
                        bucket=BUCKET,
                        shard=name,
                        offset=start,
                        length=tar_bytes.tell() - start,
                    )
                )
        storage.put(name, tar_bytes.getvalue())
    for name, content in serialize_index(index_table(refs), fps=8.0).items():
        storage.put(name, content)
    storage.put(PACK_FILE, b"{}")
    return place


@pytest.fixture
def requests(monkeypatch) -> list[SampleRef]:
    """Record what is read of the shards."""
    found: list[SampleRef] = []
    read = ShardIndex.read
    monkeypatch.setattr(ShardIndex, "read", lambda self, ref: found.append(ref) or read(self, ref))
    return found


def data(shards: str, *, streaming: bool = True, **more) -> PixelData:
    crop = CropConfig(side_px=32, lengths=(9,), cache_mb=0)
    made = PixelData(
        shards=shards, batch_size=4, validation_fraction=0, crop=crop, streaming=streaming, **more
    )
    made.setup("fit")
    return made


def test_a_sample_of_a_block_is_the_one_read_alone(shards, requests):
    index = ShardIndex.load(shards)
    alone = [read_sample(index, index.sample(row)) for row in range(index.num_samples)]
    requests.clear()
    reader = BlockReader(index, buffer_bytes=10_000_000)
    block = (2, 3, 4, 5, 6, 7)  # the end of one tar and the start of the next
    assert [reader.read(row, block) for row in (7, 2, 6, 3, 5, 4)] == [alone[r] for r in (7, 2, 6, 3, 5, 4)]
    assert [ref.shard for ref in requests] == ["tars/000000.tar", "tars/000001.tar"]
    assert reader.read(2, block) == alone[2]  # again: fetched again
    assert len(requests) == 4


def test_memory_is_bounded(shards, requests):
    index = ShardIndex.load(shards)
    reader = BlockReader(index, buffer_bytes=0)
    block = (0, 1, 2)
    texts = [reader.read(row, block).short for row in block]
    assert texts == ["clip-0-000", "clip-0-001", "clip-0-002"]
    assert len(requests) == 3
    assert reader._bytes == 0


def test_held_out_samples_between_those_of_a_block_are_passed_over(shards, requests):
    index = ShardIndex.load(shards)
    reader = BlockReader(index, buffer_bytes=10_000_000)
    assert reader.read(5, (0, 2, 5)).short == "clip-0-005"
    assert len(requests) == 1


def test_an_epoch_asks_once_for_each_block(shards, requests):
    streamed = data(shards)
    steps = SHARDS * SAMPLES // 4
    texts = [row for step in range(steps) for row in streamed.rows_of_step(step)]
    assert sorted(texts) == list(range(SHARDS * SAMPLES))
    for step in range(steps):
        streamed.read(step, 0)
    blocks = {block for step in range(steps) for _, block in streamed.plan.at(step)}
    shards_of = [{streamed.index.sample(row).shard for row in block} for block in blocks]
    assert len(requests) == sum(map(len, shards_of))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_workers_and_resume_from_one_integer(shards, workers):
    streamed = data(shards)
    expected = [streamed.read(step, 0) for step in range(10)]
    streamed = data(shards, num_workers=workers)
    streamed.load_state_dict({**streamed.state_dict(), "next_step": 3})
    for step, batch in zip(range(3, 10), streamed.train_dataloader(), strict=False):
        assert batch.step == step
        for one, other in zip(batch.frames_BTHWC, expected[step].frames_BTHWC, strict=True):
            assert (one == other).all()


def test_a_resume_in_the_other_order_is_refused(shards):
    streamed, plain = data(shards), data(shards, streaming=False)
    for one, other in ((streamed, plain), (plain, streamed), (streamed, data(shards, stream_lanes=3))):
        with pytest.raises(ValueError, match="order changed since the checkpoint"):
            one.load_state_dict(other.state_dict())
    old = {name: value for name, value in plain.state_dict().items() if name != "order"}
    plain.load_state_dict(old)
    with pytest.raises(ValueError, match="order"):
        streamed.load_state_dict(old)


def test_a_tar_that_lacks_a_sample_names_it(shards):
    index = ShardIndex.load(shards)
    other = index.sample(0)
    object.__setattr__(other, "key", "another")
    index.sample = lambda row: other
    with pytest.raises(ValueError, match=r"tars/000000\.tar at byte 0: clip clip-0 has \[\], but needs"):
        BlockReader(index, buffer_bytes=0).read(0, (0,))


def test_a_damaged_tar_is_named(shards, monkeypatch):
    index = ShardIndex.load(shards)
    monkeypatch.setattr(ShardIndex, "read", lambda self, ref: b"no tar" * 500)
    message = r"tars/000000\.tar at byte 0: clip clip-0: no tar \(.*\); pack again"
    with pytest.raises(ValueError, match=message):
        read_sample(index, index.sample(0))
    with pytest.raises(ValueError, match=message):
        BlockReader(index, buffer_bytes=0).read(0, (0, 1))


def test_blocks_hold_some_megabytes(shards):
    index = ShardIndex.load(shards)
    assert block_size_of(index) == 64
    index.column = lambda name: [3_000_000] * 24
    assert block_size_of(index) == 2
    index.column = lambda name: [30_000_000] * 24
    assert block_size_of(index) == 1


def test_rows_are_divided_by_shard_in_the_order_of_the_file(shards):
    index = ShardIndex.load(shards)
    found = rows_of_shards(index, np.array([23, 0, 5, 7, 6, 12]))
    assert [rows.tolist() for rows in found] == [[0, 5], [6, 7], [12], [23]]
    assert Path(index.sample(12).shard).name == "000002.tar"
