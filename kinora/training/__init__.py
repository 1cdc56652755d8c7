"""Compose `worlds` with the trainings that live in other packages: captioner and shot detector."""
