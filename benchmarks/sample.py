"""Measure what videos of a trained model cost: `kinora bench sample --model DIR`.

For each size and duration, in a process of its own with one thread: processor time of one video (the second
one, after warming up) and peak memory. Also `kinora generate` from start to file, the share of the
transformer, the memory of decoding 1080p, and what a quarter of the steps loses on text control
(`kinora.evaluation.rows.text`).
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.table import Table

from kinora.bench.figures import Figures
from kinora.evaluation.cases import Outcome, Setup
from kinora.evaluation.config import EvaluationConfig
from kinora.evaluation.intervals import bootstrap_mean
from kinora.evaluation.judging import row_of, run_row
from kinora.evaluation.run import setup_of
from trainer.checkpoints import DIT, read_about
from trainer.config import FEW_STEPS, SampleConfig
from trainer.model_files import pixels_digest
from trainer.sample.frames import nearest_length

SIZES = ((64, 64), (96, 96), (128, 80), (256, 144))
SECONDS = (2.0, 4.0)
HD_SIZE, HD_SECONDS = (1920, 1080), 5.0
FEWER = 4
"""The few-step setting has this part of the steps."""
JUDGED, QUICK_JUDGED = 128, 4
"""Prompts on which few steps are held against all of them."""


def bench(*, quick: bool, seed: int, config: EvaluationConfig, out: Path) -> Figures:
    """Measure every size and duration, and the few-step setting."""
    about = read_about(config.model, DIT)
    setup, fps = setup_of(config, about, seed), float(about["fps"])
    shapes = [
        (size, nearest_length(seconds * fps, setup.time_factor))
        for size in (SIZES[:1] if quick else dict.fromkeys((*setup.sizes, *SIZES)))
        for seconds in (SECONDS[:1] if quick else SECONDS)
    ]
    costs = {shape: _child(config, "video", *shape) for shape in shapes}
    figures = _of_the_trained_shape(config, setup, costs)
    for ((width, height), frames), cost in costs.items():
        figures[f"seconds_{width}x{height}_{frames}"] = cost["cpu_s"]
        figures[f"peak_rss_mb_{width}x{height}_{frames}"] = cost["peak_mb"]
    if not quick:
        frames = nearest_length(HD_SECONDS * fps, setup.time_factor)
        figures["peak_rss_mb_1080p"] = _child(config, "decode", HD_SIZE, frames)["peak_mb"]
    figures |= _start_to_file(config, setup, fps)
    figures |= few_step_loss(config, setup, QUICK_JUDGED if quick else config.samples or JUDGED)
    return Figures(figures=figures, text=_table(costs, figures))


def _of_the_trained_shape(
    config: EvaluationConfig, setup: Setup, costs: dict[tuple[tuple[int, int], int], dict[str, float]]
) -> dict[str, float]:
    shape = (setup.sizes[0], setup.num_frames)
    cost = costs.get(shape) or _child(config, "video", *shape)
    return {
        "seconds_per_video": cost["cpu_s"],
        "peak_rss_mb": cost["peak_mb"],
        "transformer_share": cost["transformer_cpu_s"] / cost["cpu_s"],
    }


def _child(config: EvaluationConfig, task: str, size: tuple[int, int], frames: int) -> dict[str, float]:
    shape = [f"{size[0]}x{size[1]}", str(frames)]
    more = [str(config.steps), str(config.guidance)] if task == "video" else []
    done = _run(["-m", "benchmarks.sample_child", task, config.model, *shape, *more])
    return json.loads(done.splitlines()[-1])


def _start_to_file(config: EvaluationConfig, setup: Setup, fps: float) -> dict[str, float]:
    """Return the elapsed time of `kinora generate`, and of its imports alone."""
    width, height = setup.sizes[0]
    frames = nearest_length(2.0 * fps, setup.time_factor)
    begin = time.monotonic()
    _run(["-c", "import kinora.commands.generate"])
    imported = time.monotonic()
    with TemporaryDirectory() as folder:
        flags = ["--model", config.model, "--size", f"{width}x{height}", "--frames", str(frames)]
        flags += ["--steps", str(config.steps), "--guidance", str(config.guidance)]
        prompt = "a red circle moves left over a gray background"
        _run(["-m", "kinora", "generate", prompt, *flags, "--out", f"{folder}/out.mp4"])
    return {"import_s": imported - begin, "start_to_file_s": time.monotonic() - imported}


def _run(arguments: Sequence[str]) -> str:
    """Run Python and return what it prints. Raises RuntimeError with the end of its messages."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def few_step_loss(config: EvaluationConfig, setup: Setup, n: int) -> dict[str, float]:
    """Return what a quarter of the steps loses of right attributes, on the same prompts and noise.

    `few_step_loss` is the mean difference, `few_step_loss_high` its upper bound at 95 %.
    """
    sample = SampleConfig(steps=config.steps, guidance=config.guidance)
    few = replace(FEW_STEPS, steps=max(1, sample.steps // FEWER), guidance=sample.guidance)
    all_steps, few_steps = (_scores(config, setup, n, each) for each in (sample, few))
    losses = [before - after for before, after in zip(all_steps, few_steps, strict=True)]
    return {
        "few_steps": few.steps,
        "few_step_score": sum(few_steps) / n,
        "all_step_score": sum(all_steps) / n,
        "few_step_loss": sum(losses) / n,
        "few_step_loss_high": bootstrap_mean(losses).high,
        "few_step_loss_n": n,
    }


def _scores(config: EvaluationConfig, setup: Setup, n: int, sample: SampleConfig) -> list[float]:
    """Return the share of attributes that is right in each video."""
    row = row_of("text")
    cases = [case for case in row.cases(replace(setup, samples=n, few=1)) if case.group == "seen"]
    digest = pixels_digest(config.model)[:16]
    judged = run_row(
        Path(config.model),
        "text",
        cases,
        sample,
        store=Path(config.cache) / digest,
        processes=config.processes,
        shown=0,
    )
    outcomes: list[Outcome] = [each.outcome for each in judged]
    return [float(outcome.verdict["score"]) for outcome in outcomes]


def _table(costs: dict[Any, dict[str, float]], figures: dict[str, float]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("size", "frames", "processor s a video", "transformer", "peak MB"):
        table.add_column(heading, justify="left" if heading == "size" else "right")
    for ((width, height), frames), cost in costs.items():
        share = cost["transformer_cpu_s"] / cost["cpu_s"]
        cells = [str(frames), f"{cost['cpu_s']:.2f}", f"{share:.0%}", f"{cost['peak_mb']:.0f}"]
        table.add_row(f"{width}x{height}", *cells)
    names = (
        "start_to_file_s",
        "import_s",
        "peak_rss_mb_1080p",
        "few_steps",
        "few_step_loss",
        "few_step_loss_high",
    )
    for name in names:
        if name in figures:
            table.add_row(name, "", f"{figures[name]:.3f}")
    return table
