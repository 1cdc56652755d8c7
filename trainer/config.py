"""Every setting of the trainer. Imports nothing heavy, so that `kinora --help` stays quick."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal

from manifests.ranges import (
    Finite,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Range,
    UnitFloat,
    check_ranges,
)
from trainer.masks import FIXED_MASKS, MASKS

Size = Literal["tiny", "small", "base", "xl"]
"""Names of the transformer's sizes: tiny trains on a CPU, xl needs many GPUs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VaeConfig:
    """Shape of the video VAE."""

    latent_channels: PositiveInt = 8
    """Channels of the latents."""
    widths: tuple[PositiveInt, PositiveInt] = (128, 256)
    """Channels at the finer and the coarser resolution: 1/patch and 1/(2 patch) of the frame."""
    encoder_depths: tuple[NonNegativeInt, NonNegativeInt] = (0, 0)
    """Residual blocks of the encoder at each resolution, finer first."""
    encoder_time_kernel: PositiveInt = 3
    """Latent frames that a block of the encoder mixes, up to its own. With 1, a latent depends on its own
    frames alone, wherever in a video they are."""
    decoder_depths: tuple[NonNegativeInt, NonNegativeInt] = (2, 2)
    """Residual blocks of the decoder at each resolution, coarser first."""
    patch: PositiveInt = 4
    """Pixels moved into channels before the first convolution, in height and width."""
    time_factor: PositiveInt = 4
    """Temporal compression: frames per latent frame, after the first."""
    time_patch: PositiveInt | None = None
    """Frames moved into channels before the first convolution, a divisor of `time_factor`; the rest of it is
    merged with the coarser resolution. By default all of `time_factor`."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.time_factor % (self.time_patch or self.time_factor):
            raise ValueError(
                f"time_patch={self.time_patch} does not divide time_factor={self.time_factor}: use a divisor"
            )

    @property
    def fine_frames(self) -> int:
        """Frames of the finer resolution per latent frame."""
        return self.time_factor // (self.time_patch or self.time_factor)

    @property
    def space_factor(self) -> int:
        """Spatial compression: pixels per latent position, in height and width."""
        return 2 * self.patch

    @property
    def encoder_history(self) -> int:
        """Latent frames before one that the encoder lets it depend on."""
        fine, coarse = self.encoder_depths
        past = self.encoder_time_kernel - 1
        return past * coarse + math.ceil(past * fine / self.fine_frames)

    @property
    def decoder_history(self) -> int:
        """Latent frames before one that the decoder lets its frames depend on."""
        coarse, fine = self.decoder_depths
        return 2 + 2 * coarse + math.ceil(2 * fine / self.fine_frames)

    def latent_shape(self, num_frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        """Return (C, T, H, W) of a clip's latents."""
        frames = 1 + (num_frames - 1) // self.time_factor
        return self.latent_channels, frames, height // self.space_factor, width // self.space_factor


