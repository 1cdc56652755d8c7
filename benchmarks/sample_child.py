"""One measurement of `benchmarks.sample`, in a process of its own.

`python -m benchmarks.sample_child video MODEL WIDTHxHEIGHT FRAMES STEPS GUIDANCE` samples a video,
`... decode MODEL WIDTHxHEIGHT FRAMES` decodes one, streamed. Prints a JSON object.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from trainer.config import SampleConfig
from trainer.sample.decode import decode
from trainer.sample.frames import latents_in
from trainer.sample.model import TextToVideo, load_model
from trainer.sample.sampler import generate
from trainer.sample.verbs import text_to_video

PROMPT = "a red circle moves left over a gray background"


def peak_mb() -> float:
    """Return the largest resident memory of this process so far, in megabytes (10^6 bytes)."""
    status = Path("/proc/self/status").read_text()  # ru_maxrss counts the process that forked this one
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


class Stopwatch:
    """Adds up the processor time of a module's forward passes."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.cpu_s, self._begin = 0.0, 0.0
        module.register_forward_pre_hook(self._start)
        module.register_forward_hook(self._stop)

    def _start(self, *_: object) -> None:
        self._begin = time.process_time()

    def _stop(self, *_: object) -> None:
        self.cpu_s += time.process_time() - self._begin


def sample_video(
    model: TextToVideo, width: int, height: int, frames: int, config: SampleConfig
) -> dict[str, float]:
    """Sample one video twice, and return what the second one took."""
    transformer, seconds = Stopwatch(model.dit), 0.0
    for seed in (0, 1):
        transformer.cpu_s, begin = 0.0, time.process_time()
        conditions = text_to_video(model, PROMPT, num_frames=frames, height=height, width=width, seed=seed)
        generate(model, [conditions], config)
        seconds = time.process_time() - begin
    return {"cpu_s": seconds, "transformer_cpu_s": transformer.cpu_s}


def decode_video(model: TextToVideo, width: int, height: int, frames: int) -> dict[str, float]:
    """Decode noise of a video's shape in chunks, and drop them."""
    config = model.vae.config
    side, begin = config.space_factor, time.process_time()
    shape = (config.latent_channels, latents_in(frames, config.time_factor), height // side, width // side)
    noise_CTHW = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    made = sum(len(chunk_THWC) for chunk_THWC in decode(model, noise_CTHW))
    return {"cpu_s": time.process_time() - begin, "frames": made}


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Run one measurement."""
    task, folder, size, frames, *more = arguments
    torch.set_num_threads(1)
    width, height = (int(side) for side in size.split("x"))
    model = load_model(folder)
    loaded = peak_mb()
    if task == "decode":
        measured = decode_video(model, width, height, int(frames))
    else:
        config = SampleConfig(steps=int(more[0]), guidance=float(more[1]))
        measured = sample_video(model, width, height, int(frames), config)
    return {**measured, "loaded_mb": loaded, "peak_mb": peak_mb()}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
