"""Run a benchmark: each measures one thing against a limit or a peer in the same run."""

from dataclasses import dataclass
from importlib import import_module

from rich.console import Group
from rich.text import Text

from kinora.bench.figures import machine
from kinora.cli.result import Result

POSITIONAL = "name"
NAMES = ("curate", "dedup", "filters", "sandbox", "scale", "scorers", "shots", "worlds")
"""Modules of `benchmarks` with a function `bench(*, quick: bool, seed: int) -> Figures`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    name: str
    """Which benchmark."""
    quick: bool = False
    """A smoke test of seconds: its figures mean little."""
    seed: int = 0
    """Of everything that the benchmark makes."""


def run(config: Config) -> Result:
    """Measure. With --json the last line is one object: bench, figures, machine, seed, quick."""
    if config.name not in NAMES:
        raise ValueError(f"no benchmark `{config.name}`; there are: {', '.join(NAMES)}")
    done = import_module(f"benchmarks.{config.name}").bench(quick=config.quick, seed=config.seed)
    data = {
        "bench": config.name,
        "figures": dict(done.figures),
        "machine": machine(),
        "seed": config.seed,
        "quick": config.quick,
    }
    smoke = Text("a smoke test (--quick): these figures mean little", "yellow")
    return Result(data, Group(done.text, smoke) if config.quick else done.text)
