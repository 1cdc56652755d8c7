"""Tiny models of images and texts with random weights, in the folders that users have."""

import json
from pathlib import Path
from typing import Any

OPEN_CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
OPENAI_PIXELS = {
    "mean": [0.48145466, 0.4578275, 0.40821073],
    "std": [0.26862954, 0.26130258, 0.27577711],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}
SQUASHED = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "resize_mode": "squash"}
WORDS = ("<s>", "</s>", "<pad>", "<unk>", "a", "red", "car", "at", "night", "blue")


def open_clip_folder(folder: Path, pixels: dict[str, Any] = OPENAI_PIXELS, **model: Any) -> str:
    """Write a model as open_clip writes one; return its name."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    torch.manual_seed(0)
    found = open_clip.CLIP(**OPEN_CLIP, **model)
    save_file(found.state_dict(), folder / "open_clip_model.safetensors")
    config = {"model_cfg": OPEN_CLIP | model, "preprocess_cfg": pixels}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return f"local-dir:{folder}"


IMAGES_AND_TEXTS = ("clip", "siglip", "siglip2", "metaclip_2", "altclip", "chinese_clip", "aimv2")
"""Types of transformers with a tower for each."""
IMAGES = ("dinov2", "dinov3_vit", "vit", "beit", "convnext", "resnet", "clip_vision_model", "timm")
"""Types of transformers that embed images alone."""


def transformers_folder(folder: Path, kind: str) -> str:
    """Write a tiny model of one of the types, or a `classifier` (vit); return its name."""
    import torch
    import transformers as tf

    if kind == "timm":
        return _timm_folder(folder)
    torch.manual_seed(0)
    layers = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision: dict[str, Any] = layers | {"image_size": 32, "patch_size": 16, "num_patches": 4}
    text = layers | {"vocab_size": len(WORDS), "max_position_embeddings": 16, "project_dim": 8}
    text |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    few = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
    if kind == "classifier":
        config: Any = tf.AutoConfig.for_model("vit", **vision, num_labels=3)
        model: Any = tf.ViTForImageClassification(config)
    elif kind in IMAGES_AND_TEXTS:
        towers = {"text_config": text, "vision_config": vision | {"projection_dim": 8}, "projection_dim": 8}
        model = tf.AutoModel.from_config(tf.AutoConfig.for_model(kind, **towers))
    else:
        sizes = few if kind in ("convnext", "resnet") else vision
        model = tf.AutoModel.from_config(tf.AutoConfig.for_model(kind, **sizes))
    model.eval().save_pretrained(folder)
    pixels = {"do_resize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    if kind == "siglip2":
        pixels |= {"patch_size": 16, "max_num_patches": 4, "image_processor_type": "Siglip2ImageProcessor"}
    else:
        pixels |= {"size": {"height": 32, "width": 32}, "image_processor_type": "ViTImageProcessor"}
    if kind == "siglip":  # as a processor of images and texts saves itself
        (folder / "processor_config.json").write_text(json.dumps({"image_processor": pixels}))
    else:
        (folder / "preprocessor_config.json").write_text(json.dumps(pixels))
    if kind in IMAGES_AND_TEXTS:
        _save_tokenizer(folder)
    return str(folder)


def _timm_folder(folder: Path) -> str:
    import timm
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    save_file(timm.create_model("test_vit").state_dict(), folder / "model.safetensors")
    pixels = {"input_size": [3, 160, 160], "mean": [0.5] * 3, "std": [0.5] * 3, "crop_pct": 0.95}
    config = {"architecture": "test_vit", "num_classes": 1000, "pretrained_cfg": pixels}
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def _save_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    plain = Tokenizer(
        models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>")
    )
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    plain.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=plain, model_max_length=12, **names).save_pretrained(folder)
