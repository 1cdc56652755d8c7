"""Render the results of an evaluation (`kinora.evaluation.results`) as a folder with one HTML page."""

import json
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

from kinora.evaluation.config import ROWS
from kinora.evaluation.figures import Figure
from kinora.report.page import environment, frame, write

MARK = '<p class="mark">Kinora <span>gallery</span></p>'
"""Identifies a page that may be overwritten."""
MEDIA = "media"
"""Folder of the videos, beside the page."""
TITLES = {
    "text": ("Text to video", "Attributes that the prompt names, measured by tracking what is shown."),
    "animate": ("Animate an image", "The image is frame 0; the prompt says how it moves."),
    "extend": (
        "Extend forward and backward",
        "A given part, and a new one after or before it. Jumps at the join are over the median jump inside.",
    ),
    "loop": ("Loop", "Each video plays in a loop: no seam, no frame twice, and no running there and back."),
    "connect": ("Connect two videos", "Both given videos are kept; the part between them is new."),
    "edit": (
        "Edit by another prompt",
        "The given video after another prompt, at several strengths: the change, and the motion kept.",
    ),
    "images": ("Images", "Videos of one frame."),
    "sizes": ("Any size and duration", "Shapes of the training clips, and shapes that were never trained."),
    "draft": ("Draft, then larger", "First the draft, its pixels repeated; then the same video made larger."),
    "dense": ("Long prompts", "Dense captions of many claims: how many of them the video shows."),
    "expansion": (
        "Prompt expansion",
        "The same short prompts raw and expanded, with the same noise, judged by what the short one says.",
    ),
    "consistency": (
        "3D consistency",
        "Corners of a room are tracked and fitted to one rigid scene. Errors are held against real renders.",
    ),
    "permanence": (
        "Permanence",
        "The frames until a thing is hidden are given; it must come back as it was, in time and place.",
    ),
    "long": ("Long range", "A training clip is given and goes on for a minute: the same things, as many."),
    "acting": ("Acting on the world", "Strokes and bites that are made while the video runs, and stay."),
    "game": (
        "A digital world",
        "The first frame of a game and its goal are given: legal moves, goal reached.",
    ),
}
COMPARISONS = {
    "captions": (
        "Dense captions against short ones",
        "Two trainings that differ in their captions alone, judged by the claims of long prompts.",
    ),
    "scaling": (
        "Scaling",
        "The same training at base, 4x and 32x compute: what prompts name, and the loss.",
    ),
    "framing": (
        "Framing: native shapes against square crops",
        "Two trainings of equal compute on the same worlds, whole and cropped: is the thing wholly in frame?",
    ),
}
"""Titles and notes of the comparisons of trainings (`kinora.training.compare`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Medium:
    """A video or an image beside the page."""

    file: str
    label: str

    @property
    def is_image(self) -> bool:
        return self.file.endswith((".png", ".svg"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One verdict: right or wrong, or a number (`right` is None)."""

    text: str
    right: bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One generated video."""

    prompt: str
    about: str
    video: Medium
    given: tuple[Medium, ...]
    checks: tuple[Check, ...]
    command: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One row."""

    name: str
    title: str
    note: str
    settings: str
    figures: tuple[Figure, ...]
    groups: Mapping[str, Sequence[Card]]
    judged: int
    plot: Medium | None = None


def write_gallery(results: Sequence[Path], out: Path, *, videos: int) -> Path:
    """Write `out`/index.html and the media that it shows; return the path of the page.

    Args:
        results: folders that `kinora bench sora` or `kinora.training.compare` wrote; of two with the
            same row, the later one counts.
        videos: most videos of a group, the first by index.

    Raises:
        FileNotFoundError: without results.
        ValueError: if `out` holds another page.
    """
    summaries = {folder: _read_summary(folder) for folder in results}
    page = out / "index.html"
    if page.exists() and MARK not in page.read_text(encoding="utf-8", errors="replace"):
        raise ValueError(f"--out {out}: holds another index.html; choose another folder")
    if (out / MEDIA).exists():
        shutil.rmtree(out / MEDIA)
    sections: dict[str, Section] = {}
    failed: dict[str, str] = {}
    for folder, summary in summaries.items():
        if "comparison" in summary:
            name = summary["comparison"]
            sections[f"compare-{name}"] = _comparison(folder, out, summary, videos)
            continue
        for name in summary["rows"]:
            sections[name] = _section(folder, out, name, summary, videos)
        failed |= summary["failed"]
    order = [*ROWS, *(f"compare-{name}" for name in COMPARISONS)]
    ordered = [sections[name] for name in order if name in sections]
    return write(page, render(ordered, {name: why for name, why in failed.items() if name not in sections}))


def _read_summary(folder: Path) -> dict[str, Any]:
    path = folder / "results.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder}: no results.json; make one with `kinora bench sora --out {folder}`"
        )
    return json.loads(path.read_text())


