"""Assemble the report page of a demo run: everything inside one HTML file."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from kinora.report import charts, contents, reading
from kinora.report.embed import Embedded, embed
from kinora.report.reading import Judged, Missing

VIDEOS_SHOWN = 48
"""Generated videos in the page: the first so many of the judged list."""
VIDEOS_OPEN = 15
CLIPS_OPEN = 6
"""So many before the fold: of the generated videos, and of each captioner's clips."""
VIDEOS_BYTES = 4_000_000
"""All of them together add at most so much to the page."""
WANTED_LOW = 0.8
"""The Wilson low of colour and of direction from which on the page says that the model obeys."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Video:
    """One generated video with its verdict."""

    judged: Judged
    media: Embedded | Missing


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of the journey; None for what is not known."""

    name: str
    count: int | None
    what: str
    """What `count` counts."""
    seconds: float | None


def write_report(demo_dir: Path) -> Path:
    """Write `demo_dir`/report.html and return its path.

    A part of the run that is not there is named as missing in its section.
    Raises FileNotFoundError when `demo_dir` holds no demo run at all.
    """
    if not any((demo_dir / name).exists() for name in ("figures.json", "dataset", "generated", "shards")):
        raise FileNotFoundError(f"{demo_dir}: no demo run here; `kinora demo --out {demo_dir}` makes one")
    return write(demo_dir / "report.html", render(demo_dir))


