"""What is encoded of a clip depends on that clip alone, and is encoded once."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from manifests.shards import ShardIndex
from trainer.checkpoints import load_vae
from trainer.config import (
    EncodeConfig,
)
from trainer.data.decode import decode_sample, read_sample
from trainer.data.encode import encode
from trainer.data.latent_cache import EncodedSet
from trainer.pixels import to_pixels
from trainer.text import TextEncoder

RUNS = runpy.run_path(str(Path(__file__).with_name("training_runs.py")))
assert_equal_to_float32_rounding = RUNS["assert_equal_to_float32_rounding"]


@pytest.mark.usefixtures("any_machine")
def test_encoding_a_clip_does_not_depend_on_its_batch(encoded, packer, tmp_path):
    shards, folder = packer(tmp_path / "shards"), encoded[1]
    encode(EncodeConfig(shards=str(shards), vae=str(folder)), progress=lambda line: None)
    index, (vae, _), text = ShardIndex.load(shards), load_vae(folder), TextEncoder("minilm")
    stored = EncodedSet.load(index)
    for row in range(index.num_samples):
        sample = read_sample(index, index.sample(row))
        frames_THWC = decode_sample(sample, index.sample(row).bucket, index.fps)
        with torch.inference_mode():
            latent_BCTHW = vae.encode(to_pixels(torch.from_numpy(frames_THWC[None])))
        assert_equal_to_float32_rounding(stored.latent(row), latent_BCTHW[0].half().float().numpy())
        state_LD = text.states([sample.dense])[0].astype(np.float32)
        assert_equal_to_float32_rounding(stored.text(row, "dense"), state_LD)


def test_a_second_encode_does_nothing(encoded):
    shards, vae = encoded
    assert encode(EncodeConfig(shards=str(shards), vae=str(vae)))["encoded"] == 0
