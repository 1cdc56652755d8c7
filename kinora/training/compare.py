"""Compare trainings of the transformer that differ in one thing, two seeds each, and judge their videos.

`python -m kinora.training.compare captions --shards DIR --vae DIR --out DIR`

Each training is a `kinora train dit` command by the recipe of the weights that ship, on the same shards, with
the same batches and seeds. Run the command again to go on where it was stopped.
"""

import argparse
import csv
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kinora.evaluation.config import EvaluationConfig
from kinora.evaluation.figures import Figure, average, gain
from kinora.evaluation.plots import bars
from kinora.evaluation.run import evaluate_rows
from kinora.evaluation.table import markdown_table
from kinora.training.shipped import run_kinora, train_words
from worlds.palette import MOTIONS, SPEEDS, STYLES

SEEDS = (0, 1)
"""Seeds of the trainings of each arm."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One way to train."""

    name: str
    group: str
    """Group of the judged row that counts for this arm."""
    flags: tuple[str, ...] = ()
    """Flags that the other arms have not."""
    times_steps: int = 1
    """Steps over those of the comparison."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Ways to train, each held against the one before it."""

    arms: tuple[Arm, ...]
    row: str
    """Row of `kinora bench sora`."""
    verdict: str
    """Number of each video that is compared."""
    goal: float
    """What each arm should gain over the one before; 0 asks for an interval above 0."""
    loss: bool
    """Whether validation losses compare: they are measured with short captions."""


COMPARISONS = {
    "captions": Comparison(
        arms=(
            Arm(name="short", group="raw", flags=("--data.text.dense_prob", "0")),
            Arm(name="dense", group="expanded", flags=("--data.text.dense_prob", "1")),
        ),
        row="expansion",
        verdict="claims",
        goal=0.1,
        loss=False,
    ),
    "scaling": Comparison(
        arms=tuple(
            Arm(name=name, group="seen", times_steps=times)
            for name, times in (("base", 1), ("4x", 4), ("32x", 32))
        ),
        row="text",
        verdict="score",
        goal=0,
        loss=True,
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareConfig:
    """What is compared, and at what size."""

    name: str
    shards: Path
    """Shards with latents of `vae`, written by `kinora encode`."""
    vae: str
    """Folder of the VAE, or `shipped`."""
    out: Path
    steps: int = 4000
    """Optimizer steps of the first arm."""
    samples: int = 128
    """Prompts that the videos of each training are judged on."""
    processes: int = 2
    """Processes that train and judge, one thread each."""


def compare(config: CompareConfig) -> list[Figure]:
    """Run what is left of all trainings, judge each, and write `table.md`, `plot.svg` and `results.json`.

    Raises:
        ChildProcessError: where a training fails.
        ValueError: for an unknown comparison, or videos that cannot be judged.
    """
    if config.name not in COMPARISONS:
        raise ValueError(f"no comparison {config.name!r}: there are {', '.join(COMPARISONS)}")
    comparison = COMPARISONS[config.name]
    _keep_settings(config)
    for seed in SEEDS:
        for arm in comparison.arms:
            _train(config, arm, seed)
            _judge(config, comparison, arm, seed)
    figures = _figures(config, comparison)
    (config.out / "table.md").write_text(markdown_table({config.name: figures}, {}))
    (config.out / "plot.svg").write_text(bars(figures, config.name))
    numbers = {name: value for figure in figures for name, value in figure.to_json().items()}
    content = {"comparison": config.name, "steps": config.steps, "seeds": SEEDS, "figures": numbers}
    (config.out / "results.json").write_text(json.dumps(content, indent=1) + "\n")
    return figures


def _keep_settings(config: CompareConfig) -> None:
    """Write what the trainings depend on. Raises ValueError where they were begun with something else."""
    kept = {name: str(value) for name, value in asdict(config).items() if name not in ("out", "processes")}
    path = config.out / "comparison.json"
    if path.exists() and (earlier := json.loads(path.read_text())) != kept:
        changed = ", ".join(name for name in kept if earlier.get(name) != kept[name])
        raise ValueError(f"{config.out}: was begun with another {changed}; choose another --out")
    config.out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept, indent=1) + "\n")


