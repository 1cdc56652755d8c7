"""Render the results of an evaluation (`kinora.evaluation.results`) as a folder with one HTML page."""

import json
import re
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Medium:
    """A video or an image beside the page."""

    file: str
    label: str

    @property
    def is_image(self) -> bool:
        return self.file.endswith(".png")


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
    figures: tuple[Figure, ...]
    groups: Mapping[str, Sequence[Card]]
    judged: int


def write_gallery(results: Path, out: Path, *, videos: int) -> Path:
    """Write `out`/index.html and the media that it shows; return the path of the page.

    Args:
        results: folder that `kinora bench sora` wrote.
        videos: most videos of a group, the first by index.

    Raises:
        FileNotFoundError: without results.
        ValueError: if `out` holds another page.
    """
    summary_path = results / "results.json"
    if not summary_path.is_file():
        raise FileNotFoundError(
            f"{results}: no results.json; make one with `kinora bench sora --out {results}`"
        )
    page = out / "index.html"
    if page.exists() and MARK not in page.read_text(encoding="utf-8", errors="replace"):
        raise ValueError(f"--out {out}: holds another index.html; choose another folder")
    summary = json.loads(summary_path.read_text())
    if (out / MEDIA).exists():
        shutil.rmtree(out / MEDIA)
    names = [name for name in ROWS if name in summary["rows"]]
    sections = [_section(results, out, name, videos) for name in names]
    return write(page, render(sections, summary))


def render(sections: Sequence[Section], summary: Mapping[str, Any]) -> str:
    """Render the page."""
    style = (files("kinora.gallery") / "gallery.css").read_text(encoding="utf-8")
    settings = summary["settings"]
    figures = [figure for section in sections for figure in section.figures]
    with_goal = [figure for figure in figures if figure.goal is not None]
    pages = environment("kinora.gallery")
    pages.filters["flags"] = _at_flags
    return pages.get_template("gallery.html.jinja").render(
        **frame(),
        gallery_style=Markup(style),
        mark=Markup(MARK),
        sections=sections,
        failed=summary["failed"],
        seed=summary["seed"],
        settings=settings,
        goals=len(with_goal),
        met=sum(bool(figure.met) for figure in with_goal),
        number=_number,
    )


def _section(results: Path, out: Path, name: str, videos: int) -> Section:
    content = json.loads((results / name / "row.json").read_text())
    groups: dict[str, list[Card]] = {}
    for sample in content["samples"]:
        cards = groups.setdefault(sample["group"], [])
        if "file" in sample and len(cards) < videos:
            cards.append(_card(results, out, sample))
    title, note = TITLES[name]
    return Section(
        name=name,
        title=title,
        note=note,
        figures=tuple(Figure(**fields) for fields in content["figures"]),
        groups={group: cards for group, cards in groups.items() if cards},
        judged=len(content["samples"]),
    )


def _card(results: Path, out: Path, sample: Mapping[str, Any]) -> Card:
    given = tuple(
        Medium(file=_copy(results, out, each["file"]), label=f"Given to {sample['prompt']}")
        for each in sample["given"]
    )
    command = sample["command"]
    for each in sample["given"]:
        command = command.replace(each["file"], f"{MEDIA}/{each['file']}")
    return Card(
        prompt=sample["prompt"],
        about=f"{sample['size']}, seed {sample['seed']}",
        video=Medium(file=_copy(results, out, sample["file"]), label=f"Generated: {sample['prompt']}"),
        given=given,
        checks=tuple(_check(name, value) for name, value in sample["verdict"].items() if name != "score"),
        command=command,
    )


def _check(name: str, value: bool | float) -> Check:
    words = name.replace("_", " ")
    if isinstance(value, bool):
        return Check(text=words, right=value)
    return Check(text=f"{words} {value:.3g}", right=None)


def _copy(results: Path, out: Path, file: str) -> str:
    """Copy a file of the results beside the page; return its path from there."""
    target = out / MEDIA / file
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(results / file, target)
    return f"{MEDIA}/{file}"


def _number(value: float | None, figure: Figure) -> str:
    return "–" if value is None else f"{value:.{min(figure.digits, 2)}f}"


def _at_flags(command: str) -> list[str]:
    """Divide a command before each flag, so that no line of the page ends within one."""
    return re.split(r" (?=--)", command)
