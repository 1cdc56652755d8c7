"""Sample in parallel processes, each with a model of its own and one torch thread.

On a CPU, two such processes beat one with two threads.

Legend: B videos, T frames, H height, W width, C channels (RGB).
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from kinora.evaluation.prompts import EvalPrompt
from trainer.config import SampleConfig
from trainer.sample.decode import reconstruct
from trainer.sample.model import TextToVideo, load_model
from trainer.sample.sampler import generate
from trainer.sample.verbs import text_to_video
from worlds.shapes.draw import render

BATCH = 16
Batch = TypeVar("Batch")
Done = TypeVar("Done")


def run_batches(
    model: Path, work: Callable[[TextToVideo, Batch], Done], batches: Sequence[Batch], processes: int
) -> Iterator[Done]:
    """Yield `work(model, batch)` of each batch, in their order.

    Args:
        model: folder of the model.
        work: a function of a module, which other processes can import.
    """
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(_run, model, work, batch) for batch in batches]
        try:
            for task in tasks:
                yield task.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _run(folder: Path, work: Callable[[TextToVideo, Any], Any], batch: Any) -> Any:
    return work(loaded(folder), batch)


@lru_cache(maxsize=1)
def loaded(folder: Path) -> TextToVideo:
    """Load the model, once per process."""
    torch.set_num_threads(1)
    return load_model(folder)


def sample_videos(
    model: Path, prompts: Sequence[EvalPrompt], sample: SampleConfig, processes: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return generated and reconstructed ground-truth videos (frames_THWC uint8), in prompt order."""
    batches = _batches(prompts)
    done = run_batches(model, partial(_sample_batch, sample=sample), batches, processes)
    videos: dict[int, np.ndarray] = {}
    truths: dict[int, np.ndarray] = {}
    for batch, (generated, true_BTHWC) in zip(batches, done, strict=True):
        for prompt, video_THWC, true_THWC in zip(batch, generated, true_BTHWC, strict=True):
            videos[prompt.index], truths[prompt.index] = video_THWC, true_THWC
    return [videos[prompt.index] for prompt in prompts], [truths[prompt.index] for prompt in prompts]


def _batches(prompts: Sequence[EvalPrompt]) -> list[list[EvalPrompt]]:
    """Group prompts of equal video shape, at most BATCH to a group."""
    shapes: defaultdict[tuple[int, str], list[EvalPrompt]] = defaultdict(list)
    for prompt in prompts:
        shapes[prompt.world.num_frames, prompt.size].append(prompt)
    return [same[i : i + BATCH] for same in shapes.values() for i in range(0, len(same), BATCH)]


def _sample_batch(
    model: TextToVideo, batch: list[EvalPrompt], *, sample: SampleConfig
) -> tuple[list[np.ndarray], np.ndarray]:
    conditions = [
        text_to_video(
            model,
            prompt.text,
            num_frames=prompt.world.num_frames,
            height=prompt.world.height,
            width=prompt.world.width,
            seed=prompt.seed,
        )
        for prompt in batch
    ]
    true_BTHWC = np.stack([render(prompt.world) for prompt in batch])
    return generate(model, conditions, sample), reconstruct(model.vae, true_BTHWC)
