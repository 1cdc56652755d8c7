"""Precompute the latents and text embeddings of packed shards."""

import sys

from kinora.cli.result import Result
from trainer.config import EncodeConfig as Config
from trainer.data.encode import encode


def run(config: Config) -> Result:
    """Encode what has not been encoded yet."""
    figures = encode(config, progress=lambda line: print(line, file=sys.stderr, flush=True))
    summary = (
        "nothing to do: everything is encoded"
        if not figures["encoded"]
        else f"encoded {figures['encoded']} clips"
    )
    return Result(figures, f"{summary}: {figures['folder']}, {figures['bytes'] / 1e6:.0f} MB")
