"""The video compression network and its training."""
