"""Measure a video, a caption, or a whole dataset's captions against what is really there.

A video against a prompt about `shapes`: `--video FILE --prompt TEXT`. A caption against a shot: `--caption
TEXT --truth FILE --source NAME`. All captions of a dataset: `--dataset URI --truth FILE`.

Captions of every family are judged; those of a clip that does not show what captions tell (a fall, once it is
over) are counted apart, by family and reason.
"""

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from kinora.cli.result import Exit, Result
from kinora.evaluation.intervals import wilson_low
from manifests import live_view
from manifests.dataset import Dataset
from video.frames import read_clip
from worlds.claims import CaptionScore
from worlds.raw.match import ClipTruth, clip_truth, load_truth
from worlds.shapes.grammar import prompt_truth
from worlds.shapes.judge import judge_video


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


@dataclass(kw_only=True, slots=True)
class _Tally:
    """What became of captions."""

    captions: int
    scores: dict[str, list[CaptionScore]] = field(default_factory=dict)
    """Those of each family."""
    not_judged: Counter[str] = field(default_factory=Counter)
    """By family and reason."""
    unmatched: int = 0

    def judge(self, text: str, clip: ClipTruth | None) -> None:
        """Count one caption."""
        if clip is None:
            self.unmatched += 1
        elif clip.untold:
            self.not_judged[f"{clip.world.family}: {clip.untold}"] += 1
        else:
            self.scores.setdefault(clip.world.family, []).append(clip.judge_caption(text))


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
    shot = next((shot for shot in shots[source] if shot.start_s <= at_s < shot.end_s), None)
    if shot is None:
        raise ValueError(f"{truth}: {source} shows no shot at {at_s} s")
    tally = _Tally(captions=1)
    tally.judge(text, clip_truth(shots, source, shot.start_s, shot.end_s))
    return _scored(tally)


def _dataset(uri: str, truth: str) -> Result:
    dataset, shots = Dataset.open(uri), load_truth(truth)
    clips = {row["clip_id"]: row for row in live_view.clips(dataset).to_pylist()}
    starts = {row["source_key"]: row["start_pts"] for row in live_view.sources(dataset).to_pylist()}
    captions = [row for row in live_view.captions(dataset).to_pylist() if row["text"] is not None]
    tally = _Tally(captions=len(captions))
    for row in captions:
        clip = clips[row["clip_id"]]
        name = Path(clip["uri"]).name
        if name not in shots:
            continue
        unit_s = Fraction(clip["time_base_num"], clip["time_base_den"])
        begin = starts[clip["source_key"]]
        span = [float((clip[edge] - begin) * unit_s) for edge in ("start_pts", "end_pts")]
        tally.judge(row["text"], clip_truth(shots, name, *span))
    return _scored(tally)


def _scored(tally: _Tally) -> Result:
    scores = [score for family in tally.scores.values() for score in family]
    figures: dict[str, Any] = {
        "captions": tally.captions,
        "judged": len(scores),
        "unmatched": tally.unmatched,
        "not_judged": dict(sorted(tally.not_judged.items())),
    }
    left_out = [f"not judged: {why}: {count}" for why, count in figures["not_judged"].items()]
    if not any(score.num_claims for score in scores):
        return Result(figures, "\n".join(["no caption that the truth knows", *left_out]), Exit.NOTHING)
    figures |= _precision_and_recall(scores)
    figures["unsupported"] = dict(Counter(claim.attribute for s in scores for claim in s.unsupported))
    figures["families"] = {
        family: {"judged": len(own), **_precision_and_recall(own)} for family, own in tally.scores.items()
    }
    table = Table(box=None, show_header=False)
    for name, value in figures.items():
        if name not in ("not_judged", "families"):
            table.add_row(name, f"{value:.3f}" if isinstance(value, float) else str(value))
    for family, own in figures["families"].items():
        told = f"{own['judged']} judged, precision {own['claim_precision']:.3f}"
        table.add_row(family, f"{told}, recall {own['claim_recall']:.3f}")
    for why, count in figures["not_judged"].items():
        table.add_row("not judged", f"{why}: {count}")
    return Result(figures, table)


def _precision_and_recall(scores: list[CaptionScore]) -> dict[str, Any]:
    said, right = sum(s.num_claims for s in scores), sum(s.supported for s in scores)
    true = sum(s.num_true for s in scores)
    return {
        "claims": said,
        "claim_precision": right / said if said else 0.0,
        "claim_precision_low": wilson_low(right, said),
        "claim_recall": right / true,
        "claim_recall_low": wilson_low(right, true),
    }
