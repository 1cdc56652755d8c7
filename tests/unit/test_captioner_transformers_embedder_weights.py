"""A model of embeddings whose weights are not whole is refused with its name."""

import json

import pytest

from captioner.transformers_embedder import TransformersEmbedder

POINTER = b"version https://git-lfs.github.com/spec/v1\n"


def test_weights_that_are_a_pointer_are_named(tmp_path):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = {"model_type": "vit", "image_size": 32, "patch_size": 8, **sizes}
    (tmp_path / "config.json").write_text(json.dumps(config))
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    (tmp_path / "model.safetensors").write_bytes(POINTER)
    with pytest.raises(
        ValueError, match=r"clip_model: .*model\.safetensors: its weights cannot be read .* whole"
    ):
        TransformersEmbedder(str(tmp_path))
