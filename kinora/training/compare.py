"""Compare trainings of the transformer that differ in one thing, two seeds each, and judge their videos.

`python -m kinora.training.compare captions|scaling|framing --vae shipped --out DIR`

Each training is a `kinora train dit` command by the recipe of the weights that ship, on the same worlds, with
the same batches and seeds. The worlds are rendered first; `framing` crops them for one of its arms.
Run the command again to go on where it was stopped.
"""

import argparse
import itertools
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from kinora.evaluation.config import EvaluationConfig
from kinora.evaluation.figures import Figure, average, gain
from kinora.evaluation.plots import bars
from kinora.evaluation.rows import framing
from kinora.evaluation.run import evaluate_rows
from kinora.evaluation.table import markdown_table
from kinora.training.shipped import run_kinora, train_words
from kinora.training.shipped_worlds import Mixture, write_worlds
from trainer.run.logs import logged_rows
from worlds.palette import MOTIONS, SPEEDS

SEEDS = (0, 1)
"""Seeds of the trainings of each arm."""
SMALL = Mixture(
    sizes=(((64, 64), 1.0),),
    frames=((9, 1.0),),
    families=(("shapes", 1.0),),
    styles=(("flat", 1.0),),
)
"""Worlds of one to three things, small enough that a training is a matter of minutes."""
WHOLE = Mixture(
    sizes=tuple((size, 1.0) for size in framing.NATIVE),
    frames=((framing.NUM_FRAMES, 1.0),),
    families=(("shapes", 1.0),),
    styles=(("flat", 1.0),),
    things=((1, 1.0),),
)
"""Worlds of one thing that is wholly in frame, in every frame."""
CROPPED = replace(WHOLE, square=True)
"""The same worlds; many squares show a part of their thing."""


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
    worlds: Mixture = SMALL
    """What its worlds are drawn from."""


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
    parts: tuple[str, ...] = ()
    """Further numbers, each of some of the videos."""


def _batches_of(clips: int) -> tuple[str, ...]:
    """Return the flags for steps of `clips` clips, from the first step on of all shapes of frame."""
    each = ("--data.batch_size", str(clips), "--data.run_clips", str(clips))
    return (*each, "--data.warmup_bucket_steps", "0")


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
    # 30 squares of 48x48 have as many tokens as 18 frames of 80x48: nothing is scaled, so that things are
    # equally large in both
    "framing": Comparison(
        arms=(
            Arm(name="square", group=framing.NAME, worlds=CROPPED, flags=_batches_of(30)),
            Arm(name="native", group=framing.NAME, worlds=WHOLE, flags=_batches_of(18)),
        ),
        row=framing.NAME,
        verdict=framing.FRAMED,
        goal=0.15,
        loss=False,
        parts=(framing.IN_SQUARE, framing.IN_NATIVE),
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareConfig:
    """What is compared, and at what size."""

    name: str
    vae: str
    """Folder of the VAE, or `shipped`."""
    out: Path
    num_worlds: int = 8000
    """Worlds that each arm is trained on."""
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
    mixtures = {arm.worlds for arm in comparison.arms}
    shards = {mixture: _shards(config, mixture) for mixture in sorted(mixtures, key=_folder)}
    for seed in SEEDS:
        for arm in comparison.arms:
            _train(config, arm, shards[arm.worlds], seed)
            _judge(config, comparison, arm, seed)
    figures = _figures(config, comparison)
    (config.out / "table.md").write_text(markdown_table({config.name: figures}, {}))
    (config.out / "plot.svg").write_text(bars(figures, config.name))
    numbers = {name: value for figure in figures for name, value in figure.to_json().items()}
    arms = [
        {
            "name": arm.name,
            "row": comparison.row,
            "group": arm.group,
            "runs": [_run(config, arm, seed).name for seed in SEEDS],
        }
        for arm in comparison.arms
    ]
    content = {"comparison": config.name, "steps": config.steps, "seeds": SEEDS, "arms": arms}
    content |= {"figures": numbers, "table": [asdict(figure) for figure in figures]}
    (config.out / "results.json").write_text(json.dumps(content, indent=1) + "\n")
    return figures


def _keep_settings(config: CompareConfig) -> None:
    """Write what the trainings depend on. Raises ValueError where they were begun with something else."""
    kept = {name: str(value) for name, value in asdict(config).items() if name not in {"out", "processes"}}
    path = config.out / "comparison.json"
    if path.exists() and (earlier := json.loads(path.read_text())) != kept:
        changed = ", ".join(name for name in kept if earlier.get(name) != kept[name])
        raise ValueError(f"{config.out}: was begun with another {changed}; choose another --out")
    config.out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept, indent=1) + "\n")


def _run(config: CompareConfig, arm: Arm, seed: int) -> Path:
    return config.out / f"{arm.name}-{seed}"


def _folder(mixture: Mixture) -> str:
    return "squares" if mixture.square else "worlds"


