"""Train the video VAE."""

from collections.abc import Sequence

from trainer.cli import main as train


def main(args: Sequence[str]) -> int:
    return train("vae", args)
