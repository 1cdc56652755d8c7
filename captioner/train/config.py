"""Configuration of the embedded captioner's training. Imports nothing heavy."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """Architecture of the embedded captioner, a small Qwen2-VL."""

    frames: int = 8
    """Frames per clip; also the temporal patch size, so that a clip is one temporal patch."""
    pixels: tuple[int, int] = (4800, 6400)
    """Minimum and maximum area of a frame after resizing, in pixels."""
    patch_size: int = 10
    """Patch height and width in pixels; 2 x 2 patches are merged into one visual token."""
    vision_width: int = 192
    """Hidden size of the vision tower."""
    vision_depth: int = 4
    vision_heads: int = 6
    text_width: int = 192
    """Hidden size of the language model."""
    text_depth: int = 4
    text_heads: int = 4
    text_kv_heads: int = 1
    """Key-value heads of grouped-query attention; one gives the smallest cache."""
    text_mlp: int = 512
    """Intermediate size of the language model's MLPs."""
    initializer_range: float = 0.04
    """Standard deviation of the initial weights. The common 0.02 suits models ten times as wide."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """One training run; all randomness derives from `seed` and the step."""

    out: str
    """Folder for logs, checkpoints and the final model (`export/`)."""
    seed: int
    steps: int
    """Optimizer steps."""
    batch_size: int = 32
    lr: float = 5e-3
    """Peak learning rate of hidden matrices (Muon); other parameters (AdamW) use a third of it.
    Decays as (1 - step / steps)²."""
    patch_embed_lr: float = 1e-4
    """Peak learning rate of the patch embedding."""
    warmup_steps: int = 30
    weight_decay: float = 0.02
    clip_norm: float = 1.0
    num_cell_classes: tuple[int, ...]
    """Number of classes of each attribute that visual tokens are trained to classify."""
    crop_steps: int
    """First steps: train only the vision tower, on small crops."""
    vision_steps: int
    """Next steps: train only the vision tower, on whole frames."""
    cell_loss_weights: tuple[float, ...]
    """Loss weight of each attribute."""
    short_steps: int
    """Next steps: train on short captions only."""
    dense_fraction: float = 0.5
    """Fraction of the remaining batches with dense captions."""
    log_every_n_steps: int = 20
    validate_every_n_steps: int = 500
    """Optimizer steps between validations."""
    checkpoint_every_n_steps: int = 200
    """Optimizer steps between checkpoints. A resumed run ends with the same weights."""
    threads: int = 1
    """Torch threads."""
    model: ModelConfig
