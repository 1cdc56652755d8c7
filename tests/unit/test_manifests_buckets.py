"""Buckets and the shard index: pure decisions, one row a sample."""

import io
import json
import tarfile
from itertools import permutations
from pathlib import Path

import pytest

from manifests.buckets import assign, frames_at, parse_bucket, rejection_reason, shard_folder
from manifests.digest import digest_bytes
from manifests.records import Bucket, SampleRef
from manifests.shards import ShardIndex, write_index

SQUARE, WIDE, TALL = parse_bucket("17x64x64"), parse_bucket("17x48x80"), parse_bucket("17x80x48")
SHORT, STILL = parse_bucket("9x64x64"), parse_bucket("1x64x64")
LEGACY = Path(__file__).parents[1] / "golden" / "legacy"
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


def ref(number: int, **changed) -> SampleRef:
    about = {"shard": "a.tar", "offset": number * 10, "length": 10, "key": f"{number}-000", "media_id": "m"}
    about |= {"media_digest": f"d{number}", "source": "s", "window_frames": 34, "text_digest": f"t{number}"}
    return SampleRef(clip_id=str(number), bucket=BUCKETS[number % 5], **{**about, **changed})


def digest_of(root, samples: list[SampleRef]) -> str:
    write_index(root, samples, fps=8.0)
    return ShardIndex.load(root).digest


def test_the_digest_names_the_content_and_not_the_files(tmp_path):
    whole = [ref(i) for i in range(20)]
    digest = digest_of(tmp_path, whole)
    assert digest == digest_of(tmp_path, [ref(i, shard=f"{i}.tar", offset=0, length=7) for i in range(20)])
    assert ShardIndex.load(tmp_path).column("source") == ["s"] * 20
    others = {
        digest_of(tmp_path, [*whole[:7], ref(7, **changed), *whole[8:]])
        for changed in (
            {"text_digest": "another caption"},
            {"media_digest": "another crf"},
            {"window_frames": 35},
            {"source": "z"},
            {"key": "7-001"},
        )
    }
    assert len(others - {digest}) == 5


def test_a_set_packed_before_opens_with_the_values_of_whole_clips_and_its_old_digest(tmp_path):
    """The index of the legacy set was written by the first release, and its digest read with it."""
    index = ShardIndex.load(LEGACY / "shards")
    for sample in (index.sample(row) for row in range(index.num_samples)):
        assert (sample.key, sample.window_frames) == (sample.clip_id, sample.bucket.num_frames)
        assert (sample.media_id, sample.media_digest, sample.source, sample.text_digest) == ("",) * 4
    encoded = json.loads((LEGACY / "encoded" / "encoded.json").read_text())
    assert index.digest == encoded["index"]


def test_a_missing_or_foreign_index_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="kinora pack"):
        ShardIndex.load(tmp_path)
    (tmp_path / "index.arrow").write_text("hello")
    with pytest.raises(ValueError, match="not a shard index"):
        ShardIndex.load(tmp_path)
    assert Bucket(num_frames=1, height=2, width=3).name == "1x2x3"


def packed(root, *texts: str) -> ShardIndex:
    """Write a tar of samples of equal size, and an index of refs without digests."""
    refs = []
    root.mkdir()
    with (root / "a.tar").open("wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        for number, text in enumerate(texts):
            start = file.tell()
            for name, content in {f"{number}.mp4": b"media", f"{number}.txt": text.encode()}.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            length = file.tell() - start
            refs.append(
                SampleRef(clip_id=str(number), bucket=STILL, shard="a.tar", offset=start, length=length)
            )
    write_index(root, refs, fps=8.0)
    return ShardIndex.load(root)


def test_an_edited_caption_makes_another_set_though_no_offset_moves(tmp_path):
    before, after = packed(tmp_path / "a", "left", "up"), packed(tmp_path / "b", "left", "down")
    assert before.sample(1).length == after.sample(1).length
    assert before.digest != after.digest
    assert before.column("media_digest") == after.column("media_digest") == [digest_bytes(b"media")] * 2
    first, second = zip(before.column("text_digest"), after.column("text_digest"), strict=True)
    assert first[0] == first[1]
    assert second[0] != second[1]
    assert packed(tmp_path / "c", "left", "up").digest == before.digest
