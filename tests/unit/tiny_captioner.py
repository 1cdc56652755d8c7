"""The size of a captioner that is built and trained within a test."""

from captioner.train.config import ModelConfig

FRAMES = 8

TINY = ModelConfig(
    frames=FRAMES,
    vision_width=48,
    vision_depth=1,
    vision_heads=2,
    text_width=48,
    text_depth=1,
    text_heads=2,
    text_mlp=48,
)