def _run(config: CompareConfig, arm: Arm, seed: int) -> Path:
    return config.out / f"{arm.name}-{seed}"


def _train(config: CompareConfig, arm: Arm, seed: int) -> None:
    run, steps = _run(config, arm, seed), config.steps * arm.times_steps
    words = train_words("dit", run, config.shards, seed=seed, processes=config.processes)
    length = ["--max_steps", str(steps), "--trainer.val_check_interval", str(config.steps)]
    run_kinora(*words, "--model.vae", config.vae, *arm.flags, *length)


def _judge(config: CompareConfig, comparison: Comparison, arm: Arm, seed: int) -> None:
    run = _run(config, arm, seed)
    evaluation = EvaluationConfig(
        model=str(run),
        row=comparison.row,
        samples=config.samples,
        motions=MOTIONS,
        speeds=tuple(SPEEDS),
        styles=STYLES,
        processes=config.processes,
        cache=str(run / "videos"),
    )
    done = evaluate_rows(evaluation, run / "judged", seed=0)
    if done.failed:
        raise ValueError(f"{run}: {'; '.join(done.failed.values())}")


def _figures(config: CompareConfig, comparison: Comparison) -> list[Figure]:
    """Return what each arm gains over the one before, prompt by prompt, then each arm's score and loss."""
    scores = {
        arm.name: [_scores(_run(config, arm, seed), comparison, arm) for seed in SEEDS]
        for arm in comparison.arms
    }
    means = {
        name: [sum(pair) / len(pair) for pair in zip(*of_seeds, strict=True)]
        for name, of_seeds in scores.items()
    }
    found: list[Figure] = []
    for before, after in zip(comparison.arms, comparison.arms[1:], strict=False):
        name = f"{config.name}_{after.name}_over_{before.name}"
        found.append(gain(name, means[before.name], means[after.name], goal=comparison.goal))
        for seed, first, second in zip(SEEDS, scores[before.name], scores[after.name], strict=True):
            found.append(gain(f"{name}_seed{seed}", first, second, goal=comparison.goal))
    for arm in comparison.arms:
        found.append(average(f"{config.name}_{arm.name}", means[arm.name]))
        if comparison.loss:
            losses = [_loss(_run(config, arm, seed)) for seed in SEEDS]
            found.append(average(f"{config.name}_{arm.name}_loss", losses, at_most=True, digits=4))
    return found


def _scores(run: Path, comparison: Comparison, arm: Arm) -> list[float]:
    """Return the compared number of each prompt, in their order."""
    samples = json.loads((run / "judged" / comparison.row / "row.json").read_text())["samples"]
    own = sorted((each for each in samples if each["group"] == arm.group), key=lambda each: each["index"])
    return [float(each["verdict"][comparison.verdict]) for each in own]


def _loss(run: Path) -> float:
    """Return the last validation loss, which is measured at fixed noise levels.

    Raises:
        ValueError: where no validation was logged.
    """
    found: dict[int, float] = {}
    for path in run.glob("logs/**/metrics.csv"):
        with path.open() as file:
            for line in csv.DictReader(file):
                if line.get("val/loss"):
                    found[int(line["step"])] = float(line["val/loss"])
    if not found or not math.isfinite(found[max(found)]):
        raise ValueError(f"{run}: no validation loss was logged")
    return found[max(found)]


def main(args: Sequence[str]) -> int:
    """Parse `args` and compare."""
    parser = argparse.ArgumentParser(prog="python -m kinora.training.compare", description=__doc__)
    parser.add_argument("name", choices=[*COMPARISONS])
    parser.add_argument("--shards", type=Path, required=True, help="folder with latents of `kinora encode`")
    parser.add_argument("--vae", required=True, help="folder of the VAE of the latents, or `shipped`")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and the results")
    for name, text in (
        ("steps", "optimizer steps of the first arm"),
        ("samples", "prompts that are judged"),
        ("processes", "processes that train and judge"),
    ):
        default = CompareConfig.__dataclass_fields__[name].default
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{text}; default: %(default)s")
    config = CompareConfig(**vars(parser.parse_args(args)))
    try:
        figures = compare(config)
    except (ChildProcessError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(markdown_table({config.name: figures}, {}), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
