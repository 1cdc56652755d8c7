"""Generate many videos for prompts, side by side in a few processes, and send true ones through the VAE.

Each process holds one model and one torch thread: on a CPU, two such processes beat one with two threads.
"""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from kinora.evaluation.prompts import Wish
from trainer.config import SampleConfig
from trainer.sample import TextToVideo, generate, load_model, reconstruct
from worlds.shapes.draw import render

BATCH = 16


def draw(
    model: Path, asked: Sequence[Wish], sample: SampleConfig, processes: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return, in the order of `asked`, the generated videos and the reconstructed true ones (frames_THWC)."""
    batches = _batches(asked)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(_draw_batch, model, batch, sample) for batch in batches]
        done = [task.result() for task in tasks]
    videos: dict[int, np.ndarray] = {}
    truths: dict[int, np.ndarray] = {}
    for batch, (generated_BTHWC, true_BTHWC) in zip(batches, done, strict=True):
        for wish, video_THWC, true_THWC in zip(batch, generated_BTHWC, true_BTHWC, strict=True):
            videos[wish.number], truths[wish.number] = video_THWC, true_THWC
    return [videos[wish.number] for wish in asked], [truths[wish.number] for wish in asked]


def _batches(asked: Sequence[Wish]) -> list[list[Wish]]:
    """Group prompts of one shape, at most BATCH together."""
    shapes: defaultdict[tuple[int, str], list[Wish]] = defaultdict(list)
    for wish in asked:
        shapes[wish.world.num_frames, wish.size].append(wish)
    return [same[i : i + BATCH] for same in shapes.values() for i in range(0, len(same), BATCH)]


@lru_cache(maxsize=1)
def _model(folder: Path) -> TextToVideo:
    """Load the model once a process."""
    torch.set_num_threads(1)
    return load_model(folder)


def _draw_batch(folder: Path, batch: list[Wish], sample: SampleConfig) -> tuple[np.ndarray, np.ndarray]:
    model = _model(folder)
    world = batch[0].world
    generated = generate(
        model,
        [wish.prompt for wish in batch],
        height=world.height,
        width=world.width,
        num_frames=world.num_frames,
        seeds=[wish.seed for wish in batch],
        sample=sample,
    )
    true_BTHWC = np.stack([render(wish.world) for wish in batch])
    return generated, reconstruct(model.vae, true_BTHWC)
