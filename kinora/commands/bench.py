"""Run a benchmark: each measures one thing against a limit, a peer or an older commit in the same run."""

from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

import kinora
from kinora.bench.before import checkout, compare
from kinora.bench.figures import Figures, machine
from kinora.cli.result import Result
from kinora.cli.subconfig import subconfig
from kinora.evaluation.config import EvaluationConfig
from manifests.ranges import check_ranges

POSITIONAL = "name"
NAMES = (
    "caption",
    "captions",
    "curate",
    "dedup",
    "filters",
    "loader",
    "manifests",
    "sample",
    "safety",
    "sandbox",
    "scale",
    "scorers",
    "search",
    "serve",
    "shots",
    "sora",
    "training",
    "vae",
    "worlds",
)
"""Modules of `benchmarks`, each with `bench(*, quick: bool, seed: int) -> Figures`."""
SIDE_BY_SIDE = ("caption", "loader", "training")
"""Benchmarks that run the older build themselves, as it may lack them: `bench` takes `before` and `turns`."""

OF_A_MODEL = ("sample", "serve", "sora")
"""Benchmarks of a trained model: `bench` takes `config` and `out`."""
_OF_ALL = ("name", "quick", "seed", "before", "turns")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(EvaluationConfig):
    """Settings of a benchmark; those of EvaluationConfig and `out` are for benchmarks of a model."""

    name: str
    """Which benchmark."""
    out: str = ".bench/results"
    """Folder for tables, contact sheets and videos."""
    quick: bool = False
    """Run a smoke test of seconds, whose figures mean little."""
    seed: int = 0
    """Seed of all inputs that the benchmark makes."""
    before: str | None = None
    """A git revision to compare with: both builds run in turns; figures are medians over the turns."""
    turns: int = 1
    """How often each build runs; for --before."""

    __post_init__ = check_ranges


def run(config: Config) -> Result:
    """Measure. With --json the last line is one object: bench, figures, machine, seed, quick; with --before
    also turns, before (rev, hash, figures) and over_before, the ratio of each figure."""
    if config.name not in NAMES:
        raise ValueError(f"no benchmark `{config.name}`; there are: {', '.join(NAMES)}")
    if config.turns < 1:
        raise ValueError(f"--turns is {config.turns}: give 1 or more")
    if config.turns > 1 and config.before is None:
        raise ValueError("--turns is for --before REV")
    _check_model_flags(config)
    alone = config.before is None or config.name in SIDE_BY_SIDE
    figures, text, comparison = _measure(config) if alone else _compare(config, config.before or "")
    data = {
        "bench": config.name,
        "figures": figures,
        "machine": machine(),
        "seed": config.seed,
        "quick": config.quick,
        **comparison,
    }
    smoke = Text("a smoke test (--quick): these figures mean little", "yellow")
    return Result(data, Group(text, smoke) if config.quick else text)


def _check_model_flags(config: Config) -> None:
    """Raise ValueError for flags of the other kind of benchmark."""
    if config.name in OF_A_MODEL:
        if config.before is not None:
            raise ValueError(f"--before: `{config.name}` measures a trained model, not a build")
        return
    changed = [f.name for f in (*fields(EvaluationConfig), *fields(Config)) if f.name not in _OF_ALL]
    if given := [name for name in dict.fromkeys(changed) if getattr(config, name) != _default(name)]:
        flags = ", ".join(f"--{name}" for name in given)
        raise ValueError(f"{flags}: for {' and '.join(OF_A_MODEL)}, not for `{config.name}`")


def _default(name: str) -> Any:
    return next(field.default for field in fields(Config) if field.name == name)


def _measure(config: Config) -> tuple[dict[str, float], RenderableType, dict[str, Any]]:
    module = import_module(f"benchmarks.{config.name}")
    more: dict[str, Any] = {}
    if config.name in SIDE_BY_SIDE and config.before is not None:
        more = {"before": config.before, "turns": config.turns}
    if config.name in OF_A_MODEL:
        more = {"config": subconfig(config, EvaluationConfig), "out": Path(config.out)}
    done: Figures = module.bench(quick=config.quick, seed=config.seed, **more)
    return dict(done.figures), done.text, {}


def _compare(config: Config, rev: str) -> tuple[dict[str, float], RenderableType, dict[str, Any]]:
    arguments = ["--quick"] if config.quick else []
    arguments += ["--seed", str(config.seed)] if config.seed else []
    root = checkout(Path(kinora.__file__).resolve().parents[1])
    both = compare(root, config.name, rev, turns=config.turns, arguments=arguments)
    ratios = both.ratios()
    comparison = {
        "turns": both.turns,
        "before": {"rev": both.rev, "hash": both.commit, "figures": both.before},
        "over_before": ratios,
    }
    figures = {**both.now, "over_before": ratios["cpu_s"] or 0.0}
    return figures, both.table(), comparison
