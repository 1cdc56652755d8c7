"""Pre-compute latents and text states beside the shards."""

import sys

from kinora.cli.result import Result
from trainer.config import EncodeConfig as Config
from trainer.data.encode import encode


def run(config: Config) -> Result:
    figures = encode(config, say=lambda line: print(line, file=sys.stderr, flush=True))
    done = "nothing left to encode" if not figures["encoded"] else f"encoded {figures['encoded']} clips"
    return Result(figures, f"{done}: {figures['folder']}, {figures['bytes'] / 1e6:.0f} MB")
