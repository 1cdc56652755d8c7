"""What no sample of a set refers to is found and dropped, and nothing else."""

import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from manifests.shards import ShardIndex, write_index
from trainer.config import EncodeConfig
from trainer.data.encode import encode
from trainer.data.encoded_gc import drop, unreferenced
from trainer.data.latent_cache import EncodedSet


def keep(shards: Path, names: tuple[str, ...]) -> None:
    """Pack fewer samples: those of the buckets `names`."""
    index = ShardIndex.load(shards)
    refs = [index.sample(row) for row in range(index.num_samples)]
    write_index(shards, [ref for ref in refs if ref.bucket.name in names], fps=index.fps)


def files(shards: Path) -> int:
    return sum(path.stat().st_size for path in (shards / "encoded").rglob("*.safetensors"))


def test_a_whole_set_refers_to_all(encoded):
    found = unreferenced(str(encoded[0]))
    assert (found.latents.rows, found.texts.rows, found.samples, found.bytes) == (0, 0, 0, 0)


def test_latents_and_texts_of_samples_that_are_gone_are_dropped(encoded, tmp_path):
    shards = Path(shutil.copytree(encoded[0], tmp_path / "shards"))
    before = EncodedSet.load(ShardIndex.load(shards))
    expected = [before.latent(row) for row in range(6)], [before.text(row, "dense") for row in range(6)]
    keep(shards, ("17x32x32",))
    found, size = unreferenced(str(shards)), files(shards)
    assert found.latents.rows == 6 * 2 + 6  # of 9 frames with one suffix, and stills
    assert (found.texts.rows, found.samples) == (0, 12)  # the same texts in every bucket
    assert found.latents.bytes == 6 * 2 * (4 * (3 + 1) * 4 * 6 + 4 * 4 * 4)
    assert unreferenced(str(shards)) == found
    assert drop(str(shards)) == found
    assert size - files(shards) > found.bytes  # and their headers
    assert unreferenced(str(shards)).bytes == 0
    after = EncodedSet.load(ShardIndex.load(shards))
    for row in range(6):
        np.testing.assert_array_equal(after.latent(row), expected[0][row])
        np.testing.assert_array_equal(after.text(row, "dense"), expected[1][row])
    again = encode(EncodeConfig(shards=str(shards), vae=str(encoded[1])), progress=lambda line: None)
    assert (again["encoded"], again["texts_encoded"]) == (0, 0)


def test_texts_that_no_sample_has_are_dropped(encoded, tmp_path):
    shards = Path(shutil.copytree(encoded[0], tmp_path / "shards"))
    index = ShardIndex.load(shards)
    refs = [index.sample(row) for row in range(index.num_samples)]
    write_index(shards, [ref for ref in refs if not ref.key.endswith("-003")], fps=index.fps)
    found = drop(str(shards))
    assert (found.texts.rows, found.samples) == (2, 3)
    assert EncodedSet.load(ShardIndex.load(shards)).empty_text().shape == (2, 384)


def test_a_set_that_an_older_version_encoded_from_other_shards_is_dropped(packer, tmp_path):
    shards = packer(tmp_path / "shards", clips_a_bucket=2)
    folder = shards / "encoded"
    folder.mkdir()
    save_file({"0.latent": np.zeros(8, np.float16)}, folder / "part-00000.safetensors")
    about = {"index": "of other shards", "vae": "v", "text": "t"}
    (folder / "encoded.json").write_text(json.dumps(about))
    found = drop(str(shards))
    assert found.legacy_bytes == found.bytes > 16
    assert [*folder.iterdir()] == []
    assert unreferenced(str(shards)).bytes == 0
