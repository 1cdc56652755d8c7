"""All of the Lightning code: shards to a trained text-to-video model, and videos from it."""

__all__ = ["checkpoints", "cli", "config", "data", "optim", "sample", "vae"]
