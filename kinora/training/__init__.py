"""Training of the captioner and the shot detector on simulated worlds."""
