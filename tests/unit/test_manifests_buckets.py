"""Buckets and the shard index: pure decisions, one row a sample."""

from itertools import permutations

import pytest

from manifests.buckets import assign, frames_at, parse_bucket, rejection_reason, shard_folder
from manifests.records import Bucket, SampleRef
from manifests.shards import ShardIndex, write_index

SQUARE, WIDE, TALL = parse_bucket("17x64x64"), parse_bucket("17x48x80"), parse_bucket("17x80x48")
SHORT, STILL = parse_bucket("9x64x64"), parse_bucket("1x64x64")
BUCKETS = [SQUARE, WIDE, TALL, SHORT, STILL]


@pytest.mark.parametrize(
    ("num_frames", "height", "width", "expected"),
    [
        (24, 96, 96, SQUARE),
        (24, 72, 128, WIDE),
        (24, 128, 72, TALL),
        (16, 96, 96, SHORT),  # one frame too few for the long ones
        (3, 96, 96, STILL),
        (24, 63, 200, None),  # never upscale, never lose more than max_crop
        (24, 40, 72, None),
    ],
)
def test_assign(num_frames, height, width, expected):
    for order in permutations(BUCKETS):
        got = assign(num_frames=num_frames, height=height, width=width, buckets=order, max_crop=0.1)
        assert got == expected


@pytest.mark.parametrize(
    ("num_frames", "height", "width", "reason"),
    [(0, 96, 96, "too_short"), (24, 20, 20, "too_small"), (24, 64, 640, "crops_too_much")],
)
def test_a_clip_without_a_bucket_says_why(num_frames, height, width, reason):
    shape = {"num_frames": num_frames, "height": height, "width": width}
    assert assign(**shape, buckets=BUCKETS, max_crop=0.1) is None
    assert rejection_reason(**shape, buckets=BUCKETS, max_crop=0.1) == reason


def test_frames_at_counts_the_instants_within_a_clip():
    assert [frames_at(s, 8) for s in (0, 0.01, 1.0, 2.0, 2.01, 2.125)] == [1, 1, 8, 16, 17, 17]


def test_the_folder_tells_aspect_duration_and_resolution():
    assert shard_folder(WIDE, 8) == "ar_16-9/dur_17f_2.1s/res_80x48"
    assert shard_folder(STILL, 8) == "ar_1-1/dur_image/res_64x64"
    with pytest.raises(ValueError, match="frames x height x width"):
        parse_bucket("64x64")


def test_the_index_is_read_without_lists_and_names_its_content(tmp_path):
    samples = [
        SampleRef(clip_id=str(i), bucket=BUCKETS[i % 5], shard="a.tar", offset=i * 10, length=10)
        for i in range(20)
    ]
    (tmp_path / "a.tar").write_bytes(bytes(range(200)))
    write_index(tmp_path, samples, fps=8.0)
    index = ShardIndex.load(tmp_path)
    assert [index.sample(i) for i in range(index.num_samples)] == samples
    assert index.read(samples[3]) == bytes(range(30, 40))
    assert index.counts() == dict.fromkeys(BUCKETS, 4)
    write_index(tmp_path, samples[1:], fps=8.0)
    assert ShardIndex.load(tmp_path).digest != index.digest


def test_a_missing_or_foreign_index_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="kinora pack"):
        ShardIndex.load(tmp_path)
    (tmp_path / "index.arrow").write_text("hello")
    with pytest.raises(ValueError, match="not a shard index"):
        ShardIndex.load(tmp_path)
    assert Bucket(num_frames=1, height=2, width=3).name == "1x2x3"
