"""Render the report on a demo run as one HTML file."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from kinora.report import charts, contents, reading
from kinora.report.embed import Embedded, embed
from kinora.report.reading import Judged, Missing
from manifests.replacing import replacing

VIDEOS_SHOWN = 48
"""Maximum generated videos in the page."""
VIDEOS_OPEN = 15
CLIPS_OPEN = 6
"""Items shown before the fold: generated videos, and clips per captioner."""
VIDEOS_BYTES = 4_000_000
"""Maximum size of all embedded generated videos."""
MIN_PROMPT_ACCURACY = 0.8
"""Minimum Wilson lower bound of colour and direction to claim that the model follows prompts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Video:
    """A generated video and its verdict."""

    judged: Judged
    media: Embedded | Missing


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of the pipeline; None for unknown values."""

    name: str
    count: int | None
    what: str
    """Unit of `count`."""
    seconds: float | None


def write_report(demo_dir: Path) -> Path:
    """Write `demo_dir`/report.html and return its path. Sections without data say so.

    Raises FileNotFoundError if `demo_dir` is not a demo run.
    """
    if not any((demo_dir / name).exists() for name in ("figures.json", "dataset", "generated", "shards")):
        raise FileNotFoundError(f"{demo_dir}: not a demo run; create one with `kinora demo --out {demo_dir}`")
    return write(demo_dir / "report.html", render(demo_dir))


def write(path: Path, page: str) -> Path:
    """Write a page atomically and return its path."""
    with replacing(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def render(demo_dir: Path) -> str:
    """Render the report on the demo run in `demo_dir`."""
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
            journey=_pipeline_steps(dataset, shards, judged, figures),
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
    """Return the template variables of every page: style, script and its CSP digest, and time of writing."""
    asset = files("kinora.report")
    style, script = ((asset / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return {
        "style": Markup(style),
        "script": Markup(script),
        "script_digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }


def environment(*packages: str) -> Environment:
    """Return the Jinja environment with the filters and charts of all pages.

    Args:
        packages: packages whose templates are found too.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name, ".") for name in ("kinora.report", *packages)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["missing"] = lambda value: isinstance(value, Missing)
    environment.filters.update(clock=clock, words=words, plain=reading.format_value)
    environment.globals.update(
        step_chart=charts.step_chart,
        score_bar=charts.score_bar,
        parts_bar=charts.parts_bar,
        interval_bar=charts.interval_bar,
        stride=charts.stride,
        histogram=charts.histogram,
    )
    return environment


def _videos(judged: Sequence[Judged]) -> list[Video]:
    """Embed the first videos up to VIDEOS_SHOWN and VIDEOS_BYTES."""
    videos: list[Video] = []
    budget = VIDEOS_BYTES
    for row in judged[:VIDEOS_SHOWN]:
        media: Embedded | Missing
        try:
            media = embed(row.file.read_bytes())
        except (OSError, ValueError) as error:
            media = Missing(f"Cannot show {row.file.name}: {error}")
        budget -= media.size if isinstance(media, Embedded) else 0
        if budget < 0:
            break
        videos.append(Video(judged=row, media=media))
    return videos


def _run(demo_dir: Path, figures: Mapping[str, Any] | Missing, name: str) -> dict[str, Any]:
    """Return the curves and recorded figures of one training run."""
    folder = demo_dir / "runs" / name
    recorded = reading.part(figures, name)
    return {
        "curves": reading.losses(folder),
        "psnr": reading.psnr(folder),
        "recorded": {} if isinstance(recorded, Missing) else recorded,
    }


def _pipeline_steps(
    dataset: contents.Contents | Missing,
    shards: contents.Shards | Missing,
    judged: Sequence[Judged] | Missing,
    figures: Mapping[str, Any] | Missing,
) -> list[Step]:
    """Return the steps from raw files to generated videos with their counts and durations."""
    known = dataset if isinstance(dataset, contents.Contents) else None
    dit = reading.part(figures, "dit")
    steps = None if isinstance(dit, Missing) else dit.get("steps")
    packed = None if isinstance(shards, Missing) else shards.samples
    videos = None if isinstance(judged, Missing) else len(judged)
    recorded = reading.part(figures, "seconds")
    spent = {} if isinstance(recorded, Missing) else _parts(recorded)

    def step(name: str, count: int | None, what: str, *parts: str) -> Step:
        durations = [spent[part] for part in parts if part in spent]
        return Step(name=name, count=count, what=what, seconds=sum(durations) if durations else None)

    return [
        step("raw", known and known.sources, "files", "render"),
        step("shots", known and known.clips, "clips found", "curate"),
        step("kept", known and known.kept, "clips cut"),
        step("captioned", known and known.captioned, "captions", "caption"),
        step("shards", packed, "samples packed", "pack"),
        step("model", steps, "steps of the DiT", "train vae", "encode", "train dit"),
        step("video", videos, "videos evaluated", "generate"),
    ]


def _outcome(
    figures: Mapping[str, Any] | Missing,
    scores: Sequence[reading.Score] | Missing,
    dataset: contents.Contents | Missing,
) -> str:
    """Summarize the run in one sentence, from measured figures only."""
    start = "From raw video" if isinstance(dataset, Missing) else f"From {dataset.sources} raw files"
    if isinstance(figures, Missing) or isinstance(scores, Missing):
        return f"{start}: no evaluation in this run."
    main = [score for score in scores if score.attribute in ("colour", "direction")]
    follows_prompts = len(main) == 2 and all((score.low or 0) >= MIN_PROMPT_ACCURACY for score in main)
    shares = " and ".join(f"{score.attribute} {score.accuracy:.2f}" for score in main or scores[:2])
    model = (
        "a text-to-video model that follows its prompts"
        if follows_prompts
        else "a text-to-video model trained from scratch"
    )
    videos = f" on {scores[0].n} prompts" if scores[0].n else ""
    seconds = reading.part(figures, "seconds")
    time = "" if isinstance(seconds, Missing) else f", {clock(total(seconds))}"
    machine = reading.part(figures, "machine")
    cores = None if isinstance(machine, Missing) else machine.get("cores") or machine.get("cpus")
    where = f" on {cores} CPU cores" if cores else ""
    return f"{start} to {model}: {shares}{videos}{time}{where}."


def total(seconds: Mapping[str, Any]) -> float:
    """Return the recorded total, or the sum of all parts."""
    recorded = reading.number(seconds.get("total"))
    return recorded if recorded is not None else sum(_parts(seconds).values())


def _parts(seconds: Mapping[str, Any]) -> dict[str, float]:
    """Return the seconds of each part, without the total."""
    numbers = {name: reading.number(value) for name, value in seconds.items() if name != "total"}
    return {name: value for name, value in numbers.items() if value is not None}


def clock(seconds: float) -> str:
    """Format a duration with non-breaking spaces: `0.4 s`, `42 s`, `11 min 20 s`."""
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
    """Format a key as words: `too_short` becomes `too short`."""
    return re.sub(r"[_\s]+", " ", key).strip()
