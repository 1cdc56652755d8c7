"""Measure the training steps of `tiny`: `kinora bench training [--before REV]`.

Each measurement is a process of its own (`benchmarks/training_child.py`) of one thread, on a set like the
demo's: three shapes of 17 frames, and stills. Processor time, so that other load matters little.

- `dit_clips_per_cpu_s`, `vae_clips_per_cpu_s`: clips per processor second of a training step, over its
  phases `dit_data_s`, `dit_forward_s`, `dit_backward_s`, `dit_optimizer_s` (clipping, Muon, AdamW and the
  EMA), each the median over the steps; `dit_validation_s` is of one clip at one sigma;
- `run_clips_per_cpu_s`: of `kinora train dit fit` in two processes, which average their gradients, with
  Lightning, logs and all that surrounds a step, but for what a run costs once.

With --before, `dit_speedup`, `vae_speedup` and `run_speedup` are over the older build, measured in turns in
the same run; `dit_loss_difference` is the largest relative difference between the losses of both builds at
the same steps, which are rounding: both train by the recipe of the older one.
"""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from rich.table import Table

import kinora
from benchmarks.loader_sets import Sample, encode, write_shards
from kinora.bench.before import Build, add_worktree, check_imports, checkout, resolve
from kinora.bench.figures import Figures
from manifests.records import Bucket

CHILD = Path(__file__).with_name("training_child.py")
VAE_CHILD = Path(__file__).with_name("loader_child.py")
SIZES = ((64, 64), (48, 80), (80, 48))
NETWORKS = ("dit", "vae")
SPEEDUP_LIMIT = 1.7


def bench(*, quick: bool, seed: int, before: str | None = None, turns: int = 3) -> Figures:
    """Measure this checkout, and with `before` also an older commit, in turns."""
    root = Path(kinora.__file__).resolve().parents[1]
    builds = {"now": Build("now", root)}
    if before is not None:
        commit = resolve(checkout(root), before)
        builds["before"] = Build(f"before ({commit[:9]})", add_worktree(root, commit))
        check_imports(builds["before"])
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_mixture(folder / "shards", 24 if quick else 192, seed)
        oldest = builds.get("before", builds["now"])  # each build reads what it writes
        shutil.copytree(oldest.root / "trainer" / "configs", folder / "configs")
        oldest.python("-P", VAE_CHILD, "vae", folder / "vae", seed)
        inputs = ["--shards", folder / "shards", "--vae", folder / "vae"]
        oldest.python("-m", "kinora", "encode", *inputs)
        figures = measure(builds, folder, 2 if quick else 24, seed, turns=1 if quick else turns)
        figures |= measure_runs(builds, folder, (2, 4) if quick else (4, 28), seed)
    return Figures(figures=figures, text=table(figures, before))


def write_mixture(root: Path, count: int, seed: int) -> None:
    """Write clips of 17 frames in three shapes, and a still in each 32 samples."""
    rng = np.random.default_rng(seed)
    samples = []
    for number in range(count):
        height, width = SIZES[number % len(SIZES)]
        ground_HWC = cv2.resize(rng.integers(0, 255, (6, 6, 3), np.uint8), (width, height))
        frames = 1 if number % 32 == 31 else 17

        def frame(time: int, ground_HWC: np.ndarray = ground_HWC) -> np.ndarray:
            rgb_HWC = ground_HWC.copy()
            cv2.circle(rgb_HWC, (8 + time % (rgb_HWC.shape[1] - 16), 24), 8, (255, 255, 255), -1)
            return rgb_HWC

        media = encode(map(frame, range(3 * frames + 3)), height, width)
        bucket = Bucket(num_frames=frames, height=height, width=width)
        text = f"a white disc moves right over ground {'of many colours ' * (number % 2)}{number % 7}"
        samples.append(Sample(f"clip-{number:03d}", media, bucket, frames, text))
    write_shards(root, samples)


def measure(builds: dict[str, Build], folder: Path, steps: int, seed: int, *, turns: int) -> dict[str, float]:
    """Take training steps of both networks with each build, in turns; return the figures, of the turn of each
    build that took least."""
    figures: dict[str, float] = {"turns": turns}
    for network in NETWORKS:
        measured: dict[str, list[dict[str, Any]]] = {name: [] for name in builds}
        for turn in range(turns):
            for name in [*builds] if turn % 2 == 0 else [*builds][::-1]:
                output = builds[name].python("-P", CHILD, network, folder, steps, seed).stdout
                measured[name].append(json.loads(output.splitlines()[-1]))
        best = {name: min(results, key=step_s) for name, results in measured.items()}
        figures |= figures_of(network, best["now"])
        if "before" in best:
            before = figures_of(network, best["before"])
            figures |= {f"before_{name}": value for name, value in before.items()}
            rate = f"{network}_clips_per_cpu_s"
            figures[f"{network}_speedup"] = figures[rate] / before[rate]
            pairs = zip(best["now"]["losses"], best["before"]["losses"], strict=True)
            figures[f"{network}_loss_difference"] = max(abs(now / old - 1) for now, old in pairs)
    return figures | ({"speedup_limit": SPEEDUP_LIMIT} if "before" in builds else {})


def step_s(result: dict[str, Any]) -> float:
    return sum(result["seconds"].values())


def figures_of(network: str, result: dict[str, Any]) -> dict[str, float]:
    """Return the clips per processor second of a step, and the seconds of its phases."""
    figures = {f"{network}_{phase}_s": seconds for phase, seconds in result["seconds"].items()}
    if "validation_s" in result:
        figures[f"{network}_validation_s"] = result["validation_s"]
    return {f"{network}_clips_per_cpu_s": result["clips"] / step_s(result), **figures}


def measure_runs(
    builds: dict[str, Build], folder: Path, lengths: tuple[int, int], seed: int
) -> dict[str, float]:
    """Run `kinora train dit fit` in two processes for two lengths; their difference is what steps cost."""
    rates = {}
    for name, build in builds.items():
        costs_s = [train(build, folder, folder / f"{name}-{steps}", steps, seed) for steps in lengths]
        rates[name] = 32 * (lengths[1] - lengths[0]) / (costs_s[1] - costs_s[0])
    figures = {"run_clips_per_cpu_s": rates["now"]}
    if "before" in rates:
        figures |= {
            "before_run_clips_per_cpu_s": rates["before"],
            "run_speedup": rates["now"] / rates["before"],
        }
    return figures


def train(build: Build, folder: Path, out: Path, steps: int, seed: int) -> float:
    """Return the processor seconds of a run of `steps`, without validation and sample videos."""
    recipe = folder / "configs" / "dit_tiny.yaml"
    flags = f"--max_steps {steps} --data.seed {seed} --data.warmup_bucket_steps 0 --trainer.devices 2"
    command = ["train", "dit", "fit", "--config", recipe, "--data.shards", folder / "shards", "--out", out]
    command += ["--model.vae", folder / "vae", "--watch.prompts", "[]", "--data.batch_size", 32]
    return build.python("-m", "kinora", *command, *flags.split()).cpu_s


def table(figures: dict[str, float], before: str | None) -> Table:
    """Return a row for each figure."""
    title = f"training steps of tiny, one thread{f', against {before}' if before else ''}"
    rows = Table(title=title, box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in figures.items():
        rows.add_row(name, f"{value:.4g}")
    return rows
