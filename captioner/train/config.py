"""Configuration of the training of captioners. Imports nothing heavy."""

from dataclasses import dataclass

from captioner.config import VlmConfig
from manifests.ranges import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    UnitFloat,
    check_ranges,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """Architecture of the embedded captioner, a small Qwen2-VL."""

    frames: PositiveInt = 8
    """Frames per clip; also the temporal patch size, so that a clip is one temporal patch."""
    pixels: tuple[PositiveInt, PositiveInt] = (4800, 6400)
    """Minimum and maximum area of a frame after resizing, in pixels."""
    patch_size: PositiveInt = 10
    """Patch height and width in pixels; 2 x 2 patches are merged into one visual token."""
    vision_width: PositiveInt = 192
    """Hidden size of the vision tower."""
    vision_depth: PositiveInt = 4
    vision_heads: PositiveInt = 6
    text_width: PositiveInt = 192
    """Hidden size of the language model."""
    text_depth: PositiveInt = 4
    text_heads: PositiveInt = 4
    text_kv_heads: PositiveInt = 1
    """Key-value heads of grouped-query attention; one gives the smallest cache."""
    text_mlp: PositiveInt = 512
    """Intermediate size of the language model's MLPs."""
    initializer_range: PositiveFloat = 0.04
    """Standard deviation of the initial weights. The common 0.02 suits models ten times as wide."""

    __post_init__ = check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """One training run; all randomness derives from `seed` and the step."""

    out: str
    """Folder for logs, checkpoints and the final model (`export/`)."""
    seed: int
    steps: PositiveInt
    """Optimizer steps."""
    batch_size: PositiveInt = 32
    lr: PositiveFloat = 5e-3
    """Peak learning rate of hidden matrices (Muon); other parameters (AdamW) use a third of it.
    Decays as (1 - step / steps)²."""
    patch_embed_lr: NonNegativeFloat = 1e-4
    """Peak learning rate of the patch embedding."""
    warmup_steps: NonNegativeInt = 30
    weight_decay: NonNegativeFloat = 0.02
    clip_norm: NonNegativeFloat = 1.0
    num_cell_classes: tuple[PositiveInt, ...]
    """Number of classes of each attribute that visual tokens are trained to classify."""
    crop_steps: NonNegativeInt
    """First steps: train only the vision tower, on small crops."""
    vision_steps: NonNegativeInt
    """Next steps: train only the vision tower, on whole frames."""
    cell_loss_weights: tuple[NonNegativeFloat, ...]
    """Loss weight of each attribute."""
    short_steps: NonNegativeInt
    """Next steps: train on short captions only."""
    dense_fraction: UnitFloat = 0.5
    """Fraction of the remaining batches with dense captions."""
    log_every_n_steps: PositiveInt = 20
    validate_every_n_steps: PositiveInt = 500
    """Optimizer steps between validations."""
    checkpoint_every_n_steps: PositiveInt = 200
    """Optimizer steps between checkpoints, of which the newest two are kept; a run also ends with one."""
    threads: PositiveInt = 1
    """Torch threads."""
    workers: NonNegativeInt = 0
    """Processes that prepare batches ahead; with 0 they are prepared between steps."""
    model: ModelConfig

    __post_init__ = check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraConfig:
    """Fine-tuning of a vision-language model by low-rank adapters; all randomness derives from `seed`."""

    vlm: VlmConfig
    """The model, and the frames that it is shown. Its `batch_size`, `temperature` and `timeout_s` are for
    captions alone."""
    out: str
    """Folder for the state of the run and the final model (`export/`)."""
    steps: PositiveInt
    """Optimizer steps."""
    seed: int = 0
    batch_size: PositiveInt = 8
    """Captions of a step; they pass the model one by one."""
    rank: PositiveInt = 16
    """Rank of the adapters."""
    alpha: PositiveFloat = 32.0
    """Scale of the adapters times their rank."""
    targets: tuple[str, ...] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    )
    """Last names of the linear layers of the language model that get an adapter."""
    lr: PositiveFloat = 1e-4
    """Peak learning rate; decays by half a cosine."""
    warmup_steps: NonNegativeInt = 10
    weight_decay: NonNegativeFloat = 0.0
    clip_norm: PositiveFloat = 1.0
    save_every_n_steps: PositiveInt = 100
    """Optimizer steps between states that a stopped run goes on from."""

    __post_init__ = check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class ScorerConfig:
    """Training of the embedded scorer, a small open_clip model; all randomness derives from `seed`."""

    out: str
    """Folder for the state of the run and the final model (`export/`)."""
    seed: int = 0
    worlds: PositiveInt = 30_000
    """Clips that it is trained on; they are rendered first, and held in memory."""
    steps: PositiveInt = 2000
    """Optimizer steps."""
    batch_size: PositiveInt = 96
    """Pairs of a step: each caption is held against all of its clips."""
    lr: PositiveFloat = 1e-3
    """Peak learning rate; decays by half a cosine."""
    warmup_steps: NonNegativeInt = 100
    weight_decay: NonNegativeFloat = 0.1
    clip_norm: PositiveFloat = 1.0
    save_every_n_steps: PositiveInt = 100
    """Optimizer steps between states that a stopped run goes on from."""
    threads: PositiveInt = 1
    """Torch threads."""
    embed_width: PositiveInt = 128
    """Dimensions of the embeddings."""
    image_width: PositiveInt = 160
    image_depth: PositiveInt = 4
    text_width: PositiveInt = 128
    text_depth: PositiveInt = 3
    head_width: PositiveInt = 32
    """Width of an attention head of both towers, which it divides."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.worlds < self.batch_size:
            raise ValueError(
                f"worlds: {self.worlds} is less than batch_size, {self.batch_size}: a step takes different "
                "clips; raise worlds or lower batch_size"
            )
