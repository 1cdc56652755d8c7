"""All of the Lightning code: shards to a trained text-to-video model, and videos from it."""

__all__ = [
    "callbacks",
    "checkpoints",
    "cli",
    "config",
    "data",
    "dit",
    "ema",
    "model_files",
    "optim",
    "pixels",
    "precision",
    "run",
    "sample",
    "vae",
    "vocabulary",
]
