"""Measure the video VAE on video of any length: `kinora bench vae`.

The VAE is that of `trainer/configs/vae_tiny.yaml` with random weights. Each measurement is a process of its
own (`benchmarks/vae_child.py`) with one thread, so that its peak memory is its own, with all that it imports:

- `peak_rss_mb_60s`, `stream_memory_ratio_60s_over_5s`: 60 s of 256x144 at 24 frames a second, encoded and
  decoded as a stream, and over 5 s of it;
- `peak_rss_mb_1080p`, `peak_rss_mb_1080p_portrait`: 5 s of 1920x1080 and of 1080x1920 decoded;
- `stream_max_abs_error`: streamed against one pass, for pixels in [-1, 1] and latents;
- `chunks_max_abs_error`: two chunk sizes of a video against each other.
"""

import json
import subprocess
import sys
from pathlib import Path

from rich.table import Table

from kinora.bench.figures import Figures

CHILD = Path(__file__).with_name("vae_child.py")
LIMIT_MB = 8000
FPS = 24


def bench(*, quick: bool, seed: int) -> Figures:
    """Measure peak memory and error. A smoke test streams fewer and smaller pictures."""
    scale = 8 if quick else 1
    short, long = (round(seconds * FPS / scale / 4) for seconds in (5, 60))
    height, width = (side // scale // 8 * 8 for side in (1080, 1920))
    short_mb = child("round_trip", short, 144, 256, seed)["peak_mb"]
    long_trip, landscape, portrait = (
        child("round_trip", long, 144, 256, seed),
        child("decode", short, height, width, seed),
        child("decode", short, width, height, seed),
    )
    figures = {
        "peak_rss_mb_60s": long_trip["peak_mb"],
        "cpu_s_60s": long_trip["cpu_s"],
        "stream_memory_ratio_60s_over_5s": long_trip["peak_mb"] / short_mb,
        "peak_rss_mb_1080p": landscape["peak_mb"],
        "peak_rss_mb_1080p_portrait": portrait["peak_mb"],
        "cpu_s_1080p": landscape["cpu_s"],
        "peak_limit_mb": LIMIT_MB,
        **child("errors", 12, 96, 128, seed),
    }
    rows = Table(title="the VAE as a stream", box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in figures.items():
        rows.add_row(name, f"{value:.4g}")
    return Figures(figures=figures, text=rows)


def child(task: str, latents: int, height: int, width: int, seed: int) -> dict[str, float]:
    """Run one measurement. Raises ChildProcessError, with the last lines of its errors."""
    command = [sys.executable, str(CHILD), task, *map(str, (latents, height, width, seed))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChildProcessError(f"{task}: {done.stderr[-1000:]}")
    return json.loads(done.stdout.splitlines()[-1])