def _shards(config: CompareConfig, mixture: Mixture) -> Path:
    """Return shards of a mixture, with what was left of them rendered and encoded."""
    root, processes = config.out / _folder(mixture), config.processes
    write_worlds(root, config.num_worlds, seed=0, processes=processes, progress=_say, mixture=mixture)
    run_kinora("encode", "--shards", str(root), "--vae", config.vae, "--processes", str(processes))
    return root


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _train(config: CompareConfig, arm: Arm, shards: Path, seed: int) -> None:
    run, steps = _run(config, arm, seed), config.steps * arm.times_steps
    words = train_words("dit", run, shards, seed=seed, processes=config.processes)
    length = ["--max_steps", str(steps), "--trainer.val_check_interval", str(config.steps)]
    run_kinora(*words, "--model.vae", config.vae, *arm.flags, *length)


def _judge(config: CompareConfig, comparison: Comparison, arm: Arm, seed: int) -> None:
    run = _run(config, arm, seed)
    evaluation = EvaluationConfig(
        model=str(run),
        row=comparison.row,
        samples=config.samples,
        families=("shapes",),
        motions=MOTIONS,
        speeds=tuple(SPEEDS),
        styles=tuple(style for style, _ in arm.worlds.styles),
        processes=config.processes,
        cache=str(run / "videos"),
    )
    done = evaluate_rows(evaluation, run / "judged", seed=0)
    if done.failed:
        raise ValueError(f"{run}: {'; '.join(done.failed.values())}")


def _figures(config: CompareConfig, comparison: Comparison) -> list[Figure]:
    """Return what each arm gains over the one before, prompt by prompt, then each arm's score and loss."""
    found: list[Figure] = []
    for before, after in itertools.pairwise(comparison.arms):
        name, goal = f"{config.name}_{after.name}_over_{before.name}", comparison.goal
        first, second = (_of_seeds(config, comparison, arm, comparison.verdict) for arm in (before, after))
        found.append(gain(name, _mean(first), _mean(second), goal=goal))
        for seed, one, other in zip(SEEDS, first, second, strict=True):
            found.append(gain(f"{name}_seed{seed}", one, other, goal=goal))
        for part in comparison.parts:
            first, second = (_of_seeds(config, comparison, arm, part) for arm in (before, after))
            found.append(gain(f"{name}_{part}", _mean(first), _mean(second), goal=None))
    for arm in comparison.arms:
        for number in (comparison.verdict, *comparison.parts):
            values, chances, ceilings = (
                _of_seeds(config, comparison, arm, number, of) for of in ("verdict", "chance", "ceiling")
            )
            name = f"{config.name}_{arm.name}" + (f"_{number}" if number in comparison.parts else "")
            found.append(average(name, _mean(values), chance=_mean(chances), ceiling=_mean(ceilings)))
        if comparison.loss:
            losses = [_loss(_run(config, arm, seed)) for seed in SEEDS]
            found.append(average(f"{config.name}_{arm.name}_loss", losses, at_most=True, digits=4))
    return found


def _of_seeds(
    config: CompareConfig, comparison: Comparison, arm: Arm, number: str, of: str = "verdict"
) -> list[list[float]]:
    """Return a number of each prompt that has it, in their order, for each seed."""
    found: list[list[float]] = []
    for seed in SEEDS:
        row = _run(config, arm, seed) / "judged" / comparison.row / "row.json"
        samples = json.loads(row.read_text())["samples"]
        own = sorted((each for each in samples if each["group"] == arm.group), key=lambda each: each["index"])
        found.append([float(each[of][number]) for each in own if number in each[of]])
    return found


def _mean(of_seeds: Sequence[Sequence[float]]) -> list[float]:
    """Return the mean of both seeds, prompt by prompt."""
    return [sum(values) / len(values) for values in zip(*of_seeds, strict=True)]


def _loss(run: Path) -> float:
    """Return the last validation loss, which is measured at fixed noise levels.

    Raises:
        ValueError: where no validation was logged.
    """
    found = {int(row["step"]): float(row["val/loss"]) for row in logged_rows(run) if row.get("val/loss")}
    if not found or not math.isfinite(found[max(found)]):
        raise ValueError(f"{run}: no validation loss was logged")
    return found[max(found)]


def main(args: Sequence[str]) -> int:
    """Parse `args` and compare."""
    parser = argparse.ArgumentParser(prog="python -m kinora.training.compare", description=__doc__)
    parser.add_argument("name", choices=[*COMPARISONS])
    parser.add_argument("--vae", required=True, help="folder of the compression network, or `shipped`")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and the results")
    for name, text in (
        ("steps", "optimizer steps of the first arm"),
        ("samples", "prompts that are judged"),
        ("num_worlds", "worlds that are trained on"),
        ("processes", "processes that train and judge"),
    ):
        default = CompareConfig.__dataclass_fields__[name].default
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=int, default=default, help=f"{text}; default: %(default)s")
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
