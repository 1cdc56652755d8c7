"""Weights that are not whole are named, with the file and the remedy."""

import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from captioner.weight_files import naming_broken_weights

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize("content", [b"", POINTER, None], ids=["empty", "pointer", "cut"])
def test_the_file_that_is_not_whole_is_named(content: bytes | None, tmp_path: Path):
    save_file({"a": np.zeros(8)}, tmp_path / "model-1.safetensors")
    whole = (tmp_path / "model-1.safetensors").read_bytes()
    broken = tmp_path / "model-2.safetensors"
    broken.write_bytes(whole[:-8] if content is None else content)
    said = f"captioner.vlm.model: {re.escape(str(broken))}: its weights cannot be read .*; copy the model"
    with pytest.raises(ValueError, match=said), naming_broken_weights("captioner.vlm.model", str(tmp_path)):
        load_file(broken)


def test_a_name_on_a_hub_is_named_as_it_is(tmp_path: Path):
    (tmp_path / "x").touch()
    named = naming_broken_weights("model", "nobody/nothing")
    with pytest.raises(ValueError, match="model: nobody/nothing: its"), named:
        load_file(tmp_path / "x")
