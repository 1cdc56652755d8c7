"""Tiny packed shards of moving squares, as MP4 and as stills."""

import io
import json
import runpy
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from manifests.records import Bucket, SampleRef
from manifests.shards import write_index
from trainer.config import EncodeConfig
from trainer.data.encode import encode
from video.encode import mp4_bytes

NATIVE = {"17x32x32": (48, 48), "9x32x48": (40, 60), "1x32x32": (48, 48)}
"""Buckets of the set, with the native (height, width) of their clips."""


def moving_square(number: int, num_frames: int, height: int, width: int) -> np.ndarray:
    frames_THWC = np.full((num_frames, height, width, 3), 40 * (number % 6), np.uint8)
    for t in range(num_frames):
        left = (number * 7 + t) % (width - 12)
        frames_THWC[t, 10:22, left : left + 12] = (255, 30 * (number % 8), 0)
    return frames_THWC


def pack(root: Path, clips_a_bucket: int = 6) -> Path:
    refs: list[SampleRef] = []
    for name, (height, width) in NATIVE.items():
        frames, bucket_height, bucket_width = (int(part) for part in name.split("x"))
        shard = f"{name}/000000.tar"
        (root / name).mkdir(parents=True)
        with (root / shard).open("wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
            for number in range(clips_a_bucket):
                clip_id = f"{name}-{number:03d}"
                start = file.tell()
                for extension, content in members(clip_id, number, frames, height, width).items():
                    info = tarfile.TarInfo(f"{clip_id}.{extension}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
                bucket = Bucket(num_frames=frames, height=bucket_height, width=bucket_width)
                length = file.tell() - start
                refs.append(
                    SampleRef(clip_id=clip_id, bucket=bucket, shard=shard, offset=start, length=length)
                )
    write_index(root, refs, fps=8.0)
    return root


def members(clip_id: str, number: int, frames: int, height: int, width: int) -> dict[str, bytes]:
    short = f"a square number {number} moves right"
    record = {
        "clip_id": clip_id,
        "caption": {"short": short, "dense": f"{short}. It is a very plain square."},
    }
    texts = {"txt": short.encode(), "json": json.dumps(record).encode()}
    if frames == 1:
        still_HWC = moving_square(number, 1, height, width)[0]
        return {"png": cv2.imencode(".png", still_HWC[..., ::-1])[1].tobytes(), **texts}
    return {"mp4": mp4_bytes(moving_square(number, 3 * (frames - 1) + 1, height, width), 24), **texts}


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="session")
def packer():
    """Return `pack`, for a test that needs its own shards."""
    return pack


@pytest.fixture(scope="session")
def encoded(tmp_path_factory, packer) -> tuple[Path, Path]:
    """Return shards with latents and text states, and the folder of the VAE that encoded them."""
    root = tmp_path_factory.mktemp("encoded")
    shards = packer(root / "shards")
    vae_run = runpy.run_path(str(Path(__file__).with_name("training_runs.py")))["vae_run"]
    vae_run(shards, root / "vae", steps=2)
    figures = encode(EncodeConfig(shards=str(shards), vae=str(root / "vae")), progress=lambda line: None)
    assert figures["encoded"] == figures["clips"] == 18
    return shards, root / "vae"


@pytest.fixture(params=["this machine", "fast bfloat16"])
def any_machine(request, monkeypatch) -> None:
    """Run on this machine as it is, then as one with native bfloat16 (AMX)."""
    if request.param == "fast bfloat16":
        monkeypatch.setattr("trainer.precision.has_fast_bfloat16", lambda device: True)


@pytest.fixture(scope="session")
def legacy_model(tmp_path_factory) -> Path:
    """A folder with a tiny trained model (tests/golden/legacy)."""
    copy = runpy.run_path(str(Path(__file__).with_name("legacy_model.py")))["copy_legacy_model"]
    return copy(tmp_path_factory.mktemp("legacy") / "model")
