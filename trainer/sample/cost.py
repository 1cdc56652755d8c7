"""Estimate what a request will cost on this device, before it is sampled.

Time is that of one measured step and one measured chunk of the decoder, times their number. Memory is counted
on tensors without content that go through the same code.

Legend: B videos, C channels, T latent frames, H height, W width.
"""

import weakref
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trainer.config import SampleConfig
from trainer.dit.model import Group
from trainer.dit.text import EncodedText
from trainer.pixels import to_frames
from trainer.precision import autocast
from trainer.sample.conditions import Conditions
from trainer.sample.decode import CHUNK_BYTES
from trainer.sample.guidance import WindowText
from trainer.sample.model import TextToVideo
from trainer.sample.sampler import batches_of, plan_of, sigmas_of
from trainer.sample.windows import Window
from trainer.vae.streaming import chunk_latents

REPEAT_BELOW_S = 0.5
"""A measured call that took less is measured again: the first call also warms up."""


class Cost(NamedTuple):
    """What a request needs on this device."""

    seconds: float
    """Time to sample and decode."""
    memory_bytes: int
    """Most memory that tensors take beside the weights, where decoded frames are not collected."""


class Step(NamedTuple):
    """One call of the transformer: all branches of a window."""

    pack: list[Group]
    texts: list[EncodedText]


@torch.inference_mode()
def estimate_cost(model: TextToVideo, conditions: Sequence[Conditions], config: SampleConfig) -> Cost:
    """Estimate the cost of `sample` and of streamed decoding. Runs one step of each shape of window."""
    seconds, memory = 0.0, 0
    held = sum(2 * each.latent_CTHW.nbytes for each in conditions)
    for numbers in batches_of(conditions):
        batch = [conditions[number] for number in numbers]
        text = WindowText(model, batch)
        with model.on_device(model.dit):
            for step, count in _steps_of(model, text, config):
                seconds += count * _seconds(lambda step=step: _run_step(model, step), model.device)
                memory = max(memory, count_memory(lambda step=step: _run_step(model, step)))
        chunk, count = _decoder_chunk(model, batch[0])
        with model.on_device(model.vae):
            seconds += len(batch) * count * _seconds(lambda chunk=chunk: _decode(model, chunk), model.device)
            memory = max(memory, count_memory(lambda chunk=chunk: _decode(model, chunk)))
    return Cost(seconds, held + memory)


def _steps_of(model: TextToVideo, text: WindowText, config: SampleConfig) -> Iterable[tuple[Step, int]]:
    """Return a step of each shape of window, and how many such steps are made."""
    batch = text.batch
    level_BT = torch.stack([each.level_T for each in batch])
    steps: dict[object, tuple[Step, int]] = {}
    for window in plan_of(model, batch[0], config):
        frames = len(window.latents) + window.lead
        channels, _, height, width = batch[0].latent_CTHW.shape
        shape = (channels, frames, height, width)
        highest = float(level_BT[:, list(window.made)].max())
        count = sum(after < min(highest, now) for now, after in pairwise(sigmas_of(model, config, shape)))
        step = _step(model, text, window, shape, len(batch), config)
        key = (shape, len(step.pack), step.pack[0].spans)
        steps[key] = steps[key][0] if key in steps else step, count + (steps[key][1] if key in steps else 0)
    return steps.values()


def _step(
    model: TextToVideo,
    text: WindowText,
    window: Window,
    shape: tuple[int, ...],
    videos: int,
    config: SampleConfig,
) -> Step:
    spans, encoded = text.spans(window)
    drops_given = config.condition_guidance != 1 and len(window.made) < len(window.latents)
    negatives = 2 if drops_given else int(config.guidance != 1)
    latent_BCTHW = torch.zeros(videos, *shape, device=model.device)
    sigma_BT = torch.ones(videos, shape[1], device=model.device)
    pack = [Group(latent_BCTHW, sigma_BT, spans=spans)] + [Group(latent_BCTHW, sigma_BT)] * negatives
    return Step(pack, [encoded] + [text.negative()] * negatives)


def _run_step(model: TextToVideo, step: Step) -> Any:
    with autocast(model.device, model.dtype):
        return model.dit(step.pack, step.texts)


def _decoder_chunk(model: TextToVideo, conditions: Conditions) -> tuple[Tensor, int]:
    """Return latents of one chunk of the decoder, and the number of chunks of a video."""
    latent_BCTHW = torch.zeros(1, *conditions.latent_CTHW.shape, device=model.device)
    num_latents = latent_BCTHW.shape[2]
    size = min(num_latents, chunk_latents(model.vae, latent_BCTHW, CHUNK_BYTES))
    history = model.vae.config.decoder_history if conditions.loop else 0
    return latent_BCTHW[:, :, :size], -(-num_latents // size) + -(-history // size)


def _decode(model: TextToVideo, chunk_BCTHW: Tensor) -> Tensor:
    with autocast(model.device, model.dtype):
        return to_frames(model.vae.decode(chunk_BCTHW, {}))


def _seconds(call: Callable[[], Any], device: torch.device) -> float:
    """Return how long a call takes on a device that is warm."""
    first = _time(call, device)
    return median(_time(call, device) for _ in range(3)) if first < REPEAT_BELOW_S else first


def _time(call: Callable[[], Any], device: torch.device) -> float:
    start = perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return perf_counter() - start


def count_memory(call: Callable[[], Any]) -> int:
    """Return the most bytes of tensors that a call makes and holds at once, without computing them."""
    with FakeTensorMode(allow_non_fake_inputs=True), LiveBytes() as live:
        call()
    return live.peak


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors that operations make while it is active, and their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known = weakref.WeakSet[Any]()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        inputs = {id(tensor.untyped_storage()) for tensor in _tensors((args, kwargs))}
        result = func(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            storage = tensor.untyped_storage()
            if storage not in self._known and id(storage) not in inputs:
                self._known.add(storage)
                self.now += storage.nbytes()
                weakref.finalize(storage, self._free, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return result

    def _free(self, num_bytes: int) -> None:
        self.now -= num_bytes


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
