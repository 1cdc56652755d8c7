"""Configuration of the embedded captioner's training. Imports nothing heavy."""

from dataclasses import dataclass

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
    model: ModelConfig

    __post_init__ = check_ranges
