"""Evaluate every verb of a model: a row each, and one table."""

import json
import sys
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from kinora.evaluation.balanced import Vocabulary
from kinora.evaluation.cases import Setup
from kinora.evaluation.config import COMPARED, FEW, ROWS, SAMPLES, EvaluationConfig
from kinora.evaluation.figures import Figure
from kinora.evaluation.judging import row_of, run_row
from kinora.evaluation.results import write_row
from kinora.evaluation.table import markdown_table, terminal_table
from manifests.buckets import parse_bucket
from trainer.checkpoints import DIT, read_about
from trainer.config import SampleConfig
from trainer.model_files import pixels_digest
from worlds.palette import FAMILY_NAMES

NOT_OF_RESULTS = ("row", "processes", "cache")
"""Settings that results do not depend on."""
SHOWN = 24
"""About how many videos of a row are kept to look at: the first of each group."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """Figures of the rows that ran, and why the others did not."""

    figures: dict[str, list[Figure]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def numbers(self) -> dict[str, float]:
        """Return all figures by name."""
        return {
            name: value
            for own in self.figures.values()
            for figure in own
            for name, value in figure.to_json().items()
        }

    def table(self) -> Table:
        """Return the table for a terminal."""
        return terminal_table(self.figures, self.failed)


def evaluate_rows(
    config: EvaluationConfig, out: Path, *, seed: int, report: Callable[[str], None] | None = None
) -> Evaluation:
    """Run each row of the configuration, and write its results to `out` when it is done.

    A row that cannot run is in `failed`, and the others go on. Raises FileNotFoundError or ValueError where
    there is no model, or the configuration asks for what there is not.
    """
    report = report or _to_stderr
    rows, sample = config.rows, SampleConfig(steps=config.steps, guidance=config.guidance)
    about = read_about(config.model, DIT)
    setup = setup_of(config, about, seed)
    store = Path(config.cache) / pixels_digest(config.model)[:16]
    done = Evaluation()
    for name in rows:
        try:
            done.figures[name] = _run_row(name, config, setup, sample, store, out, report)
        except (ValueError, RuntimeError, OSError) as error:
            done.failed[name] = f"{type(error).__name__}: {error}"
            report(f"{name}: {done.failed[name]}")
        write_summary(out, config, done, seed, pixels_digest(config.model))
    return done


def _run_row(
    name: str,
    config: EvaluationConfig,
    setup: Setup,
    sample: SampleConfig,
    store: Path,
    out: Path,
    report: Callable[[str], None],
) -> list[Figure]:
    """Run one row, write its results, and return its figures."""
    row = row_of(name)
    cases = row.cases(setup)
    groups = len({case.group for case in cases})
    judged = run_row(
        Path(config.model),
        name,
        cases,
        sample,
        store=store,
        processes=config.processes,
        shown=max(3, SHOWN // max(1, groups)),
        on_batch=lambda count: report(f"{name}: {count} of {len(cases)}"),
    )
    figures = row.figures([each.outcome for each in judged])
    write_row(out / name, row, judged, figures, model=config.model, sample=sample)
    return figures


def setup_of(config: EvaluationConfig, about: dict[str, Any], seed: int) -> Setup:
    """Return what cases are made for: the shapes of the model's training clips, and what it knows.

    Raises:
        ValueError: for an unknown family, or a model without buckets of videos.
    """
    if unknown := [name for name in config.families if name not in FAMILY_NAMES]:
        raise ValueError(f"families: no {', '.join(unknown)}; there are {', '.join(FAMILY_NAMES)}")
    buckets = [parse_bucket(name) for name in about["buckets"]]
    longest = max((bucket.num_frames for bucket in buckets), default=1)
    if longest == 1:
        raise ValueError(f"{config.model}: trained on no videos, so its videos cannot be judged")
    samples = SAMPLES if config.samples is None else config.samples
    return Setup(
        samples=samples,
        few=FEW if config.samples is None else min(FEW, samples),
        seed=seed,
        families=config.families,
        vocabulary=Vocabulary(
            motions=config.motions, speeds=config.speeds, counts=config.counts, styles=config.styles
        ),
        sizes=tuple(sorted({(b.width, b.height) for b in buckets if b.num_frames == longest})),
        num_frames=longest,
        fps=float(about["fps"]),
        time_factor=int(read_about(config.model, "vae")["config"]["time_factor"]),
    )


def write_summary(out: Path, config: EvaluationConfig, done: Evaluation, seed: int, weights: str) -> None:
    """Write the table and all figures, with rows that an earlier run of the same model and settings wrote."""
    out.mkdir(parents=True, exist_ok=True)
    same = {name: value for name, value in asdict(config).items() if name not in NOT_OF_RESULTS}
    identity = json.loads(json.dumps({"settings": same, "seed": seed, "weights": weights}))
    found = {**_earlier_figures(out, identity, set(done.failed)), **done.figures}
    figures = {name: found[name] for name in (*ROWS, *COMPARED) if name in found}
    (out / "table.md").write_text(markdown_table(figures, done.failed))
    content = {
        **identity,
        "rows": list(figures),
        "failed": done.failed,
        "figures": Evaluation(figures=figures).numbers(),
    }
    (out / "results.json").write_text(json.dumps(content, indent=1) + "\n")


def _earlier_figures(out: Path, identity: dict[str, Any], failed: Collection[str]) -> dict[str, list[Figure]]:
    """Return the figures of rows in a folder, where they are of the same model and settings."""
    path = out / "results.json"
    earlier = json.loads(path.read_text()) if path.exists() else {}
    if any(earlier.get(name) != value for name, value in identity.items()):
        return {}
    rows = {
        name: json.loads((out / name / "row.json").read_text())
        for name in earlier["rows"]
        if name not in failed
    }
    return {name: [Figure(**fields) for fields in row["figures"]] for name, row in rows.items()}


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