@dataclass(frozen=True, kw_only=True, slots=True)
class DitConfig:
    """Shape of the diffusion transformer. Position and timestep embeddings default to those of `tiny`."""

    width: PositiveInt
    """Channels of each token."""
    depth: PositiveInt
    """Transformer blocks."""
    heads: PositiveInt
    """Attention heads; width / heads must be even."""
    latent_channels: PositiveInt = 8
    """Channels of the latents: those of the VAE."""
    patch: PositiveInt = 2
    """Latent positions per token, in height and width."""
    text_width: PositiveInt = 384
    """Channels of the frozen text encoder's states."""
    refiner_depth: NonNegativeInt = 2
    """Trained transformer layers over the text states."""
    rope_base: PositiveFloat = 100.0
    """Base of the rotary frequencies (theta): 10000 in Su et al. 2021 (arXiv 2104.09864) and Wan 2.1
    (arXiv 2503.20314), 256 in HunyuanVideo (arXiv 2412.03603)."""
    rope_max_angle: PositiveFloat = 2.5
    """Rotation of the fastest pair from one token to the next, in radians: 1 in Su et al. 2021; with 2.5,
    `tiny` learns motion sooner (docs/adr/0007)."""
    pos_embed_octaves: NonNegativeInt = 4
    """Frequencies per axis of the absolute position embedding; 0 leaves it out, as Wan 2.1 and HunyuanVideo
    do."""
    timestep_channels: Annotated[int, Range(min=2)] = 128
    """Channels of the sinusoidal timestep embedding: 256 in DiT (Peebles and Xie 2022, arXiv 2212.09748)."""
    timestep_min_frequency: PositiveFloat = 1.0
    """Lowest frequency of the timestep embedding, in radians per unit of sigma: 0.1 in DiT."""
    timestep_max_frequency: PositiveFloat = 1000.0
    """Highest frequency of the timestep embedding, in radians per unit of sigma: 1000 in DiT."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.width % (2 * self.heads):
            nearest = 2 * self.heads * max(1, round(self.width / 2 / self.heads))
            raise ValueError(
                f"width={self.width} with heads={self.heads}: width / heads must be an even number, "
                f"as with width={nearest}"
            )

    def num_tokens(self, latent_shape: tuple[int, ...]) -> int:
        """Return the number of tokens of a latent of shape (C, T, H, W)."""
        _, frames, height, width = latent_shape
        return frames * (height // self.patch) * (width // self.patch)


def dit_config(dit: Size | DitConfig) -> DitConfig:
    """Return the shape of a named size, or `dit` itself. Raises ValueError for an unknown name."""
    if isinstance(dit, DitConfig):
        return dit
    embeddings: dict[str, Any] = {
        "rope_base": 10000.0,  # Su et al. 2021, Wan 2.1
        "rope_max_angle": 1.0,
        "pos_embed_octaves": 0,
        "timestep_channels": 256,  # DiT
        "timestep_min_frequency": 0.1,
    }
    sizes: dict[str, DitConfig] = {
        "tiny": DitConfig(width=128, depth=6, heads=4),
        "small": DitConfig(width=512, depth=12, heads=8, **embeddings),
        "base": DitConfig(width=1024, depth=24, heads=16, **embeddings),
        "xl": DitConfig(width=2048, depth=32, heads=16, **embeddings),
    }
    if dit not in sizes:
        raise ValueError(f"no model size {dit!r}: use one of {', '.join(sizes)}")
    return sizes[dit]


EMBEDDED_TEXT_ENCODER = "minilm"
"""Name of the text encoder that needs no hub."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowConfig:
    """Distribution of sigma (the noise level) in training, and its shift in training and sampling."""

    logit_mean: Finite = 0.0
    """Mean of logit(sigma), before the shift: logit-normal sampling (Esser et al. 2024, arXiv 2403.03206)."""
    logit_std: NonNegativeFloat = 1.0
    """Standard deviation of logit(sigma), before the shift."""
    uniform_prob: UnitFloat = 0.1
    """Probability of drawing sigma uniformly instead, so that both ends are trained."""
    shift_tokens: PositiveInt = 16
    """Tokens up to which sigma is not shifted; four times as many double the odds sigma / (1 - sigma)."""
    clean_prob: UnitFloat = 0.1
    """Probability that a training clip has clean frames (sigma 0), which condition the others."""
    masks: tuple[str, ...] = FIXED_MASKS
    """Sets of clean frames to draw from, of `trainer.masks.MASKS`. `start`, `continue` and `bridge` train the
    windows of long videos; the default is that of runs of older versions."""
    given_noise: UnitFloat = 0.0
    """Largest share of noise in clean frames, which the network is not told: against drift over windows."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.masks or not {*self.masks} <= {*MASKS}:
            raise ValueError(f"masks={list(self.masks)}: must be one or more of {', '.join(MASKS)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class CropConfig:
    """Random crops that the VAE is trained on."""

    side_px: PositiveInt = 48
    """Height and width of the crop."""
    lengths: tuple[PositiveInt, ...] = (1, 9, 9, 17)
    """Frames (1 + k * time_factor), one of these per step; a shorter clip takes the longest that fits."""
    cache_mb: NonNegativeInt = 600
    """Memory for decoded clips, in each process that reads."""

    __post_init__ = check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class VaeLossConfig:
    """Weights of the VAE's loss terms."""

    l1: NonNegativeFloat = 1.0
    """Weight of the mean absolute error."""
    l2: NonNegativeFloat = 10.0
    """Weight of the mean squared error; without it small objects do not appear."""
    gradient: NonNegativeFloat = 0.5
    """Weight of the mean absolute error of differences between neighbouring pixels."""
    flicker: NonNegativeFloat = 0.0
    """Weight of the mean absolute error of differences between a frame and the next: what stands still then
    does so in what is decoded, too."""
    motion: NonNegativeFloat = 0.0
    """Further weight of errors where the video changes from frame to frame, relative to 1 everywhere: what
    moves fills few pixels."""
    contrast: NonNegativeFloat = 0.0
    """Further weight of errors where neighbouring pixels differ, relative to 1 everywhere: what tells shapes
    apart fills few pixels."""
    kl: NonNegativeFloat = 3e-4
    """Weight of the KL divergence of the latents from a unit Gaussian, in nats per latent value."""

    __post_init__ = check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimConfig:
    """Optimizer and learning-rate schedule: linear warm-up, constant, linear cooldown to 0."""

    lr: PositiveFloat
    """Learning rate of AdamW."""
    matrix_lr_factor: NonNegativeFloat = 1.0
    """Learning rate of Muon, which trains the weight matrices of hidden layers, as a multiple of `lr`."""
    warmup_steps: NonNegativeInt = 20
    """Steps of the warm-up."""
    cooldown_fraction: UnitFloat = 0.6
    """Last fraction of the steps, in which the rate falls to 0 (Hägele et al. 2024, arXiv 2405.18392)."""
    weight_decay: NonNegativeFloat = 0.0
    """Decoupled weight decay of both optimizers."""
    clip_norm: NonNegativeFloat = 1.0
    """Largest norm of a step's gradient, over all ranks and micro-batches; 0 turns clipping off. A limit in
    `trainer.gradient_clip_val` holds as well."""
    ema_decay: Annotated[float, Range(min=0, below=1)] = 0.995
    """Decay of the EMA of the weights, which is what is validated, sampled from and exported."""

    __post_init__ = check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleConfig:
    """How videos are sampled."""

    steps: PositiveInt = 24
    """Sampler steps from noise to video."""
    guidance: NonNegativeFloat = 5.0
    """Scale of classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598); 1 turns it off."""
    condition_guidance: NonNegativeFloat = 1.0
    """Scale of guidance towards given frames (Brooks et al. 2023, arXiv 2211.09800); 1 turns it off."""
    shift: PositiveFloat = 1.0
    """Factor of the flow's shift: above 1, more of the steps are at much noise."""
    spacing: PositiveFloat = 1.0
    """Power of the even spacing of steps before the shift: above 1, they are closer at little noise."""
    sigmas: tuple[UnitFloat, ...] = ()
    """Noise levels from 1 down to 0, in place of `steps`, `shift` and `spacing`."""
    window_latents: PositiveInt | None = None
    """Most latent frames that are sampled together; by default those of the longest training clip."""
    overlap_latents: PositiveInt | None = None
    """Latent frames that a window takes over from its neighbours; by default half of a window."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.sigmas and (self.sigmas[0] != 1 or self.sigmas[-1] != 0 or self._rises()):
            raise ValueError(f"sigmas={list(self.sigmas)}: must fall from 1 to 0, such as 1,0.8,0.4,0")

    def _rises(self) -> bool:
        return any(a <= b for a, b in pairwise(self.sigmas))


FEW_STEPS = SampleConfig(steps=6, shift=4.0, spacing=1.5)
"""A quarter of the default steps, placed where fewest of them show (docs/adr/0031)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodeConfig:
    """Inputs of `kinora encode`."""

    shards: str
    """Folder that `kinora pack` wrote; the result goes to `encoded/` in it."""
    vae: str
    """Folder with `vae.safetensors`, of `kinora train vae`; `shipped` is the VAE in the package."""
    text_encoder: str = EMBEDDED_TEXT_ENCODER
    """`minilm`, a folder, or a hub name of a transformers encoder."""
    batch_size: PositiveInt = 16
    """Most clips that go through the VAE together."""
    batch_mb: PositiveInt = 64
    """Memory for the pixels that go through the VAE together; a larger clip goes in chunks of time."""
    max_starts: PositiveInt = 2
    """Most starts of which a clip's latents are kept, where its window is longer than its bucket."""
    part_mb: PositiveInt = 64
    """Size at which a file of latents or text states is written, unless `part_s` is over before."""
    part_s: PositiveFloat = 30.0
    """Seconds after which what is encoded is written: about what a kill loses."""
    processes: PositiveInt = 1
    """Processes that encode; they share out this machine's GPUs."""

    __post_init__ = check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class TextChoice:
    """Which text a clip is trained with, drawn anew for every step."""

    drop_prob: UnitFloat = 0.1
    """Probability of training without text, for classifier-free guidance."""
    dense_prob: UnitFloat = 0.1
    """Probability that a step trains on the dense captions; other steps train on the short ones."""

    __post_init__ = check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchConfig:
    """Progress lines, samples and checkpoints of a training run."""

    checkpoint_every_steps: PositiveInt = 500
    """Optimizer steps between checkpoints; the newest two are kept. A run also ends with one."""
    log_every_s: NonNegativeFloat = 10.0
    """Seconds between progress lines, where the output is not a terminal."""
    prompts: tuple[str, ...] = ()
    """Prompts of the sample videos that are generated with every validation."""
    sample_size: tuple[PositiveInt, PositiveInt, PositiveInt] = (17, 64, 64)
    """Frames, height and width of the sample videos."""

    __post_init__ = check_ranges
