"""The velocity that the sampler follows: guidance by text and by given frames, all branches in one batch.

Legend: B videos, C channels, T latent frames, H height, W width, L text tokens, D text width.
"""

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor

from trainer.config import SampleConfig
from trainer.dit.model import Group
from trainer.dit.text import EncodedText, pad_text
from trainer.flow import interpolate
from trainer.precision import Dtype, autocast
from trainer.sample.conditions import Conditions, Prompt
from trainer.sample.model import TextToVideo
from trainer.sample.windows import Window


class WindowText:
    """The texts of a batch of videos as the transformer reads them: computed once, not at every step."""

    def __init__(self, model: TextToVideo, batch: Sequence[Conditions]) -> None:
        self.model, self.batch = model, batch
        texts = {prompt.text for each in batch for prompt in each.prompts}
        texts = sorted(texts | {each.negative_prompt for each in batch})
        with model.on_device(model.text):
            self._states = dict(zip(texts, model.text.states(texts), strict=True))
        self._encoded: dict[tuple[str, ...], EncodedText] = {}

    def spans(self, window: Window) -> tuple[tuple[int, ...], EncodedText]:
        """Return the first latent frame of each span of one text in a window, and its texts."""
        numbers = [prompt_at(self.batch[0].prompts, t) for t in window.latents]
        starts, spans, start = [], [], int(window.lead)
        for number, same in groupby(numbers):
            spans.append(number)
            starts.append(start)
            start += len([*same])
        starts[0] = 0  # the lead shares the text of the latent frame after it
        texts = [each.prompts[number].text for each in self.batch for number in spans]
        return tuple(starts), self._encode(texts)

    def negative(self) -> EncodedText:
        return self._encode([each.negative_prompt for each in self.batch])

    def _encode(self, texts: Sequence[str]) -> EncodedText:
        """Return `Dit.encode_text` of texts, kept for the next window."""
        key = tuple(texts)
        if key not in self._encoded:
            device = self.model.device
            padded = [tensor.to(device) for tensor in pad_text([self._states[text] for text in texts])]
            with autocast(device, self.model.dtype):
                self._encoded[key] = self.model.dit.encode_text([(padded[0], padded[1])])[0]
        return self._encoded[key]


def prompt_at(prompts: Sequence[Prompt], latent: int) -> int:
    """Return the number of the prompt that holds at a latent frame."""
    return max(number for number, prompt in enumerate(prompts) if prompt.start <= latent)


class Guidance:
    """Combine the velocities of a window's branches.

    With velocities v(text, frames), the negative text t- and given frames f, or none:
    v(t-, none) + condition_guidance * (v(t-, f) - v(t-, none)) + guidance * (v(t, f) - v(t-, f)), from Ho and
    Salimans 2022 (arXiv 2207.12598) and Brooks et al. 2023 (arXiv 2211.09800). Where given frames are left
    out, they are as noisy as the others (Song et al. 2025, arXiv 2502.06764).
    """

    def __init__(
        self,
        model: TextToVideo,
        text: WindowText,
        window: Window,
        config: SampleConfig,
        *,
        data_BCTHW: Tensor,
        noise_BCTHW: Tensor,
        given_BT: Tensor,
    ) -> None:
        self.dtype: Dtype = model.dtype
        self.dit, self.scale, self.condition_scale = model.dit, config.guidance, config.condition_guidance
        self.data_BCTHW, self.noise_BCTHW, self.given_BT = data_BCTHW, noise_BCTHW, given_BT
        self.spans, cond = text.spans(window)
        self.drops_given = config.condition_guidance != 1 and bool(given_BT.any())
        self.texts = [cond]
        if self.scale != 1 or self.drops_given:
            self.texts.append(text.negative())
        if self.drops_given:
            self.texts.append(text.negative())

    def __call__(self, x_BCTHW: Tensor, sigma_BT: Tensor) -> Tensor:
        pack = [Group(x_BCTHW, sigma_BT, spans=self.spans)]
        if len(self.texts) > 1:
            pack.append(Group(x_BCTHW, sigma_BT))
        if self.drops_given:
            pack.append(self._without_given(x_BCTHW, sigma_BT))
        with autocast(x_BCTHW.device, self.dtype):
            velocities = self.dit(pack, self.texts)
        velocity_BCTHW = velocities[0]
        if len(pack) > 1:
            velocity_BCTHW = velocities[1] + self.scale * (velocities[0] - velocities[1])
        if self.drops_given:
            velocity_BCTHW = velocity_BCTHW + (self.condition_scale - 1) * (velocities[1] - velocities[2])
        return velocity_BCTHW

    def _without_given(self, x_BCTHW: Tensor, sigma_BT: Tensor) -> Group:
        """Return the window with its given frames as noisy as the noisiest of the others."""
        sigma_BT = torch.where(self.given_BT, sigma_BT.amax(dim=1, keepdim=True), sigma_BT)
        noisy_BCTHW = interpolate(self.data_BCTHW, self.noise_BCTHW, sigma_BT)
        return Group(torch.where(self.given_BT[:, None, :, None, None], noisy_BCTHW, x_BCTHW), sigma_BT)
