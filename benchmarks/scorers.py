"""Measure the cost and accuracy of the clip scorers: `kinora bench scorers`.

Cost, in milliseconds of processor time per clip: plain decoding of its file at the analysis size, the extra
cost of the larger frames, and each scorer by itself; `NAME_over_decode` is a scorer's cost over that of
decoding.

Accuracy: raw videos of simulated worlds, half with burned-in lines and half with a mark in a corner, by their
truth. A clip counts as subtitled when a line is on for half of it. Undecidable clips (a mark over a static
picture) count as not detected; `NAME_told` is the share that was decidable. Every share has n and its Wilson
lower bound. NSFW has no positive examples: only false alarms are counted, on these videos, and on the real
clips of `kinora demo` where `make setup` fetched them.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np

from kinora.bench.figures import Figures
from kinora.demo.clips import extract
from kinora.evaluation.intervals import wilson_low
from pipeline.analysis import Analysis, decode_jpeg
from pipeline.analyze.task import analyze_file
from pipeline.config import AnalyzeConfig, ScorersConfig, SelectConfig
from pipeline.score.load import Scorer, load_scorers
from pipeline.select.rules import limit
from pipeline.sources.stat import stat_source
from video.config import SandboxConfig
from video.frames import read_frames
from video.probe import probe
from worlds.palette import FAMILY_NAMES
from worlds.raw.config import RawConfig
from worlds.raw.render import render_raw, truth_path
from worlds.raw.truth import timeline_of

T = TypeVar("T")

ON = ScorersConfig(text=True, logo=True, nsfw=True, aesthetic="heuristic")
TEXT_AREA = 0.01
"""Share of the frame above which a clip counts as having text."""
REPEATS = 3
CACHE = Path(".cache")
"""Folder into which `make setup` downloads the packages with real clips."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """Truth and scores of one clip."""

    subtitled: bool
    marked: bool
    columns: dict[str, Any]


@dataclass(kw_only=True, slots=True)
class Costs:
    """Total seconds, and the number of clips."""

    clips: int = 0
    decode_s: float = 0.0
    larger_s: float = 0.0
    scorers_s: dict[str, float]

    def figures(self) -> dict[str, float]:
        ms = 1000 / max(1, self.clips)
        figures = {"decode_ms": ms * self.decode_s, "larger_frames_ms": ms * self.larger_s}
        figures |= {f"{name}_ms": ms * seconds for name, seconds in self.scorers_s.items()}
        figures |= {f"{name}_over_decode": s / self.decode_s for name, s in self.scorers_s.items()}
        return {"clips_timed": self.clips, **figures}


def bench(*, quick: bool, seed: int) -> Figures:
    """Score worlds, and real clips where they were downloaded."""
    scorers = load_scorers(ON)
    costs = Costs(scorers_s=dict.fromkeys(scorers, 0.0))
    with TemporaryDirectory() as folder:
        config = RawConfig(
            num_videos=4 if quick else 60,
            shots_per_video=(1, 1) if quick else (1, 2),
            shot_seconds=(1.0, 1.5) if quick else (2.1, 3.0),
            short_side_px=180 if quick else 270,
            families=FAMILY_NAMES,
            styles=("flat", "textured"),
            still_rate=0.0,
            slate_rate=0.0,
            subtitle_rate=0.5,
            watermark_rate=0.5,
            seed=seed,
        )
        raw = Path(folder) / "raw"
        render_raw(raw, config)
        lines = [json.loads(line) for line in truth_path(raw, config).read_text().splitlines()]
        worlds = [scored for line in lines for scored in score_file(raw / line["file"], line, scorers, costs)]
        figures = costs.figures() | accuracy(worlds) | false_alarms("worlds", worlds)
        if not quick and (real := real_clips(Path(folder) / "real")):
            costs = Costs(scorers_s=dict.fromkeys(scorers, 0.0))
            found = [scored for path in real for scored in score_file(path, None, scorers, costs)]
            figures |= false_alarms("real", found)
            figures |= {f"real_{name}": value for name, value in costs.figures().items()}
    return Figures(figures=figures, text="\n".join(f"{n:<36}{v:10.4f}" for n, v in figures.items()))


def real_clips(folder: Path) -> list[Path]:
    """Return the demo's real clips; an empty list where `make setup` did not download them."""
    try:
        return extract(CACHE, folder)
    except FileNotFoundError:
        return []


