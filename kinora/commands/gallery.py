"""Write one page with playing videos of every verb: prompts, verdicts, and the command that makes each.

From `--results`, folders that `kinora bench sora` or a comparison of trainings wrote, or else by generating
and judging a few videos of each row.
"""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from kinora.cli.result import Result
from kinora.cli.subconfig import subconfig
from kinora.evaluation.config import EvaluationConfig
from kinora.gallery.page import write_gallery
from manifests.ranges import PositiveInt, check_ranges

WORDS = {"results": 1}
SAMPLES = 12
"""Videos of each group, where there are no results yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(EvaluationConfig):
    """Settings of a gallery; those of EvaluationConfig are for one without --results."""

    out: str = "gallery"
    """Folder for index.html and its videos; a gallery in it is replaced."""
    results: tuple[str, ...] = ()
    """A folder that `kinora bench sora` or `python -m kinora.training.compare` wrote; may be repeated."""
    videos: PositiveInt = 6
    """Most videos of each group, the first by index."""
    seed: int = 0
    """Seed of prompts and noise."""

    __post_init__ = check_ranges


def run(config: Config) -> Result:
    """Write the page."""
    out = Path(config.out)
    if config.results:
        page = write_gallery([Path(folder) for folder in config.results], out, videos=config.videos)
    else:
        page = _from_model(config, out)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return Result({"page": str(page), "bytes": size}, f"{page}  ({size / 1e6:.1f} MB with its videos)")


def _from_model(config: Config, out: Path) -> Path:
    from kinora.evaluation.run import evaluate_rows  # imported here because it loads torch

    evaluation = subconfig(config, EvaluationConfig)
    if evaluation.samples is None:
        evaluation = replace(evaluation, samples=SAMPLES)
    with tempfile.TemporaryDirectory() as folder:
        evaluate_rows(evaluation, Path(folder), seed=config.seed)
        return write_gallery([Path(folder)], out, videos=config.videos)