def write(path: Path, page: str) -> Path:
    """Write a page whole: a reader finds the old one or the new one. Return its path."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)
    return path


def render(demo_dir: Path) -> str:
    """Return the page on the demo run in `demo_dir`."""
    figures = reading.figures(demo_dir)
    dataset = contents.read_dataset(demo_dir / "dataset")
    shards = contents.read_shards(demo_dir / "shards")
    judged = reading.judged(demo_dir)
    seconds = reading.part(figures, "seconds")
    scores = reading.scores(figures)
    return (
        environment()
        .get_template("page.html.jinja")
        .render(
            **frame(),
            demo=demo_dir.name,
            outcome=_outcome(figures, scores, dataset),
            journey=_journey(dataset, shards, judged, figures),
            figures={} if isinstance(figures, Missing) else figures,
            judged=judged,
            videos=[] if isinstance(judged, Missing) else _videos(judged),
            videos_open=VIDEOS_OPEN,
            clips_open=CLIPS_OPEN,
            scores=scores,
            funnel=reading.funnel(figures),
            dataset=dataset,
            shards=shards,
            runs={
                "Video compression network (VAE)": _run(demo_dir, figures, "vae"),
                "Diffusion transformer (DiT)": _run(demo_dir, figures, "dit"),
            },
            times=seconds if isinstance(seconds, Missing) else _parts(seconds),
            total_s=None if isinstance(seconds, Missing) else total(seconds),
            machine=reading.part(figures, "machine"),
            versions=reading.part(figures, "versions"),
        )
    )


def frame() -> dict[str, Any]:
    """Return what every page holds: style, script with the digest that allows it, time of writing."""
    asset = files("kinora.report")
    style, script = ((asset / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return {
        "style": Markup(style),
        "script": Markup(script),
        "script_digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }


def environment() -> Environment:
    """Return the templates of all pages, with the filters and figures that they use."""
    environment = Environment(
        loader=PackageLoader("kinora.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["missing"] = lambda value: isinstance(value, Missing)
    environment.filters.update(clock=clock, words=words, plain=reading.plain)
    environment.globals.update(
        step_chart=charts.step_chart,
        score_bar=charts.score_bar,
        parts_bar=charts.parts_bar,
        stride=charts.stride,
        histogram=charts.histogram,
    )
    return environment


def _videos(judged: Sequence[Judged]) -> list[Video]:
    """Embed the first videos, in the order of the list, while there is room."""
    found: list[Video] = []
    room = VIDEOS_BYTES
    for row in judged[:VIDEOS_SHOWN]:
        media: Embedded | Missing
        try:
            media = embed(row.file.read_bytes())
        except (OSError, ValueError) as error:
            media = Missing(f"{row.file.name} cannot be shown: {error}")
        room -= media.size if isinstance(media, Embedded) else 0
        if room < 0:
            break
        found.append(Video(judged=row, media=media))
    return found


def _run(demo_dir: Path, figures: Mapping[str, Any] | Missing, name: str) -> dict[str, Any]:
    """Return the curves of one training run and the figures that the demo noted about it."""
    folder = demo_dir / "runs" / name
    noted = reading.part(figures, name)
    return {
        "curves": reading.losses(folder),
        "fidelity": reading.fidelity(folder),
        "noted": {} if isinstance(noted, Missing) else noted,
    }


def _journey(
    dataset: contents.Contents | Missing,
    shards: contents.Shards | Missing,
    judged: Sequence[Judged] | Missing,
    figures: Mapping[str, Any] | Missing,
) -> list[Step]:
    """Return the steps from raw files to videos, each with the seconds of its parts of the run."""
    known = dataset if isinstance(dataset, contents.Contents) else None
    dit = reading.part(figures, "dit")
    steps = None if isinstance(dit, Missing) else dit.get("steps")
    packed = None if isinstance(shards, Missing) else shards.samples
    videos = None if isinstance(judged, Missing) else len(judged)
    noted = reading.part(figures, "seconds")
    spent = {} if isinstance(noted, Missing) else _parts(noted)

    def step(name: str, count: int | None, what: str, *parts: str) -> Step:
        found = [spent[part] for part in parts if part in spent]
        return Step(name=name, count=count, what=what, seconds=sum(found) if found else None)

    return [
        step("raw", known and known.sources, "files", "render"),
        step("shots", known and known.clips, "clips found", "curate"),
        step("kept", known and known.kept, "clips cut"),
        step("captioned", known and known.captioned, "captions", "caption"),
        step("shards", packed, "samples packed", "pack"),
        step("model", steps, "steps of the DiT", "train vae", "encode", "train dit"),
        step("video", videos, "videos judged", "generate"),
    ]


def _outcome(
    figures: Mapping[str, Any] | Missing,
    scores: Sequence[reading.Score] | Missing,
    dataset: contents.Contents | Missing,
) -> str:
    """Say in one sentence what came out; only what was measured."""
    start = "From raw video" if isinstance(dataset, Missing) else f"From {dataset.sources} raw files"
    if isinstance(figures, Missing) or isinstance(scores, Missing):
        return f"{start}: this run has no measured outcome."
    main = [score for score in scores if score.attribute in ("colour", "direction")]
    obeys = len(main) == 2 and all((score.low or 0) >= WANTED_LOW for score in main)
    shares = " and ".join(f"{score.attribute} {score.accuracy:.2f}" for score in main or scores[:2])
    model = "a model that draws what it is told" if obeys else "a text-to-video model trained from scratch"
    videos = f" on {scores[0].n} prompts" if scores[0].n else ""
    seconds = reading.part(figures, "seconds")
    time = "" if isinstance(seconds, Missing) else f", {clock(total(seconds))}"
    machine = reading.part(figures, "machine")
    cores = None if isinstance(machine, Missing) else machine.get("cores") or machine.get("cpus")
    where = f" on {cores} CPU cores" if cores else ""
    return f"{start} to {model}: {shares}{videos}{time}{where}."


def total(seconds: Mapping[str, Any]) -> float:
    """Return the whole time: `total` where it was noted, else the sum of the parts."""
    noted = reading.number(seconds.get("total"))
    return noted if noted is not None else sum(_parts(seconds).values())


def _parts(seconds: Mapping[str, Any]) -> dict[str, float]:
    """Return the seconds of each part, without their total."""
    numbers = {name: reading.number(value) for name, value in seconds.items() if name != "total"}
    return {name: value for name, value in numbers.items() if value is not None}


def clock(seconds: float) -> str:
    """Return a duration for people, which no line break tears apart: `0.4 s`, `42 s`, `11 min 20 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if seconds < 10:
        text = f"{seconds:.1f} s"
    elif seconds < 100:
        text = f"{seconds:.0f} s"
    elif hours:
        text = f"{hours} h {minutes} min"
    else:
        text = f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return text.replace(" ", "\u00a0")


def words(key: str) -> str:
    """Return a key or code as words: `too_short` is `too short`."""
    return re.sub(r"[_\s]+", " ", key).strip()
