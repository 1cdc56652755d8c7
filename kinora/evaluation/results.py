"""Results of the evaluation on disk: what the gallery and the documentation read.

In a folder: `table.md`, `results.json`, and for each row `ROW/row.json` with every sample's verdicts,
`ROW/sheet.png`, `ROW/plot.svg`, `ROW/videos/` with the first videos of each group, and `ROW/given/` with what
they were prompted with.

Legend: T frames, H height, W width, C channels (RGB).
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from kinora.evaluation.cases import Case, Outcome, Row
from kinora.evaluation.figures import Figure
from kinora.evaluation.judging import Judged
from kinora.evaluation.plots import bars
from kinora.evaluation.sheets import Strip, contact_sheet, png_bytes
from manifests.replacing import replacing
from trainer.config import SampleConfig
from video.encode import encode_mp4

MIN_SIDE_PX = 16
"""Smaller frames are not written as videos."""
CRF = 16


def write_row(
    folder: Path,
    row: Row,
    judged: Sequence[Judged],
    figures: Sequence[Figure],
    *,
    model: str,
    sample: SampleConfig,
) -> None:
    """Write everything about one row."""
    for name in ("videos", "given"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    samples = [_sample(folder, row, each, model, sample) for each in judged]
    content = {"row": row.NAME, "figures": [asdict(figure) for figure in figures], "samples": samples}
    _write_whole(folder / "row.json", (json.dumps(content, indent=1) + "\n").encode())
    strips = [
        Strip(_title(each.outcome.case), _checks(each.outcome), each.frames_THWC)
        for each in judged
        if each.frames_THWC is not None
    ]
    _write_whole(folder / "sheet.png", png_bytes(contact_sheet(strips)))
    _write_whole(folder / "plot.svg", bars(figures, row.NAME).encode())


def _sample(folder: Path, row: Row, judged: Judged, model: str, sample: SampleConfig) -> dict[str, Any]:
    """Return the JSON of a sample, and write its video where it is shown."""
    outcome = judged.outcome
    case = outcome.case
    fields: dict[str, Any] = {
        "group": case.group,
        "index": case.index,
        "prompt": case.prompt,
        "seed": case.seed,
        "size": f"{case.world.width}x{case.world.height}",
        "verdict": _plain(outcome.verdict),
        "chance": _plain(outcome.chance),
        "ceiling": _plain(outcome.ceiling),
        "seconds": {name: round(seconds, 4) for name, seconds in outcome.seconds.items()},
    }
    if judged.frames_THWC is None:
        return fields
    ending = "png" if len(judged.frames_THWC) == 1 else "mp4"
    path = folder / "videos" / f"{case.name}.{ending}"
    write_media(path, judged.frames_THWC, case.world.fps)
    given = []
    for place, (flag, frames_THWC) in enumerate(row.given(case)):
        given_path = folder / "given" / f"{case.name}-{place}.{'png' if len(frames_THWC) == 1 else 'mp4'}"
        write_media(given_path, frames_THWC, case.world.fps)
        given.append({"flag": flag, "file": f"{row.NAME}/given/{given_path.name}"})
    command = command_of(row, case, [(each["flag"], each["file"]) for each in given], model, sample)
    return {**fields, "file": f"{row.NAME}/videos/{path.name}", "given": given, "command": command}


def write_media(path: Path, frames_THWC: np.ndarray, fps: float) -> None:
    """Write a video as MP4, or one frame as PNG."""
    if path.suffix == ".png":
        _write_whole(path, png_bytes(frames_THWC[0]))
    else:
        encode_mp4(frames_THWC, fps, path, crf=CRF)


def command_of(
    row: Row, case: Case, given: Sequence[tuple[str, str]], model: str, sample: SampleConfig
) -> str:
    """Return the command that makes the video of a case."""
    words = ["kinora generate", shlex.quote(case.prompt), "--model", shlex.quote(model)]
    for flag, file in given:
        words += [word for word in (flag, shlex.quote(file)) if word]
    words += [*row.flags(case), f"--seed {case.seed}"]
    if sample != SampleConfig():
        words += [f"--steps {sample.steps}", f"--guidance {sample.guidance:g}"]
    return " ".join(words)


def _title(case: Case) -> str:
    return f"{case.group} {case.index}: {case.prompt}"


def _checks(outcome: Outcome) -> list[tuple[str, bool]]:
    checks = [(name, value) for name, value in outcome.verdict.items() if isinstance(value, bool)]
    numbers = [
        f"{name} {value:.2f}" for name, value in outcome.verdict.items() if not isinstance(value, bool)
    ]
    return checks + [(number, True) for number in numbers if not number.startswith("score")]


def _plain(verdict: Any) -> dict[str, bool | float]:
    """Return a verdict of plain numbers."""
    return {
        name: value if isinstance(value, bool) else round(float(value), 4) for name, value in verdict.items()
    }


def _write_whole(path: Path, content: bytes) -> None:
    with replacing(path) as partial:
        partial.write_bytes(content)
