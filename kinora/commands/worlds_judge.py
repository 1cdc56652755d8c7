"""Measure a video, a caption, or a whole dataset's captions against what is really there.

A video against a prompt: `--video FILE --prompt TEXT`. A caption against a shot: `--caption TEXT --truth FILE
--source NAME`. All captions of a dataset: `--dataset URI --truth FILE`.
"""

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from kinora.intervals import wilson_low
from kinora.result import Exit, Result
from manifests import views
from manifests.store import Dataset
from video.frames import read_clip
from worlds.raw.match import load_truth, world_of_clip
from worlds.shapes.grammar import prompt_truth
from worlds.shapes.judge import CaptionScore, judge_caption, judge_video


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    video: str | None = None
    """Video to measure."""
    prompt: str | None = None
    """What the video should show, in words."""
    caption: str | None = None
    """Caption to check."""
    dataset: str | None = None
    """Dataset whose newest captions to check."""
    truth: str | None = None
    """The `truth.jsonl` that `kinora worlds render` wrote."""
    source: str | None = None
    """Name of the raw file that the caption speaks of."""
    at_s: float = 0.0
    """Second of that file that the caption speaks of."""


def run(config: Config) -> Result:
    """Judge what was named. Raises ValueError when the flags name no pair."""
    match config:
        case Config(video=str(video), prompt=str(prompt)):
            return _video(video, prompt)
        case Config(caption=str(caption), truth=str(truth), source=str(source)):
            return _caption(caption, truth, source, config.at_s)
        case Config(dataset=str(dataset), truth=str(truth)):
            return _dataset(dataset, truth)
    raise ValueError(
        "name what to judge: --video with --prompt, --caption with --truth and --source, "
        "or --dataset with --truth"
    )


def _video(path: str, prompt: str) -> Result:
    frames_THWC, times_s = read_clip(path)
    fps = 1.0 / float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1.0
    asked = prompt_truth(prompt)
    if not asked.things and asked.background is None:
        raise ValueError(
            f"prompt {prompt!r}: says nothing that the judge can measure; name a colour and a shape"
        )
    checks = judge_video(frames_THWC, fps, asked).checks()
    lines = [f"{'yes' if right else 'NO ':<4} {name}" for name, right in checks.items()]
    return Result({"video": path, "prompt": prompt, "checks": checks}, "\n".join(lines))


def _caption(text: str, truth: str, source: str, at_s: float) -> Result:
    shots = load_truth(truth)
    if source not in shots:
        raise ValueError(f"{truth}: has no file {source!r}")
    world = world_of_clip(shots, source, at_s, at_s)
    if world is None:
        raise ValueError(f"{truth}: {source} shows nothing at {at_s} s")
    return _scored([judge_caption(text, world)], captions=1, unmatched=0)


def _dataset(uri: str, truth: str) -> Result:
    dataset, shots = Dataset.open(uri), load_truth(truth)
    clips = {row["clip_id"]: row for row in views.clips(dataset).to_pylist()}
    starts = {row["source_key"]: row["start_pts"] for row in views.sources(dataset).to_pylist()}
    scores: list[CaptionScore] = []
    unmatched = 0
    captions = [row for row in views.captions(dataset).to_pylist() if row["text"] is not None]
    for row in captions:
        clip = clips[row["clip_id"]]
        name = Path(clip["uri"]).name
        if name not in shots:
            continue
        unit_s = Fraction(clip["time_base_num"], clip["time_base_den"])
        begin = starts[clip["source_key"]]
        span = [float((clip[edge] - begin) * unit_s) for edge in ("start_pts", "end_pts")]
        world = world_of_clip(shots, name, *span)
        if world is None:
            unmatched += 1
        else:
            scores.append(judge_caption(row["text"], world))
    return _scored(scores, captions=len(captions), unmatched=unmatched)


def _scored(scores: list[CaptionScore], *, captions: int, unmatched: int) -> Result:
    said, right = sum(s.num_claims for s in scores), sum(s.supported for s in scores)
    true = sum(s.num_true for s in scores)
    if not scores or not said:
        return Result({"captions": captions, "judged": 0}, "no caption that the truth knows", Exit.NOTHING)
    figures: dict[str, Any] = {
        "captions": captions,
        "judged": len(scores),
        "unmatched": unmatched,
        "claims": said,
        "claim_precision": right / said,
        "claim_precision_low": wilson_low(right, said),
        "claim_recall": right / true,
        "claim_recall_low": wilson_low(right, true),
        "unsupported": dict(Counter(claim.attribute for s in scores for claim in s.unsupported)),
    }
    table = Table(box=None, show_header=False)
    for name, value in figures.items():
        table.add_row(name, f"{value:.3f}" if isinstance(value, float) else str(value))
    return Result(figures, table)
