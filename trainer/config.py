"""Every setting of the trainer. Imports nothing heavy, so that `kinora --help` stays quick."""

from dataclasses import dataclass
from typing import Literal

Size = Literal["tiny", "small", "base", "xl"]
"""Names of the transformer's sizes: tiny trains on a CPU, xl needs many GPUs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VaeConfig:
    """Shape of the video compression network."""

    latent_channels: int = 8
    """Values of each latent position."""
    widths: tuple[int, int] = (128, 256)
    """Channels at 1/4 and at 1/8 of the size."""
    encoder_depths: tuple[int, int] = (0, 0)
    """Blocks at each size on the way in."""
    decoder_depths: tuple[int, int] = (2, 2)
    """Blocks at each size on the way out: 1/8 first."""
    patch: int = 4
    """Pixels folded into channels before the first convolution, in height and width."""
    time_factor: int = 4
    """Frames to one latent frame, after the first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DitConfig:
    """Shape of the diffusion transformer."""

    width: int
    """Values of each token."""
    depth: int
    """Blocks."""
    heads: int
    """Attention heads; width / heads must be even."""
    latent_channels: int = 8
    """Channels of the latents: those of the video compression network."""
    patch: int = 2
    """Latent positions of a token, in height and width."""
    text_width: int = 384
    """Width of the frozen text encoder's states."""
    refiner_depth: int = 2
    """Trained layers over the text states."""


def dit_size(name: Size) -> DitConfig:
    """Return a size by its name. Raises ValueError for an unknown one."""
    sizes: dict[str, DitConfig] = {
        "tiny": DitConfig(width=128, depth=6, heads=4),
        "small": DitConfig(width=512, depth=12, heads=8),
        "base": DitConfig(width=1024, depth=24, heads=16),
        "xl": DitConfig(width=2048, depth=32, heads=16),
    }
    if name not in sizes:
        raise ValueError(f"no model size {name!r}: use one of {', '.join(sizes)}")
    return sizes[name]


EMBEDDED_TEXT_ENCODER = "minilm"
"""Name of the text encoder that needs no hub."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowConfig:
    """How noise levels are drawn in training and walked in sampling."""

    level_mean: float = 0.0
    """Mean of the logit of the level, before the shift."""
    level_spread: float = 1.0
    """Standard deviation of the logit of the level."""
    uniform_share: float = 0.1
    """Share of levels drawn evenly instead, so that the ends are learned too."""
    shift_tokens: int = 16
    """Tokens up to which levels are not shifted; four times as many double the odds of noise."""
    given_share: float = 0.1
    """Share of clips in training with some frames given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CropConfig:
    """What the video compression network sees of a clip."""

    side_px: int = 48
    """Height and width of the random crop."""
    lengths: tuple[int, ...] = (1, 9, 9, 17)
    """Frames, drawn for each step: 1 + 4k. A clip that is shorter gives the longest of these that it has."""
    cache_mb: int = 600
    """Memory for decoded clips, in each process that reads."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VaeLossConfig:
    """What the video compression network is trained to."""

    absolute: float = 1.0
    """Weight of the mean absolute error."""
    squared: float = 10.0
    """Weight of the mean squared error: it is what makes small things appear at all."""
    edges: float = 0.5
    """Weight of the mean absolute error of differences between neighbours."""
    divergence: float = 3e-4
    """Weight of the latents' divergence from a unit Gaussian, in nats for each latent value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimConfig:
    """Optimizer and schedule: linear warm-up, constant, then a linear end."""

    lr: float
    """Learning rate of AdamW."""
    matrix_lr_factor: float = 1.0
    """Learning rate of Muon, which trains the weight matrices of hidden layers, as a multiple of `lr`."""
    warmup_steps: int = 20
    """Steps of the warm-up."""
    decay_share: float = 0.6
    """Last share of the training in which the rate falls to 0."""
    weight_decay: float = 0.0
    """Pull of the weights to 0, times the rate."""
    clip_norm: float = 1.0
    """Largest norm of a step's gradient."""
    ema_decay: float = 0.995
    """Decay of the averaged weights, which are what is validated, sampled from and exported."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleConfig:
    """How videos are generated."""

    steps: int = 24
    """Steps from noise to video."""
    guidance: float = 3.0
    """How far to go beyond what the text adds (Ho and Salimans 2022, arXiv 2207.12598); 1 is no guidance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodeConfig:
    """What to encode, with what."""

    shards: str
    """Folder that `kinora pack` wrote; the result goes to `encoded/` in it."""
    vae: str
    """Folder with `vae.safetensors`, of `kinora train vae`."""
    text_encoder: str = EMBEDDED_TEXT_ENCODER
    """`minilm`, a folder, or a hub name of a transformers encoder."""
    batch_size: int = 16
    """Clips that go through the compression network together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TextChoice:
    """Which text a clip is trained with, drawn anew for every step."""

    dropped_share: float = 0.1
    """Share trained without text, so that guidance has something to go away from."""
    dense_share: float = 0.1
    """Share of steps trained on the dense captions; the rest sees the short ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchConfig:
    """What is shown and kept while training."""

    checkpoint_every_steps: int = 500
    """A checkpoint to resume from, after so many optimizer steps; the newest is kept."""
    say_every_s: float = 10.0
    """A line on progress, after so many seconds, where the output is not a terminal."""
    prompts: tuple[str, ...] = ()
    """Prompts of the sample videos that are generated with every validation."""
    sample_size: tuple[int, int, int] = (17, 64, 64)
    """Frames, height and width of the sample videos."""
