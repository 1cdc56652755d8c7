"""A packed sample is decoded to the frames and pixels of its bucket, from any start in its window."""

import json

import cv2
import numpy as np
import pytest

from manifests.records import Bucket, SampleRef
from manifests.shards import ShardIndex
from trainer.data.decode import RawSample, decode_sample, raw_sample
from video.encode import mp4_bytes
from video.frames import read_clip
from video.resize import resize_and_crop

BUCKET = Bucket(num_frames=9, height=32, width=32)


def raw(media: bytes, extension: str = "mp4") -> RawSample:
    return RawSample(clip_id="clip-1", media=media, extension=extension, short="a", dense="b")


def video(fps: float, seconds: float, gop: int | None = None) -> bytes:
    rng = np.random.default_rng(0)
    texture_HWC = cv2.resize(rng.integers(0, 255, (30, 60, 3), np.uint8), (200, 100))
    frames = [texture_HWC[10:70, t % 90 : t % 90 + 108] for t in range(round(fps * seconds))]
    return mp4_bytes(np.stack(frames), fps, gop=gop)


@pytest.mark.parametrize("fps", [24, 12, 29.97, 8, 5])
@pytest.mark.parametrize("gop", [None, 10])
def test_frames_are_the_nearest_of_the_whole_clip_in_its_native_size(fps, gop):
    media = video(fps, 4, gop)
    native_THWC, times_T = read_clip(media)
    for start in (0, 5, 23, 31):
        nearest = [int(np.abs(times_T - (start + k) / 8).argmin()) for k in range(9)]
        expected_THWC = resize_and_crop(native_THWC[nearest], 32, 32)
        assert (decode_sample(raw(media), BUCKET, 8.0, start=start) == expected_THWC).all()


def test_a_whole_window_holds_every_start():
    media = video(24, 4)
    window_THWC = decode_sample(raw(media), BUCKET, 8.0, num_frames=32)
    assert window_THWC.shape == (32, 32, 32, 3)
    for start in (0, 1, 23):
        assert (decode_sample(raw(media), BUCKET, 8.0, start=start) == window_THWC[start : start + 9]).all()


def test_a_picture():
    rgb_HWC = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    png = cv2.imencode(".png", rgb_HWC[..., ::-1])[1].tobytes()
    bucket = Bucket(num_frames=1, height=20, width=20)
    expected_THWC = resize_and_crop(rgb_HWC[None], 20, 20)
    assert (decode_sample(raw(png, "png"), bucket, 8.0) == expected_THWC).all()


def test_samples_of_sets_without_parts_are_read_as_before():
    index = ShardIndex.__new__(ShardIndex)  # named in errors alone
    ref = SampleRef(clip_id="clip-1", bucket=BUCKET, shard="a.tar", offset=0, length=1)
    files = {"mp4": b"media", "txt": b" a heron \n"}
    caption = {"dense": "A heron lands.", "fixed_length": False}
    plain = raw_sample(index, ref, files)
    older = raw_sample(index, ref, files | {"json": json.dumps({"caption": caption}).encode()})
    assert (plain.short, plain.dense, plain.parts) == ("a heron", "a heron", {})
    assert (older.short, older.dense, older.parts) == ("a heron", "A heron lands.", {})
    caption |= {"parts": '{"camera": "still", "subjects": ["a heron"]}'}
    newer = raw_sample(index, ref, files | {"json": json.dumps({"caption": caption}).encode()})
    assert newer.parts == {"camera": "still", "subjects": ["a heron"]}


def test_damage_names_the_clip():
    media = video(24, 2)
    with pytest.raises(ValueError, match=r"clip clip-1: its video cannot be decoded .*; pack again"):
        decode_sample(raw(media[: len(media) // 2]), BUCKET, 8.0)
    with pytest.raises(ValueError, match="clip clip-1: its png cannot be decoded; pack again"):
        decode_sample(raw(b"\x89PNG nothing", "png"), Bucket(num_frames=1, height=8, width=8), 8.0)
