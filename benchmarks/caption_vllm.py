"""Measure captioning by vLLM beside vLLM's own bare `generate` on the same requests.

Both run the same untrained model with the same settings, from frames in memory to texts, in turns: bare, one
call of `LLM.generate` with all prompts in a process of vLLM's environment; ours, `VllmCaptioner` with an
engine on Ray, which sends the frames there, and reads the answers. Each turn has clips of its own, so that no
cache holds them. Words are drawn at random, so that answers end at lengths of their own, as those of trained
models do. No two runs draw the same, so tokens are counted, not clips.
"""

import json
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

import kinora
from captioner.captions import ClipFrames
from captioner.config import CaptionerConfig, VllmConfig
from captioner.prompts import Prompt, load_prompt
from captioner.protocol import CaptionRequest
from captioner.train.build import SPECIAL, build_model, build_processor, build_tokenizer, save_pretrained
from captioner.train.config import ModelConfig
from captioner.vllm_client import VllmCaptioner
from pipeline.caption.engines import running_engines
from pipeline.caption.load import load_captioner
from pipeline.config import CaptionConfig, PoolConfig, RayConfig
from pipeline.runtime.session import RaySession

CHILD = Path(__file__).with_name("caption_vllm_child.py")
LIMIT = 0.9
FRAMES, HEIGHT, WIDTH, STORE_BYTES = 8, 180, 320, 512 * 2**20
SEQUENCES, MEAN_TOKENS = 32, 30
"""Answers that are generated at a time, and their mean length, but for the limit."""
_MODEL = ModelConfig(pixels=(40_000, 60_000), text_width=256, text_depth=6, text_heads=4, text_mlp=1024)
"""Its heads are 64 wide: vLLM's attention on CPUs does not take those of the embedded model."""


def measure(python: str, *, quick: bool, seed: int, turns: int) -> dict[str, float]:
    """Return the figures of the fastest turn of each.

    Args:
        python: interpreter of an environment that has vLLM.
    """
    clips, turns = (4, 1) if quick else (128, turns)
    with TemporaryDirectory() as name:
        write_model(Path(name), _MODEL, _prompts(), seed, mean_tokens=MEAN_TOKENS)
        config = VllmConfig(
            model=name,
            python=python,
            frames=FRAMES,
            max_new_tokens=8 if quick else 64,
            dtype="float32",
            max_model_len=1024,
            gpu_memory_utilization=0.1,
            max_num_seqs=SEQUENCES,
            temperature=1.0,
            engine_args={"enforce_eager": True},
        )
        settings = CaptionConfig(captioner=CaptionerConfig(kind="vllm", vllm=config))
        ray_config = RayConfig(num_cpus=2, object_store_bytes=STORE_BYTES)
        speeds: dict[str, list[float]] = {"bare": [], "own": []}
        with (
            _bare(config) as ask_bare,
            RaySession(ray_config) as session,
            running_engines(
                settings, "caption", PoolConfig(max_size=max(1, session.cpus - 1)), load_captioner
            ) as load,
        ):
            captioner = load(settings)
            assert isinstance(captioner, VllmCaptioner)
            usage = captioner.usage
            for turn in range(-1, turns):  # the first warms up
                requests = _requests(clips, seed * 1000 + turn + 1)
                tokens, bare_s = ask_bare(requests)
                before = usage.output_tokens
                begin = time.perf_counter()
                captioner.caption(requests)
                own_s = time.perf_counter() - begin
                if turn >= 0:
                    speeds["bare"].append(tokens / bare_s)
                    speeds["own"].append((usage.output_tokens - before) / own_s)
    best = {name: max(found) for name, found in speeds.items()}
    return {
        "vllm_tokens_per_s": best["own"],
        "bare_vllm_tokens_per_s": best["bare"],
        "over_bare_vllm": best["own"] / best["bare"],
        "over_bare_vllm_limit": LIMIT,
    }


def write_model(
    folder: Path, config: ModelConfig, prompts: Iterable[Prompt], seed: int, *, mean_tokens: int = 0
) -> None:
    """Write an untrained model that has the words of some prompts.

    Args:
        mean_tokens: mean length of answers whose words are drawn; by default they end as those of others.
    """
    torch.manual_seed(seed)
    tokenizer = build_tokenizer(prompt.text for prompt in prompts)
    model = build_model(tokenizer, config)
    if mean_tokens:  # untrained, all words are about as likely
        ends = range(len(SPECIAL), len(SPECIAL) + len(tokenizer) // mean_tokens)
        model.generation_config.eos_token_id = [*ends]
    save_pretrained(model, build_processor(tokenizer, config), folder)


def _prompts() -> tuple[Prompt, Prompt]:
    return load_prompt("dense"), load_prompt("short")


def _requests(clips: int, seed: int) -> list[CaptionRequest]:
    """Return two prompts about each of some clips of smooth noise."""
    rng = np.random.default_rng(seed)
    requests: list[CaptionRequest] = []
    for number in range(clips):
        coarse_THWC = rng.integers(0, 255, (FRAMES, HEIGHT // 20, WIDTH // 20, 3), dtype=np.uint8)
        clip = ClipFrames(
            clip_id=f"{seed}-{number}",
            media_id=f"{seed}-{number}",
            frames_THWC=coarse_THWC.repeat(20, axis=1).repeat(20, axis=2),
            times_s=tuple(k / 4 for k in range(FRAMES)),
        )
        fields = {name: getattr(clip, name) for name in ("clip_id", "media_id", "frames_THWC", "times_s")}
        requests += [CaptionRequest(**fields, prompt=prompt) for prompt in _prompts()]
    return requests


@contextmanager
def _bare(config: VllmConfig) -> Iterator[Any]:
    """Yield a function that answers requests by the child process: tokens, and seconds that they took."""
    root = Path(kinora.__file__).resolve().parents[1]
    with TemporaryDirectory() as folder:
        settings = Path(folder) / "config.json"
        settings.write_text(json.dumps(asdict(config)))
        child = subprocess.Popen(
            [config.python, str(CHILD), str(root), str(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

        def ask(requests: Sequence[CaptionRequest]) -> tuple[int, float]:
            path = Path(folder) / "requests.npz"
            np.savez(path, *(request.frames_THWC for request in requests))
            listed = [{"times_s": request.times_s, "prompt": request.prompt.text} for request in requests]
            assert child.stdin is not None
            assert child.stdout is not None
            print(json.dumps({"frames": str(path), "requests": listed}), file=child.stdin, flush=True)
            for line in child.stdout:
                if line.startswith("{"):
                    answer = json.loads(line)
                    return answer["tokens"], answer["seconds"]
            raise ChildProcessError(f"vLLM ended with {child.wait()}; its errors stand above")

        try:
            yield ask
        finally:
            assert child.stdin is not None
            child.stdin.close()
            child.wait(timeout=120)
