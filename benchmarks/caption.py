"""Measure captioning by models of transformers: `kinora bench caption [--before REV]`.

Each measurement is a process of its own (`benchmarks/caption_child.py`) of one thread, in which the actor of
`kinora caption` captions the same short videos. Processor time, so that other load matters little. It is done
with the embedded model, which answers two prompts about a clip in some hundredths of a second, and with an
untrained one (`vlm_`) that reads 576 visual tokens a clip and answers three prompts, by 32 tokens each: it is
nearer to the models that people use, of which reading the frames takes most of the time on a processor.

- `clips_per_cpu_s`: clips per processor second of all that the actor does: it reads and decodes clips,
  prepares frames, runs the model, checks answers and writes rows;
- `model_s`: processor seconds in the model; `overhead` is the rest over it. `frames_s` of it prepares the
  frames for the model, and `decode_s` is of other threads;
- `ok`: clips with a caption.

With --before, `vlm_speedup` is over the older build with the same untrained model, measured in turns in the
same run. The embedded model of an older build is another one, and is not compared.

With the interpreter of an environment that has vLLM in KINORA_VLLM_PYTHON, `over_bare_vllm` is the speed of
captioning by vLLM over that of its bare `generate` on the same requests (`benchmarks/caption_vllm.py`).
"""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from rich.table import Table

import kinora
from benchmarks import caption_vllm
from captioner.prompts import load_prompt
from captioner.train.config import ModelConfig
from kinora.bench.before import Build, add_worktree, check_imports, checkout, resolve
from kinora.bench.figures import Figures
from video.encode import encode_mp4

CHILD = Path(__file__).with_name("caption_child.py")
VLLM_PYTHON = "KINORA_VLLM_PYTHON"
SPEEDUP_LIMIT, OVERHEAD_LIMIT = 2.0, 0.1
FRAMES, FPS, HEIGHT, WIDTH = 48, 16.0, 128, 192
_MODEL = ModelConfig(pixels=(225_000, 235_000), text_width=512, text_depth=8, text_heads=8, text_mlp=1536)
"""It reads 576 visual tokens a clip."""
_OF_CAPTIONS = ("ok", "before_ok")
"""Figures that say nothing of an untrained model."""


def bench(*, quick: bool, seed: int, before: str | None = None, turns: int = 3) -> Figures:
    """Measure this checkout, and with `before` also an older commit, in turns."""
    root = Path(kinora.__file__).resolve().parents[1]
    builds = {"now": Build("now", root)}
    if before is not None:
        commit = resolve(checkout(root), before)
        builds["before"] = Build(f"before ({commit[:9]})", add_worktree(root, commit))
        check_imports(builds["before"])
    turns = 1 if quick else turns
    with TemporaryDirectory() as name:
        clips, few, model = (Path(name, part) for part in ("clips", "few", "model"))
        write_clips(clips, 4 if quick else 64, seed)
        write_clips(few, 2 if quick else 16, seed, scale=2)
        caption_vllm.write_model(model, _MODEL, map(load_prompt, ("dense", "medium", "short")), seed)
        figures: dict[str, float] = {"turns": turns, "overhead_limit": OVERHEAD_LIMIT}
        if before is not None:
            figures["speedup_limit"] = SPEEDUP_LIMIT
        figures |= measure({"now": builds["now"]}, clips, turns=turns)
        measured = measure(builds, few, model, turns=turns)
        figures |= {f"vlm_{name}": value for name, value in measured.items() if name not in _OF_CAPTIONS}
    if python := os.environ.get(VLLM_PYTHON):
        figures |= caption_vllm.measure(python, quick=quick, seed=seed, turns=turns)
    return Figures(figures=figures, text=table(figures, before))


def write_clips(folder: Path, count: int, seed: int, *, scale: int = 1) -> None:
    """Write videos of a shape that moves over a ground, as in simulated worlds."""
    rng = np.random.default_rng(seed)
    folder.mkdir(exist_ok=True)
    for number in range(count):
        color = tuple(int(value) for value in rng.integers(40, 255, 3))
        frames_THWC = np.full((FRAMES, scale * HEIGHT, scale * WIDTH, 3), 90, np.uint8)
        for time, frame_HWC in enumerate(frames_THWC):
            center = (20 + (time * 3 + 7 * number) % (WIDTH - 40), 30 + 9 * (number % 8))
            cv2.circle(frame_HWC, (scale * center[0], scale * center[1]), scale * 16, color, -1)
        encode_mp4(frames_THWC, FPS, folder / f"clip-{number:03d}.mp4")


def measure(
    builds: dict[str, Build], folder: Path, model: Path | None = None, *, turns: int
) -> dict[str, float]:
    """Caption the clips with each build, in turns; return the figures of the turn that took least."""
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in builds}
    for turn in range(turns):
        for name in [*builds] if turn % 2 == 0 else [*builds][::-1]:
            output = builds[name].python("-P", CHILD, folder, *([model] if model else [])).stdout
            measured[name].append(json.loads(output.splitlines()[-1]))
    best = {name: min(results, key=lambda result: result["total_s"]) for name, results in measured.items()}
    figures = figures_of(best["now"])
    if "before" in best:
        before = figures_of(best["before"])
        figures |= {f"before_{name}": value for name, value in before.items()}
        figures["speedup"] = figures["clips_per_cpu_s"] / before["clips_per_cpu_s"]
    return figures


def figures_of(result: dict[str, Any]) -> dict[str, float]:
    """Return clips per processor second, and where the time went."""
    total_s, model_s = result["total_s"], result["model_s"]
    return {
        "clips_per_cpu_s": result["clips"] / total_s,
        "model_s": model_s,
        "overhead": (total_s - model_s) / model_s,
        "frames_s": result["frames_s"],
        "decode_s": result["decode_s"],
        "ok": result["ok"],
    }


def table(figures: dict[str, float], before: str | None) -> Table:
    """Return a row for each figure."""
    title = f"captioning, one thread{f', against {before}' if before else ''}"
    rows = Table(title=title, box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in figures.items():
        rows.add_row(name, f"{value:.4g}")
    return rows
