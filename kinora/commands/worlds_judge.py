"""Score a video against a prompt, or captions against the ground truth of simulated worlds.

A video: `--video FILE --prompt TEXT` (family `shapes`). One caption: `--caption TEXT --truth FILE --source
NAME`. All captions of a dataset: `--dataset URI --truth FILE`.

Captions of clips that cannot show what captions describe, such as a fall that is already over, are counted
separately by family and reason.
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
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.records import longest_text
from video.frames import read_clip
from worlds.claims import CaptionScore
from worlds.raw.match import ClipTruth, clip_truth, load_truth
from worlds.shapes.grammar import prompt_truth
from worlds.shapes.judge import judge_video


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    video: str | None = None
    """Video to score."""
    prompt: str | None = None
    """Prompt that the video should follow."""
    caption: str | None = None
    """Caption to score."""
    dataset: str | None = None
    """Dataset whose newest captions are scored: a folder or s3://bucket/prefix."""
    at: int | str | None = None
    """Commit number to read the dataset at, or a time such as 2026-11-29T12:00 (UTC). Default: the latest."""
    truth: str | None = None
    """Ground truth (`truth.jsonl`) written by `kinora worlds render`."""
    source: str | None = None
    """Name of the raw video that the caption describes."""
    at_s: float = 0.0
    """Time in that video, in seconds."""


@dataclass(kw_only=True, slots=True)
class _Tally:
    """Caption scores, and captions that could not be scored."""

    captions: int
    scores: dict[str, list[CaptionScore]] = field(default_factory=dict)
    """By family."""
    not_judged: Counter[str] = field(default_factory=Counter)
    """Counts by family and reason."""
    unmatched: int = 0

    def judge(self, text: str, clip: ClipTruth | None) -> None:
        """Score one caption and count the result."""
        if clip is None:
            self.unmatched += 1
        elif clip.unobservable:
            self.not_judged[f"{clip.world.family}: {clip.unobservable}"] += 1
        else:
            self.scores.setdefault(clip.world.family, []).append(clip.judge_caption(text))


def run(config: Config) -> Result:
    """Score the given input. Raises ValueError for an incomplete combination of flags."""
    match config:
        case Config(video=str(video), prompt=str(prompt)):
            return _judge_video(video, prompt)
        case Config(caption=str(caption), truth=str(truth), source=str(source)):
            return _judge_caption(caption, truth, source, config.at_s)
        case Config(dataset=str(dataset), truth=str(truth)):
            return _judge_dataset(dataset, config.at, truth)
    raise ValueError(
        "give --video with --prompt, --caption with --truth and --source, or --dataset with --truth"
    )


def _judge_video(path: str, prompt: str) -> Result:
    frames_THWC, times_s = read_clip(path)
    fps = 1.0 / float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1.0
    expected = prompt_truth(prompt)
    if not expected.things and expected.background is None:
        raise ValueError(f"prompt {prompt!r}: the judge can measure nothing of it; name a colour and a shape")
    checks = judge_video(frames_THWC, fps, expected).checks()
    lines = [f"{'yes' if right else 'NO ':<4} {name}" for name, right in checks.items()]
    return Result({"video": path, "prompt": prompt, "checks": checks}, "\n".join(lines))


def _judge_caption(text: str, truth: str, source: str, at_s: float) -> Result:
    shots = load_truth(truth)
    if source not in shots:
        raise ValueError(f"{truth}: no video {source!r}")
    shot = next((shot for shot in shots[source] if shot.start_s <= at_s < shot.end_s), None)
    if shot is None:
        raise ValueError(f"{truth}: {source} has no shot at {at_s} s")
    tally = _Tally(captions=1)
    tally.judge(text, clip_truth(shots, source, shot.start_s, shot.end_s))
    return _result(tally)


def _judge_dataset(uri: str, at: int | str | None, truth: str) -> Result:
    dataset, shots = Dataset.open(uri, at=at), load_truth(truth)
    clips = {row["clip_id"]: row for row in LiveView(dataset).clips.to_pylist()}
    starts = {row["source_key"]: row["start_pts"] for row in LiveView(dataset).sources.to_pylist()}
    captions = [row for row in LiveView(dataset).captions().to_pylist() if longest_text(row) is not None]
    tally = _Tally(captions=len(captions))
    for row in captions:
        clip = clips[row["clip_id"]]
        name = Path(clip["uri"]).name
        if name not in shots:
            continue
        unit_s = Fraction(clip["time_base_num"], clip["time_base_den"])
        begin = starts[clip["source_key"]]
        span = [float((clip[edge] - begin) * unit_s) for edge in ("start_pts", "end_pts")]
        tally.judge(longest_text(row) or "", clip_truth(shots, name, *span))
    return _result(tally)


def _result(tally: _Tally) -> Result:
    scores = [score for family in tally.scores.values() for score in family]
    figures: dict[str, Any] = {
        "captions": tally.captions,
        "judged": len(scores),
        "unmatched": tally.unmatched,
        "not_judged": dict(sorted(tally.not_judged.items())),
    }
    left_out = [f"not judged: {why}: {count}" for why, count in figures["not_judged"].items()]
    if not any(score.num_claims for score in scores):
        return Result(figures, "\n".join(["no caption could be scored", *left_out]), Exit.NOTHING)
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
        precision = f"{own['judged']} judged, precision {own['claim_precision']:.3f}"
        table.add_row(family, f"{precision}, recall {own['claim_recall']:.3f}")
    for why, count in figures["not_judged"].items():
        table.add_row("not judged", f"{why}: {count}")
    return Result(figures, table)


def _precision_and_recall(scores: list[CaptionScore]) -> dict[str, Any]:
    claims, supported = sum(s.num_claims for s in scores), sum(s.supported for s in scores)
    true = sum(s.num_true for s in scores)
    return {
        "claims": claims,
        "claim_precision": supported / claims if claims else 0.0,
        "claim_precision_low": wilson_low(supported, claims),
        "claim_recall": supported / true,
        "claim_recall_low": wilson_low(supported, true),
    }
