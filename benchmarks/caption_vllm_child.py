"""vLLM's bare `generate`, in vLLM's environment, for `benchmarks.caption_vllm`.

`python caption_vllm_child.py ROOT CONFIG.json` reads one JSON object a line: requests and the file with their
frames; it prints the tokens of the answers and the seconds that `LLM.generate` took.
"""
# vLLM is not installed where types are checked.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np


def main(root: str, config: str) -> None:
    """Answer each line of the input."""
    sys.path.insert(0, root)
    from transformers import AutoProcessor
    from vllm import LLM, SamplingParams

    from captioner.vlm_inputs import VlmInputs, video_metadata

    settings: dict[str, Any] = json.loads(Path(config).read_text())
    inputs = VlmInputs(AutoProcessor.from_pretrained(settings["model"]), "qwen2_vl")
    model = LLM(
        model=settings["model"],
        dtype=settings["dtype"],
        max_model_len=settings["max_model_len"],
        max_num_seqs=settings["max_num_seqs"],
        gpu_memory_utilization=settings["gpu_memory_utilization"],
        enable_prefix_caching=True,
        limit_mm_per_prompt={"video": 1, "image": 0},
        **settings["engine_args"],
    )
    params = SamplingParams(
        temperature=settings["temperature"],
        max_tokens=settings["max_new_tokens"],
        logprobs=1,
        skip_special_tokens=False,
    )
    for line in sys.stdin:
        asked = json.loads(line)
        with np.load(asked["frames"]) as frames:
            prompts = [
                {
                    "prompt_token_ids": inputs.prompt_ids(request["prompt"], len(frames[f"arr_{k}"])),
                    "multi_modal_data": {
                        "video": [
                            (
                                frames[f"arr_{k}"],
                                asdict(video_metadata(request["times_s"])) | {"do_sample_frames": False},
                            )
                        ]
                    },
                }
                for k, request in enumerate(asked["requests"])
            ]
        begin = time.perf_counter()
        outputs = model.generate(prompts, params, use_tqdm=False)
        seconds = time.perf_counter() - begin
        tokens = sum(len(output.outputs[0].token_ids) for output in outputs)
        print(json.dumps({"tokens": tokens, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
