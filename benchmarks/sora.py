"""Judge every way to prompt a trained model: `kinora bench sora --model DIR [--row NAME]`.

Rows are in `kinora.evaluation.rows`; docs/adr/0035-sora-figures.md says how each figure is defined. Generated
videos are kept in `--cache`, so that a run that was ended goes on; results, contact sheets and plots go to
`--out`.
"""

from dataclasses import replace
from pathlib import Path

from kinora.bench.figures import Figures
from kinora.evaluation.config import EvaluationConfig
from kinora.evaluation.run import evaluate_rows

QUICK = 4
"""Videos of each group of a smoke test."""


def bench(*, quick: bool, seed: int, config: EvaluationConfig, out: Path) -> Figures:
    """Evaluate the rows of a configuration.

    Raises:
        ValueError: if no row could run.
    """
    if quick and config.samples is None:
        config = replace(config, samples=QUICK)
    done = evaluate_rows(config, out, seed=seed)
    if not done.figures:
        reasons = "; ".join(f"{row}: {why}" for row, why in done.failed.items())
        raise ValueError(f"no row could run: {reasons}")
    return Figures(figures=done.numbers(), text=done.table())
