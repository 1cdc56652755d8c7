"""Build an untrained Qwen2-VL of any size with a word tokenizer.

A clip is one temporal patch (`temporal_patch_size` = number of frames), so that full attention within the
vision tower covers motion. Wang et al., "Qwen2-VL", 2024, https://arxiv.org/abs/2409.12191.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
)

from captioner.train.config import ModelConfig

VIDEO, IMAGE, VISION_START, VISION_END = (
    "<|video_pad|>",
    "<|image_pad|>",
    "<|vision_start|>",
    "<|vision_end|>",
)
PAD, UNKNOWN, ANSWER, END = "<|pad|>", "<|unknown|>", "<|answer|>", "<|end|>"
FULL_FRAMES = 8
"""Frames of which untrained patch embeddings see where in a patch something changes; of others the mean."""
SPECIAL = (PAD, UNKNOWN, ANSWER, END, VIDEO, IMAGE, VISION_START, VISION_END)

CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message.role == 'user' %}{% for part in message.content %}"
    "{% if part.type == 'video' %}" + VISION_START + VIDEO + VISION_END + "{% elif part.type == 'image' %}"
    "" + VISION_START + IMAGE + VISION_END + "{% else %}{{ part.text }}{% endif %}{% endfor %}"
    "{% endif %}{% endfor %}" + ANSWER
)


def build_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Return a word-level tokenizer that round-trips every text in `texts`."""
    split = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(prepend_scheme="always", split=True),
            pre_tokenizers.Split(Regex(r"[.,;:!?]"), behavior="isolated"),
        ]
    )
    words = sorted({word for text in texts for word, _ in split.pre_tokenize_str(text)})
    ids = {token: i for i, token in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        additional_special_tokens=[ANSWER, VIDEO, IMAGE, VISION_START, VISION_END],
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def build_processor(tokenizer: PreTrainedTokenizerFast, config: ModelConfig) -> Qwen2VLProcessor:
    """Return the processor that converts frames and a prompt to model inputs."""
    shape = {
        "size": {"shortest_edge": config.pixels[0], "longest_edge": config.pixels[1]},
        "patch_size": config.patch_size,
        "temporal_patch_size": config.frames,
        "merge_size": 2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.25, 0.25, 0.25],
    }
    return Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(**shape),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**shape, cap_pixels_per_frame=False, do_sample_frames=False),
        chat_template=CHAT_TEMPLATE,
    )


def build_model(tokenizer: PreTrainedTokenizerFast, config: ModelConfig) -> Qwen2VLForConditionalGeneration:
    """Return an untrained model; initial weights depend on torch's global generator."""
    token = dict(zip(SPECIAL, range(len(SPECIAL)), strict=True))
    half = config.text_width // config.text_heads // 2
    spatial = half * 5 // 12
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": config.text_width,
        "intermediate_size": config.text_mlp,
        "num_hidden_layers": config.text_depth,
        "num_attention_heads": config.text_heads,
        "num_key_value_heads": config.text_kv_heads,
        "max_position_embeddings": 1024,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [half - 2 * spatial, spatial, spatial],
        },
        "bos_token_id": token[ANSWER],
        "eos_token_id": token[END],
        "pad_token_id": token[PAD],
        "tie_word_embeddings": True,
        "initializer_range": config.initializer_range,
    }
    vision = {
        "depth": config.vision_depth,
        "embed_dim": config.vision_width,
        "hidden_size": config.text_width,
        "num_heads": config.vision_heads,
        "mlp_ratio": 4,
        "patch_size": config.patch_size,
        "temporal_patch_size": config.frames,
        "spatial_merge_size": 2,
        "initializer_range": config.initializer_range,
    }
    model = Qwen2VLForConditionalGeneration(
        Qwen2VLConfig(
            text_config=text,
            vision_config=vision,
            image_token_id=token[IMAGE],
            video_token_id=token[VIDEO],
            vision_start_token_id=token[VISION_START],
            vision_end_token_id=token[VISION_END],
            tie_word_embeddings=True,
        )
    )
    weight = model.model.visual.patch_embed.proj.weight
    with torch.no_grad():
        weight.copy_(torch.from_numpy(init_patch_embed(config)).view_as(weight))
    model.generation_config.eos_token_id = token[END]
    model.generation_config.pad_token_id = token[PAD]
    return model


def init_patch_embed(config: ModelConfig) -> np.ndarray:
    """Return initial patch embedding weights, weight_DK with K = 3 x frames x patch_size x patch_size.

    Cosine filters: fine ones on the first frame, for shapes, and coarse ones on the difference of each other
    frame from it, for motion. Clips of more than `FULL_FRAMES` frames have fewer fine ones, the last of them.
    """
    frames, side = config.frames, config.patch_size
    full = min(frames, FULL_FRAMES)
    late = [(t, 0, 0) for t in range(full, frames)]
    coarse = [(t, y, x) for t in range(1, full) for y, x in ((0, 0), (0, 1), (1, 0), (1, 1))]
    fine = sorted(((y, x) for y in range(side) for x in range(side)), key=lambda f: (max(f), sum(f), f))
    fine = fine[: max(1, config.vision_width // 3 - len(late) - len(coarse))]
    filters = []
    for color in range(3):
        for y, x in fine:
            filters.append(_cosine_filter(frames, side, color, y, x, {0: 1.0}))
        for t, y, x in late + coarse:
            filters.append(_cosine_filter(frames, side, color, y, x, {t: 1.0, 0: -1.0}))
    weight_DK = np.zeros((config.vision_width, 3 * frames * side * side), np.float32)
    stacked = np.stack(filters)[: config.vision_width]
    weight_DK[: len(stacked)] = stacked
    return weight_DK


def _cosine_filter(frames: int, side: int, color: int, y: int, x: int, times: dict[int, float]) -> np.ndarray:
    """Return a separable 2D cosine in one colour channel, scaled by `times[frame]` in those frames."""
    phase = (np.arange(side) + 0.5) * np.pi / side
    plane = np.outer(np.cos(y * phase), np.cos(x * phase)) / side**2 * (2 if y or x else 1)
    filter_CTHW = np.zeros((3, frames, side, side), np.float32)
    for frame, sign in times.items():
        filter_CTHW[color, frame] = sign * plane
    return filter_CTHW.reshape(-1)


def save_pretrained(
    model: Qwen2VLForConditionalGeneration, processor: Qwen2VLProcessor, folder: Path
) -> None:
    """Save model and processor in the format of `from_pretrained`, weights as safetensors."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
