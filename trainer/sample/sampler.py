"""The one sampler: from the conditions of videos to their latents and frames.

Legend: B videos, C channels, T frames or latent frames, H height, W width.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import count

import numpy as np
import torch
from torch import Tensor

from trainer.config import SampleConfig
from trainer.flow import interpolate, sample_adams_bashforth, sampling_sigmas
from trainer.rng import generator
from trainer.sample.conditions import Conditions
from trainer.sample.decode import decode_result
from trainer.sample.guidance import Guidance, WindowText
from trainer.sample.model import TextToVideo
from trainer.sample.windows import MIN_WINDOW, Window, plan_windows

Velocity = Callable[[Tensor, Tensor], Tensor]
OnStep = Callable[[float], None]
"""Called before each step with the share of all steps that is done; what it raises ends the sampling."""


@torch.inference_mode()
def generate(model: TextToVideo, conditions: Sequence[Conditions], config: SampleConfig) -> list[np.ndarray]:
    """Return frames_THWC (uint8) of each video, with the kept pixels in their places."""
    latents = sample(model, conditions, config)
    pairs = zip(conditions, latents, strict=True)
    return [np.concatenate([*decode_result(model, each, latent)]) for each, latent in pairs]


@torch.inference_mode()
def sample(
    model: TextToVideo,
    conditions: Sequence[Conditions],
    config: SampleConfig,
    on_step: OnStep | None = None,
) -> list[Tensor]:
    """Return latent_CTHW (on the CPU) of each video.

    Videos of one shape whose windows are the same are sampled together. The noise is a function of the seed
    and the window alone. Raises ValueError for a video that windows cannot make.
    """
    latents: dict[int, Tensor] = {}
    batches = batches_of(conditions)
    for place, numbers in enumerate(batches):
        report = _part(on_step, place, len(batches))
        batch_BCTHW = _sample_batch(model, [conditions[number] for number in numbers], config, report)
        latents |= zip(numbers, batch_BCTHW, strict=True)
    return [latents[number] for number in range(len(conditions))]


def batches_of(conditions: Sequence[Conditions]) -> list[list[int]]:
    """Return the numbers of the videos that are sampled together."""
    batches: defaultdict[object, list[int]] = defaultdict(list)
    for number, each in enumerate(conditions):
        starts = tuple(prompt.start for prompt in each.prompts)
        new = tuple((each.level_T > 0).tolist())
        batches[each.latent_CTHW.shape, new, each.loop, starts].append(number)
    return [*batches.values()]


def plan_of(model: TextToVideo, conditions: Conditions, config: SampleConfig) -> list[Window]:
    """Return the windows in which a video is made."""
    window = config.window_latents or (model.window and max(MIN_WINDOW, model.window))
    new = (conditions.level_T > 0).tolist()
    return plan_windows(new, window, config.overlap_latents, loop=conditions.loop)


def _sample_batch(
    model: TextToVideo, batch: Sequence[Conditions], config: SampleConfig, on_step: OnStep | None
) -> Tensor:
    latent_BCTHW = torch.stack([each.latent_CTHW for each in batch])
    level_BT = torch.stack([each.level_T for each in batch])
    text = WindowText(model, batch)
    with model.on_device(model.dit):
        _sample_windows(model, batch, text, latent_BCTHW, level_BT, config, on_step)
    return latent_BCTHW


def _sample_windows(
    model: TextToVideo,
    batch: Sequence[Conditions],
    text: WindowText,
    latent_BCTHW: Tensor,
    level_BT: Tensor,
    config: SampleConfig,
    on_step: OnStep | None,
) -> None:
    """Replace what is to be made in the latents, window by window."""
    windows = plan_of(model, batch[0], config)
    for number, window in enumerate(windows):
        index = list(window.latents)
        data_BCTHW, window_BT = latent_BCTHW[:, :, index], level_BT[:, index]
        if window.lead:  # as new as what is made; where that is replaced in part, what follows is nearest
            data_BCTHW = torch.cat([data_BCTHW[:, :, :1], data_BCTHW], dim=2)
            window_BT = torch.cat([window_BT.amax(dim=1, keepdim=True), window_BT], dim=1)
        noise_BCTHW = _noise([each.seed for each in batch], number, data_BCTHW.shape[1:])
        report = _part(on_step, number, len(windows))
        made_BCTHW = _sample_window(model, text, window, data_BCTHW, noise_BCTHW, window_BT, config, report)
        places = [index.index(t) + window.lead for t in window.made]
        latent_BCTHW[:, :, list(window.made)] = made_BCTHW[:, :, places]
        level_BT[:, list(window.made)] = 0


def _sample_window(
    model: TextToVideo,
    text: WindowText,
    window: Window,
    data_BCTHW: Tensor,
    noise_BCTHW: Tensor,
    level_BT: Tensor,
    config: SampleConfig,
    on_step: OnStep | None,
) -> Tensor:
    """Return the latents of a window at noise level 0."""
    data_BCTHW, noise_BCTHW = data_BCTHW.to(model.device), noise_BCTHW.to(model.device)
    sigmas = sigmas_of(model, config, tuple(data_BCTHW.shape[1:]))
    given_BT = (level_BT == 0).to(model.device)
    guidance = Guidance(
        model, text, window, config, data_BCTHW=data_BCTHW, noise_BCTHW=noise_BCTHW, given_BT=given_BT
    )
    x_BCTHW = interpolate(data_BCTHW, noise_BCTHW, level_BT.to(model.device))
    velocity = guidance if on_step is None else _counted(guidance, level_BT, sigmas, on_step)
    return sample_adams_bashforth(velocity, x_BCTHW, level_BT, sigmas).cpu()


def _part(on_step: OnStep | None, number: int, num_parts: int) -> OnStep | None:
    """Return what one of some parts reports to, as a share of all of them."""
    return None if on_step is None else lambda share: on_step((number + share) / num_parts)


def _counted(velocity: Velocity, level_BT: Tensor, sigmas: Sequence[float], on_step: OnStep) -> Velocity:
    """Return `velocity` that reports before each of its calls."""
    highest = float(level_BT.max())
    steps, done = sum(sigma < highest for sigma in sigmas[1:]), count()

    def counted(x_BCTHW: Tensor, sigma_BT: Tensor) -> Tensor:
        on_step(next(done) / steps)
        return velocity(x_BCTHW, sigma_BT)

    return counted


def sigmas_of(model: TextToVideo, config: SampleConfig, shape: tuple[int, ...]) -> Sequence[float]:
    """Return the noise levels, from 1 down to 0, at which a window of shape (C, T, H, W) is sampled."""
    tokens = model.dit.config.num_tokens(shape)
    return config.sigmas or sampling_sigmas(
        config.steps, tokens, model.flow, factor=config.shift, spacing=config.spacing
    )


def _noise(seeds: Sequence[int], window: int, shape: tuple[int, ...]) -> Tensor:
    """Return noise_BCTHW, of each video a function of its seed and the window's number."""
    names = [("sample", seed) if window == 0 else ("sample", seed, window) for seed in seeds]
    return torch.from_numpy(np.stack([generator(*name).standard_normal(shape, np.float32) for name in names]))
