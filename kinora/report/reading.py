"""Read the figures, losses and verdicts of a demo run; absent ones become `Missing`."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ATTRIBUTES = ("colour", "direction", "shape", "speed", "background", "count")
"""Attributes in table order; keys of figures.json."""

NOTHING = "no"
"""Text of a missing value, as in `no colour`."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Content that is not available, and why."""

    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Accuracy of one attribute; None for values that figures.json lacks."""

    attribute: str
    accuracy: float
    low: float | None
    """Lower bound of the 95 % Wilson interval."""
    chance: float | None
    """Accuracy of a model that ignores the prompt."""
    ceiling: float | None
    """Accuracy on ground-truth videos after a VAE round trip."""
    n: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One stage of the funnel: in = kept + dropped(reason) + failed(reason) + pending."""

    name: str
    num_in: int
    kept: int
    dropped: Mapping[str, int]
    failed: Mapping[str, int]
    pending: int

    @property
    def unaccounted(self) -> int:
        """Number of items missing from the sum; nonzero is an error."""
        return self.num_in - self.kept - sum(self.dropped.values()) - sum(self.failed.values()) - self.pending


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One column of a training log."""

    name: str
    steps: Sequence[int]
    values: Sequence[float]
    num_not_finite: int
    """Number of logged values that were not finite."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """Verdict on one attribute of a video."""

    attribute: str
    ok: bool | None
    """None if the prompt does not mention the attribute."""
    measured: str
    wanted: str

    @property
    def seen(self) -> str:
        """The measured value with its attribute if needed: `red`, `gray background`, `count 1`."""
        if self.attribute in ("colour", "shape", "direction") and self.measured != NOTHING:
            return self.measured
        return f"count {self.measured}" if self.attribute == "count" else f"{self.measured} {self.attribute}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A generated video and its verdict."""

    file: Path
    prompt: str
    about: str
    """Size, frames and seed."""
    checks: Sequence[Check]