def render(sections: Sequence[Section], failed: Mapping[str, str]) -> str:
    """Render the page, with the rows that failed and why."""
    style = (files("kinora.gallery") / "gallery.css").read_text(encoding="utf-8")
    figures = [figure for section in sections for figure in section.figures]
    with_goal = [figure for figure in figures if figure.goal is not None]
    pages = environment("kinora.gallery")
    pages.filters["flags"] = _at_flags
    return pages.get_template("gallery.html.jinja").render(
        **frame(),
        gallery_style=Markup(style),
        mark=Markup(MARK),
        sections=sections,
        failed=failed,
        goals=len(with_goal),
        met=sum(bool(figure.met) for figure in with_goal),
        number=_number,
    )


def _section(results: Path, out: Path, name: str, summary: Mapping[str, Any], videos: int) -> Section:
    samples, figures = _read_row(results / name)
    title, note = TITLES[name]
    settings = summary["settings"]
    return Section(
        name=name,
        title=title,
        note=note,
        settings=f"Model {settings['model']}, seed {summary['seed']}, {_sampling(settings)}.",
        figures=figures,
        groups=_groups(results, out, samples, videos),
        judged=len(samples),
    )


def _comparison(results: Path, out: Path, summary: Mapping[str, Any], videos: int) -> Section:
    """Return the section of a comparison, with the videos of each arm's first seed."""
    name = summary["comparison"]
    title, note = COMPARISONS[name]
    seeds = ", ".join(map(str, summary["seeds"]))
    groups: dict[str, Sequence[Card]] = {}
    judged = 0
    for arm in summary["arms"]:
        for run in arm["runs"]:
            samples, _ = _read_row(results / run / "judged" / arm["row"])
            own = [sample for sample in samples if sample["group"] == arm["group"]]
            judged += len(own)
            if arm["name"] not in groups:
                settings = json.loads((results / run / "judged" / "results.json").read_text())["settings"]
                words = f"--model {shlex.quote(settings['model'])}"
                for sample in own:
                    sample["command"] = sample.get("command", "").replace(words, f"--model {run}")
                shown = _groups(results / run / "judged", out, own, videos, at=Path(name, run))
                groups[arm["name"]] = shown.get(arm["group"], [])
    return Section(
        name=f"compare-{name}",
        title=title,
        note=note,
        settings=f"{summary['steps']:,} steps of the first arm, seeds {seeds}.",
        figures=tuple(Figure(**fields) for fields in summary["table"]),
        groups=groups,
        judged=judged,
        plot=Medium(file=_copy(results, out, "plot.svg", at=Path(name)), label=f"Plot of the table: {title}"),
    )


def _sampling(settings: Mapping[str, Any]) -> str:
    return f"{settings['steps']} steps, guidance {settings['guidance']:g}"


def _read_row(folder: Path) -> tuple[list[dict[str, Any]], tuple[Figure, ...]]:
    content = json.loads((folder / "row.json").read_text())
    return content["samples"], tuple(Figure(**fields) for fields in content["figures"])


def _groups(
    results: Path, out: Path, samples: Sequence[Mapping[str, Any]], videos: int, *, at: Path = Path()
) -> dict[str, list[Card]]:
    """Return the first videos of each group, with their files copied to the folder `at` of the media."""
    groups: dict[str, list[Card]] = {}
    for sample in samples:
        cards = groups.setdefault(sample["group"], [])
        if "file" in sample and len(cards) < videos:
            cards.append(_card(results, out, sample, at))
    return {group: cards for group, cards in groups.items() if cards}


def _card(results: Path, out: Path, sample: Mapping[str, Any], at: Path) -> Card:
    given = tuple(
        Medium(file=_copy(results, out, each["file"], at=at), label=f"Given to {sample['prompt']}")
        for each in sample["given"]
    )
    command = sample["command"]
    for each in sample["given"]:
        command = command.replace(each["file"], (Path(MEDIA) / at / each["file"]).as_posix())
    return Card(
        prompt=sample["prompt"],
        about=f"{sample['size']}, seed {sample['seed']}",
        video=Medium(file=_copy(results, out, sample["file"], at=at), label=f"Generated: {sample['prompt']}"),
        given=given,
        checks=tuple(_check(name, value) for name, value in sample["verdict"].items() if name != "score"),
        command=command,
    )


def _check(name: str, value: bool | float) -> Check:
    words = name.replace("_", " ")
    if isinstance(value, bool):
        return Check(text=words, right=value)
    return Check(text=f"{words} {value:.3g}", right=None)


def _copy(results: Path, out: Path, file: str, *, at: Path) -> str:
    """Copy a file of the results to the folder `at` of the media; return its path from the page."""
    target = out / MEDIA / at / file
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(results / file, target)
    return target.relative_to(out).as_posix()


def _number(value: float | None, figure: Figure) -> str:
    return "–" if value is None else f"{value:.{min(figure.digits, 2)}f}"


def _at_flags(command: str) -> list[str]:
    """Divide a command before each flag, so that no line of the page ends within one."""
    return re.split(r" (?=--)", command)
