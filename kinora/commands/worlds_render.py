"""Render raw videos of simulated worlds, and their ground truth in a separate folder."""

from dataclasses import asdict, dataclass
from typing import Literal

from rich.console import Console
from rich.progress import Progress

from kinora.cli.result import Result
from kinora.cli.subconfig import subconfig
from worlds.raw.config import RawConfig, wild
from worlds.raw.render import render_raw, truth_path


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(RawConfig):
    out: str
    """Output folder for the videos: new or empty."""
    preset: Literal["plain", "wild"] = "plain"
    """`wild` enables transitions, more codecs, variable frame rates, defects, copies and damaged files.
    Options that differ from their defaults take precedence."""


def run(config: Config) -> Result:
    """Render every file."""
    raw = subconfig(config, RawConfig)
    if config.preset == "wild":
        raw = wild(raw)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("render", total=raw.num_videos)
        summary = render_raw(config.out, raw, on_file=lambda done: bar.update(task, completed=done))
    truth = truth_path(config.out, raw)
    text = (
        f"{summary.num_videos} videos ({summary.num_shots} shots, {summary.num_slates} slates, "
        f"{summary.seconds:.0f} s), {summary.num_stills} stills, {summary.num_copies} copies and "
        f"{summary.num_damaged} damaged copies in {config.out}\nground truth in {truth}"
    )
    return Result({**asdict(summary), "out": config.out, "truth": str(truth)}, text)