def score_file(
    path: Path, line: dict[str, Any] | None, scorers: dict[str, Scorer], costs: Costs
) -> list[Scored]:
    """Decode, analyse and score one file, adding to `costs`; `line` is its truth."""
    config = AnalyzeConfig(scorers=ON)
    off = replace(config, scorers=ScorersConfig())
    plain_s, _ = _timed(lambda: analyse(path, off))
    with_s, analysis = _timed(lambda: analyse(path, config))
    costs.decode_s += _timed(lambda: decode_all(path, config))[0]
    costs.larger_s += with_s - plain_s
    scored = []
    for clip, jpegs in zip(analysis.clips, analysis.frames, strict=True):
        if not jpegs:
            continue
        costs.clips += 1
        frames = [decode_jpeg(jpeg) for jpeg in jpegs]
        columns: dict[str, Any] = {}
        for name, scorer in scorers.items():
            begin = time.process_time()
            columns |= scorer.score(frames)
            costs.scorers_s[name] += time.process_time() - begin
        scored.append(
            Scored(subtitled=subtitled(line, clip), marked=_has(line, "watermark"), columns=columns)
        )
    return scored


def analyse(path: Path, config: AnalyzeConfig) -> Analysis:
    """Analyse without a sandbox."""
    return analyze_file(stat_source(str(path)), config, SandboxConfig())


def decode_all(path: Path, config: AnalyzeConfig) -> int:
    """Decode at the analysis size; return the number of frames."""
    found = probe(str(path))
    scale = min(1.0, config.analysis_width_px / found.width)
    size_px = (max(1, round(found.height * scale)), max(1, round(found.width * scale)))
    return sum(1 for _ in read_frames(str(path), size_px=size_px))


def subtitled(line: dict[str, Any] | None, clip: dict[str, Any]) -> bool:
    """Return whether a subtitle is on for at least half of a clip, by the truth of its file."""
    if line is None:
        return False
    timeline, time_base = timeline_of(line), Fraction(line["time_base"])
    start, end = clip["start_pts"], clip["end_pts"]
    on = 0
    for defect in line["defects"]:
        if defect["kind"] == "subtitle":
            first, last = (timeline.pts_at(defect[f"{at}_frame"], time_base) for at in ("start", "end"))
            on += max(0, min(end, last) - max(start, first))
    return 2 * on >= end - start


def accuracy(scored: Sequence[Scored]) -> dict[str, float]:
    """Return precision and recall of text and of corner marks."""
    texts = [(s.subtitled or s.marked, s.columns["text_area"] >= TEXT_AREA) for s in scored]
    figures = precision_recall("text", texts)
    for name in ("corner_mark", "corner_logo"):
        figures |= precision_recall(name, [(s.marked, bool(s.columns[name])) for s in scored])
        figures[f"{name}_told"] = float(np.mean([s.columns[name] is not None for s in scored]))
    either = [(s.marked, bool(s.columns["corner_mark"] or s.columns["corner_logo"])) for s in scored]
    figures |= precision_recall("corner", either)
    languages = [s.columns["text_language"] for s in scored if s.columns["text_language"]]
    return figures | share("language_english", sum(code == "en" for code in languages), len(languages))


def precision_recall(name: str, pairs: Sequence[tuple[bool, bool]]) -> dict[str, float]:
    """Return both shares from (true, predicted) pairs."""
    hits = sum(true and predicted for true, predicted in pairs)
    precision = share(f"{name}_precision", hits, sum(predicted for _, predicted in pairs))
    return precision | share(f"{name}_recall", hits, sum(true for true, _ in pairs))


def false_alarms(name: str, scored: Sequence[Scored]) -> dict[str, float]:
    """Return shares of harmless clips that the default NSFW thresholds keep, drop and send to review."""
    drop, review = (limit(SelectConfig(), field) for field in ("max_nsfw", "nsfw_review"))
    scores = [s.columns["nsfw"] for s in scored]
    dropped = sum(score > drop for score in scores)
    reviewed = sum(review < score <= drop for score in scores)
    return {
        **share(f"nsfw_{name}_kept", len(scores) - dropped, len(scores)),
        f"nsfw_{name}_dropped": dropped / max(1, len(scores)),
        f"nsfw_{name}_reviewed": reviewed / max(1, len(scores)),
        f"nsfw_{name}_highest": max(scores, default=0.0),
    }


def share(name: str, hits: int, n: int) -> dict[str, float]:
    """Return a share with its n and Wilson lower bound."""
    return {name: hits / max(1, n), f"{name}_n": n, f"{name}_low": wilson_low(hits, n)}


def _has(line: dict[str, Any] | None, kind: str) -> bool:
    return line is not None and any(defect["kind"] == kind for defect in line["defects"])


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    """Return the minimum processor seconds over `REPEATS` calls, and the result of `work`."""
    runs = [_once(work) for _ in range(REPEATS)]
    return min(seconds for seconds, _ in runs), runs[0][1]


def _once(work: Callable[[], T]) -> tuple[float, T]:
    begin = time.process_time()
    result = work()
    return time.process_time() - begin, result
