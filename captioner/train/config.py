"""What a training run of the embedded captioner is made of. Imports nothing heavy."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """Size of the embedded captioner, a Qwen2-VL."""

    frames: int = 8
    """Frames shown; also the temporal patch, so that a clip is one."""
    pixels: tuple[int, int] = (4800, 6400)
    """Smallest and largest area that a frame is scaled to, in pixels, its aspect ratio nearly kept."""
    patch: int = 10
    """Side of a patch in pixels; 2 x 2 patches make one visual token."""
    vision_width: int = 192
    vision_depth: int = 4
    vision_heads: int = 6
    text_width: int = 192
    text_depth: int = 4
    text_heads: int = 4
    text_kv_heads: int = 1
    """Key-value heads; one keeps the cache, and so the time of a step, small."""
    text_mlp: int = 512
    init: float = 0.04
    """Standard deviation of the weights at the start; the usual 0.02 is for models ten times as wide."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """One run: every random choice follows from `seed` and the step."""

    out: str
    """Folder for the logs, the checkpoint and, when the run ends, the weights in `export/`."""
    seed: int
    steps: int
    """Optimizer steps."""
    batch_size: int = 32
    learning_rate: float = 5e-3
    """Peak for the hidden matrices (Muon), a third of it for the rest (AdamW).
    All rates fall as (1 - step / steps)²."""
    sight_rate: float = 1e-4
    """Peak for the patch embedding, which sums thousands of pixels: a higher rate blurs what it sees."""
    warmup_steps: int = 30
    weight_decay: float = 0.02
    clip_norm: float = 1.0
    look_classes: tuple[int, ...]
    """Number of classes of each attribute that a visual token must tell."""
    crop_steps: int
    """Steps at the start that train the vision tower alone, on small pieces of the frames: cheap."""
    look_steps: int
    """Steps after those that train the vision tower alone on whole frames."""
    look_weights: tuple[float, ...]
    """Weight of each attribute's loss: the harder to see, the more."""
    short_steps: int
    """Steps after those with short captions alone: cheap, and every second word is about the picture."""
    dense_share: float = 0.5
    """Share of the batches after that which ask for the dense caption."""
    log_every: int = 20
    validate_every: int = 500
    """Steps between two looks at the validation loss."""
    checkpoint_every: int = 200
    """Steps between two checkpoints; a run that goes on from one ends in the same weights."""
    threads: int = 1
    model: ModelConfig
