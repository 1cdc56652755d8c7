"""Sample videos for many prompts in parallel processes, and reconstruct ground-truth videos with the VAE.

Each process has its own model and one torch thread: on a CPU, two such processes beat one with two threads.
"""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

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


def sample_videos(
    model: Path, prompts: Sequence[EvalPrompt], sample: SampleConfig, processes: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return generated and reconstructed ground-truth videos (frames_THWC uint8), in prompt order."""
    batches = _batches(prompts)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(_sample_batch, model, batch, sample) for batch in batches]
        done = [task.result() for task in tasks]
    videos: dict[int, np.ndarray] = {}
    truths: dict[int, np.ndarray] = {}
    for batch, (generated_BTHWC, true_BTHWC) in zip(batches, done, strict=True):
        for prompt, video_THWC, true_THWC in zip(batch, generated_BTHWC, true_BTHWC, strict=True):
            videos[prompt.index], truths[prompt.index] = video_THWC, true_THWC
    return [videos[prompt.index] for prompt in prompts], [truths[prompt.index] for prompt in prompts]


def _batches(prompts: Sequence[EvalPrompt]) -> list[list[EvalPrompt]]:
    """Group prompts of equal video shape, at most BATCH to a group."""
    shapes: defaultdict[tuple[int, str], list[EvalPrompt]] = defaultdict(list)
    for prompt in prompts:
        shapes[prompt.world.num_frames, prompt.size].append(prompt)
    return [same[i : i + BATCH] for same in shapes.values() for i in range(0, len(same), BATCH)]


@lru_cache(maxsize=1)
def _model(folder: Path) -> TextToVideo:
    """Load the model, once per process."""
    torch.set_num_threads(1)
    return load_model(folder)


def _sample_batch(
    folder: Path, batch: list[EvalPrompt], sample: SampleConfig
) -> tuple[np.ndarray, np.ndarray]:
    model = _model(folder)
    world = batch[0].world
    frames, height, width = world.num_frames, world.height, world.width
    conditions = [
        text_to_video(model, prompt.text, num_frames=frames, height=height, width=width, seed=prompt.seed)
        for prompt in batch
    ]
    generated = np.stack(generate(model, conditions, sample))
    true_BTHWC = np.stack([render(prompt.world) for prompt in batch])
    return generated, reconstruct(model.vae, true_BTHWC)
