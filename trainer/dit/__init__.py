"""The diffusion transformer and its training."""
