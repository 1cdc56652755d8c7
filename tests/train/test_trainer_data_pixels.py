"""Batches of pixels: the start within a window is drawn anew for every step, whatever is cached."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from manifests.records import Bucket, SampleRef
from manifests.shards import write_index
from trainer.config import CropConfig
from trainer.data.pixels import PixelData
from trainer.data.windows import draw_start
from video.encode import mp4_bytes

BUCKET = Bucket(num_frames=9, height=32, width=32)


@pytest.fixture
def windows(tmp_path) -> Path:
    """Shards of four windows of 24 frames at 8 fps, which brighten from frame to frame."""
    refs = []
    with (tmp_path / "0.tar").open("wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        for number in range(4):
            start, key = file.tell(), f"clip-{number // 2}-{number % 2:03d}"
            frames_THWC = np.stack([np.full((32, 32, 3), 20 + 8 * t, np.uint8) for t in range(24)])
            for extension, content in {"mp4": mp4_bytes(frames_THWC, 8), "txt": b"it brightens"}.items():
                info = tarfile.TarInfo(f"{key}.{extension}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            refs.append(
                SampleRef(
                    clip_id=f"clip-{number // 2}",
                    key=key,
                    bucket=BUCKET,
                    shard="0.tar",
                    offset=start,
                    length=file.tell() - start,
                    window_frames=24,
                )
            )
    write_index(tmp_path, refs, fps=8.0)
    return tmp_path


def pixels(shards: Path, cache_mb: int) -> PixelData:
    crop = CropConfig(side_px=32, lengths=(9,), cache_mb=cache_mb)
    data = PixelData(shards=str(shards), batch_size=4, validation_fraction=0, crop=crop)
    data.setup("fit")
    return data


@pytest.mark.parametrize("cache_mb", [600, 0])
def test_a_batch_starts_where_the_step_draws_it(windows, cache_mb):
    data, seen = pixels(windows, cache_mb), set()
    for step in range(6):
        rows = data.rows_of_step(step)
        (frames_BTHWC,) = data.read(step, 0).frames_BTHWC
        for row, frames_THWC in zip(rows, frames_BTHWC, strict=True):
            start = draw_start(0, step, data.index.sample(row).key, 24, 9)
            seen.add(start)
            means_T = frames_THWC.float().mean(dim=(1, 2, 3))
            assert means_T.tolist() == pytest.approx([20 + 8 * (start + t) for t in range(9)], abs=2)
    assert len(seen) > 6


def test_the_cache_keeps_whole_windows_within_its_limit(windows):
    data = pixels(windows, cache_mb=1)
    for step in range(3):
        data.read(step, 0)
    assert {frames_THWC.shape for frames_THWC in data._decoded.values()} == {(24, 32, 32, 3)}
    data = pixels(windows, cache_mb=0)
    data.read(0, 0)
    assert not data._decoded