def read_json(path: Path) -> Any | Missing:
    """Parse a JSON file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Missing(f"{path.parent.name}/{path.name} does not exist: the run ended before it was written.")
    except (OSError, ValueError) as error:
        return Missing(f"{path.parent.name}/{path.name} cannot be read ({error}).")


def figures(demo: Path) -> Mapping[str, Any] | Missing:
    """Return figures.json."""
    found = read_json(demo / "figures.json")
    if isinstance(found, Missing | Mapping):
        return found
    return Missing("figures.json is not a JSON object.")


def part(found: Mapping[str, Any] | Missing, name: str) -> Mapping[str, Any] | Missing:
    """Return the object at key `name`."""
    if isinstance(found, Missing):
        return found
    value = found.get(name)
    if isinstance(value, Mapping) and value:
        return value
    return Missing(f"figures.json has no “{name}”.")


def scores(found: Mapping[str, Any] | Missing) -> list[Score] | Missing:
    """Return the scores of all measured attributes."""
    if isinstance(found, Missing):
        return found
    rows = [
        Score(
            attribute=name,
            accuracy=accuracy,
            low=number(found.get(f"{name}_low")),
            chance=number(found.get(f"{name}_chance")),
            ceiling=number(found.get(f"{name}_ceiling")),
            n=found.get(f"{name}_n", found.get("n")),
        )
        for name in ATTRIBUTES
        if (accuracy := number(found.get(name))) is not None
    ]
    return rows or Missing("figures.json has no scores.")


def funnel(found: Mapping[str, Any] | Missing) -> list[Stage] | Missing:
    """Return the stages of the recorded funnel."""
    counts = part(found, "funnel")
    if isinstance(counts, Missing):
        return counts
    try:
        return stages(counts)
    except (KeyError, TypeError) as error:
        return Missing(f"The funnel in figures.json is from another version of Kinora ({error}).")


def stages(counts: Mapping[str, Any]) -> list[Stage]:
    """Convert the counts of `manifests.conservation.funnel` to stages."""
    sources, clips, selection = counts["sources"], counts["clips"], counts["selection"]
    cut, captions = counts["cut"], counts["captions"]
    return [
        Stage(
            name="sources read",
            num_in=sources["listed"],
            kept=sources["ok"],
            dropped={},
            failed=sources["failed"],
            pending=0,
        ),
        Stage(
            name="clips selected",
            num_in=clips["found"],
            kept=selection["kept"],
            dropped=selection["dropped"],
            failed={},
            pending=selection["undecided"],
        ),
        Stage(
            name="clips cut",
            num_in=selection["kept"],
            kept=cut["done"],
            dropped={},
            failed=cut["failed"],
            pending=cut["to_do"],
        ),
        Stage(
            name="clips captioned",
            num_in=cut.get("media", cut["done"]),
            kept=captions["ok"],
            dropped={},
            failed=captions["other"],
            pending=captions["to_do"],
        ),
    ]


def losses(run: Path) -> list[Curve] | Missing:
    """Return the training and validation loss from the CSVLogger files below `run`."""
    rows = _logged(run)
    chosen = (_shortest_column(rows, "train", "loss"), _shortest_column(rows, "val", "loss"))
    curves = [curve for name in chosen if name and (curve := _curve(name, rows)).steps]
    return curves or Missing(f"No metrics.csv in runs/{run.name} has a loss.")


def psnr(run: Path) -> list[Curve]:
    """Return the validation PSNR in dB, if `run` logged one."""
    rows = _logged(run)
    name = _shortest_column(rows, "val", "psnr")
    return [curve] if name and (curve := _curve(name, rows)).steps else []


def _logged(run: Path) -> list[dict[str, str]]:
    """Return the rows of all logs below `run`, oldest first; a resumed run has several."""
    rows: list[dict[str, str]] = []
    for path in sorted(run.glob("**/metrics.csv"), key=lambda path: path.stat().st_mtime):
        with path.open(newline="", encoding="utf-8") as file:
            rows += csv.DictReader(file)
    return rows


def _shortest_column(rows: Sequence[Mapping[str, str]], split: str, what: str) -> str | None:
    """Return the shortest matching column name: `train/loss` rather than `train/loss_l1`."""
    names = {name for row in rows for name in row if name and what in name and split in name}
    return min(names, key=lambda name: (len(name), name), default=None)


def _curve(name: str, rows: Sequence[Mapping[str, str]]) -> Curve:
    """Return a column over steps; the last value wins for repeated steps."""
    logged = {int(float(row["step"])): float(row[name]) for row in rows if row.get(name) and row.get("step")}
    finite = sorted((step, value) for step, value in logged.items() if math.isfinite(value))
    return Curve(
        name=name,
        steps=[step for step, _ in finite],
        values=[value for _, value in finite],
        num_not_finite=len(logged) - len(finite),
    )


def judged(demo: Path) -> list[Judged] | Missing:
    """Return the generated videos and their verdicts."""
    rows = read_json(demo / "generated" / "judged.json")
    if isinstance(rows, Missing):
        return rows
    return [_judged(demo, row) for row in rows] or Missing("generated/judged.json is empty.")


def _judged(demo: Path, row: Mapping[str, Any]) -> Judged:
    return Judged(
        file=demo / "generated" / Path(row["file"]).name,
        prompt=row["prompt"],
        about=_about(row),
        checks=[
            Check(
                attribute="colour" if name == "color" else name,
                ok=check.get("ok"),
                measured=format_value(check.get("measured")),
                wanted=format_value(check.get("wanted")),
            )
            for name, check in (row.get("verdict") or {}).items()
        ],
    )


def _about(row: Mapping[str, Any]) -> str:
    size, frames, seed = row.get("size"), row.get("num_frames"), row.get("seed")
    known = [
        str(size).replace("x", "×") if size else "",
        f"{frames} frames" if frames else "",
        f"seed {seed}" if seed is not None else "",
    ]
    return ", ".join(text for text in known if text)


def number(value: Any) -> float | None:
    """Return a finite number as float, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def format_value(value: Any) -> str:
    """Format a JSON value as text."""
    if value is None:
        return NOTHING
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return " and ".join(map(format_value, value)) or NOTHING
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {format_value(inner)}" for name, inner in value.items())
    return str(value)
