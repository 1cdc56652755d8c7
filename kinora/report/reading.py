"""Read the figures, losses and verdicts of a demo run. What is not there is `Missing`, never made up."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ATTRIBUTES = ("colour", "direction", "shape", "speed", "background", "count")
"""What the judge measures, in the order of the table; each is a key of figures.json."""

NOTHING = "no"
"""How a value that is not there reads before its attribute: `no colour`."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that the page would show and that is not there."""

    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """One row of the judge's table: shares of videos, None where figures.json lacks one."""

    attribute: str
    accuracy: float
    low: float | None
    """Lower end of the 95 % Wilson interval."""
    chance: float | None
    """What a model that ignores its prompt would get."""
    ceiling: float | None
    """What the judge gives real clips after the round trip through the VAE."""
    n: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One stage of the funnel: in = kept + dropped(reason) + failed(reason) + still to do."""

    name: str
    came_in: int
    kept: int
    dropped: Mapping[str, int]
    failed: Mapping[str, int]
    to_do: int

    @property
    def unaccounted(self) -> int:
        """How many items the sum misses; anything but 0 is a fault."""
        return self.came_in - self.kept - sum(self.dropped.values()) - sum(self.failed.values()) - self.to_do


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One column of a CSV log."""

    name: str
    steps: Sequence[int]
    values: Sequence[float]
    left_out: int
    """Logged values that were not finite."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """What the judge measured of one attribute of one video."""

    attribute: str
    ok: bool | None
    """None where the prompt says nothing of it, so that it was not judged."""
    measured: str
    wanted: str

    @property
    def seen(self) -> str:
        """What was measured, so that it stands without its attribute: `red`, `gray background`, `count 1`."""
        if self.attribute in ("colour", "shape", "direction") and self.measured != NOTHING:
            return self.measured
        return f"count {self.measured}" if self.attribute == "count" else f"{self.measured} {self.attribute}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One generated video and its verdict."""

    file: Path
    prompt: str
    about: str
    """Size, frames and seed."""
    checks: Sequence[Check]


def read_json(path: Path) -> Any | Missing:
    """Return the contents of a JSON file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Missing(f"{path.parent.name}/{path.name} is not there: the run ended before it was written.")
    except (OSError, ValueError) as error:
        return Missing(f"{path.parent.name}/{path.name} cannot be read ({error}).")


def figures(demo: Path) -> Mapping[str, Any] | Missing:
    """Return figures.json."""
    found = read_json(demo / "figures.json")
    if isinstance(found, Missing | Mapping):
        return found
    return Missing("figures.json does not hold an object of figures.")


def part(found: Mapping[str, Any] | Missing, name: str) -> Mapping[str, Any] | Missing:
    """Return the object `name` of the figures."""
    if isinstance(found, Missing):
        return found
    value = found.get(name)
    if isinstance(value, Mapping) and value:
        return value
    return Missing(f"figures.json holds no “{name}”.")


def scores(found: Mapping[str, Any] | Missing) -> list[Score] | Missing:
    """Return the judge's table: the attributes that were measured."""
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
    return rows or Missing("figures.json holds no verdict of the judge.")


def funnel(found: Mapping[str, Any] | Missing) -> list[Stage] | Missing:
    """Return the stages of the funnel as `manifests.conservation.funnel` counted them."""
    counts = part(found, "funnel")
    if isinstance(counts, Missing):
        return counts
    try:
        return stages(counts)
    except (KeyError, TypeError) as error:
        return Missing(f"The funnel in figures.json is of another version of Kinora ({error}).")


def stages(counts: Mapping[str, Any]) -> list[Stage]:
    """Return what `manifests.conservation.funnel` counted, stage by stage."""
    sources, clips, selection = counts["sources"], counts["clips"], counts["selection"]
    cut, captions = counts["cut"], counts["captions"]
    return [
        Stage(
            name="sources read",
            came_in=sources["listed"],
            kept=sources["ok"],
            dropped={},
            failed=sources["failed"],
            to_do=0,
        ),
        Stage(
            name="clips selected",
            came_in=clips["found"],
            kept=selection["kept"],
            dropped=selection["dropped"],
            failed={},
            to_do=selection["undecided"],
        ),
        Stage(
            name="clips cut",
            came_in=selection["kept"],
            kept=cut["done"],
            dropped={},
            failed=cut["failed"],
            to_do=cut["to_do"],
        ),
        Stage(
            name="clips captioned",
            came_in=cut["done"],
            kept=captions["ok"],
            dropped={},
            failed=captions["other"],
            to_do=captions["to_do"],
        ),
    ]


def losses(run: Path) -> list[Curve] | Missing:
    """Return the training and the validation loss that Lightning's CSVLogger wrote below `run`."""
    rows = _logged(run)
    chosen = (_plainest(rows, "train", "loss"), _plainest(rows, "val", "loss"))
    curves = [curve for name in chosen if name and (curve := _curve(name, rows)).steps]
    return curves or Missing(f"No metrics.csv below runs/{run.name} holds a loss.")


def fidelity(run: Path) -> list[Curve]:
    """Return the peak signal-to-noise ratio (dB) on validation clips, where `run` logged one."""
    rows = _logged(run)
    name = _plainest(rows, "val", "psnr")
    return [curve] if name and (curve := _curve(name, rows)).steps else []


def _logged(run: Path) -> list[dict[str, str]]:
    """Return the rows of every log below `run`, oldest first: a resumed run has more than one."""
    rows: list[dict[str, str]] = []
    for path in sorted(run.glob("**/metrics.csv"), key=lambda path: path.stat().st_mtime):
        with path.open(newline="", encoding="utf-8") as file:
            rows += csv.DictReader(file)
    return rows


def _plainest(rows: Sequence[Mapping[str, str]], split: str, what: str) -> str | None:
    """Return the shortest column of a split: `train/loss` rather than `train/loss_of_some_part`."""
    names = {name for row in rows for name in row if name and what in name and split in name}
    return min(names, key=lambda name: (len(name), name), default=None)


def _curve(name: str, rows: Sequence[Mapping[str, str]]) -> Curve:
    """Return one column over steps; of a step that was run again, the last value."""
    logged = {int(float(row["step"])): float(row[name]) for row in rows if row.get(name) and row.get("step")}
    finite = sorted((step, value) for step, value in logged.items() if math.isfinite(value))
    return Curve(
        name=name,
        steps=[step for step, _ in finite],
        values=[value for _, value in finite],
        left_out=len(logged) - len(finite),
    )


def judged(demo: Path) -> list[Judged] | Missing:
    """Return the generated videos with their verdicts, in the order of the list."""
    rows = read_json(demo / "generated" / "judged.json")
    if isinstance(rows, Missing):
        return rows
    return [_judged(demo, row) for row in rows] or Missing("generated/judged.json lists no video.")


def _judged(demo: Path, row: Mapping[str, Any]) -> Judged:
    return Judged(
        file=demo / "generated" / Path(row["file"]).name,
        prompt=row["prompt"],
        about=_about(row),
        checks=[
            Check(
                attribute="colour" if name == "color" else name,
                ok=check.get("ok"),
                measured=plain(check.get("measured")),
                wanted=plain(check.get("wanted")),
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
    """Return a finite number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def plain(value: Any) -> str:
    """Return a value of a JSON file as a person would write it."""
    if value is None:
        return NOTHING
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return " and ".join(map(plain, value)) or NOTHING
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain(inner)}" for name, inner in value.items())
    return str(value)
