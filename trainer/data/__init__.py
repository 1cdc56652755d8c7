"""Shards to batches: the batch plan, pixels, latents and the latent cache."""
