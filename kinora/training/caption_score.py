"""Score a captioner on held-out simulated worlds, encoded as MP4."""

import io
import time
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from captioner.captions import ClipFrames, caption_clips
from captioner.embedded import DENSE_PROMPT, SHORT_PROMPT
from captioner.prompts import load_prompt
from captioner.protocol import Captioner
from kinora.training.caption_worlds import sample_clip
from manifests.records import Caption, Outcome
from video.encode import encode_mp4
from video.frames import read_clip
from worlds.claims import CaptionScore
from worlds.shapes.captions import claims, short_caption
from worlds.shapes.draw import render
from worlds.shapes.grammar import parse_claims
from worlds.shapes.judge import judge_caption
from worlds.shapes.truth import World

SIZES = ((64, 64), (80, 80), (128, 128), (160, 160), (96, 54), (160, 90), (320, 180), (54, 96), (90, 160))
"""Width and height of the held-out clips, including sizes not in training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreConfig:
    """Held-out worlds to score on."""

    n: int = 200
    """Number of clips."""
    seed: int = 1_000_003
    """Random seed; held-out worlds are disjoint from training worlds for any seed."""
    crf: int = 23
    """H.264 quality of the encoded clips."""


def score_captioner(captioner: Captioner, config: ScoreConfig) -> dict[str, Any]:
    """Return claim precision and recall of dense and short captions, recall by attribute, and speed.

    Recall of short captions is relative to the claims of a ground-truth short caption. A caption that is not
    OK makes no claims.
    """
    rng = Random(f"held out/{config.seed}")
    worlds = [_sample_even_sized(rng) for _ in range(config.n)]
    clips = [held_out_clip(world, str(k), config.crf) for k, world in enumerate(worlds)]
    started = time.monotonic()
    captions = caption_clips(
        captioner, clips, dense=load_prompt(DENSE_PROMPT), short=load_prompt(SHORT_PROMPT)
    )
    seconds = time.monotonic() - started
    outcomes = Counter(str(c.outcome) for c in captions)
    dense = [judge_caption(c.text or "", world) for c, world in zip(captions, worlds, strict=True)]
    short = [judge_caption(c.short or "", world) for c, world in zip(captions, worlds, strict=True)]
    expected = [parse_claims(short_caption(world, 0)) & claims(world) for world in worlds]
    missed = [len(e & set(s.missed)) for e, s in zip(expected, short, strict=True)]
    return {
        "n": config.n,
        "outcomes": dict(outcomes),
        "dense_claim_precision": _ratio(sum(s.supported for s in dense), sum(s.num_claims for s in dense)),
        "dense_claim_recall": _ratio(sum(s.supported for s in dense), sum(s.num_true for s in dense)),
        "short_claim_precision": _ratio(sum(s.supported for s in short), sum(s.num_claims for s in short)),
        "short_claim_recall": round(1 - _ratio(sum(missed), sum(map(len, expected))), 4),
        "dense_recall_by_attribute": _by_attribute(worlds, dense),
        "perfect_dense": _ratio(sum(_is_perfect(s) for s in dense), len(dense)),
        "words": _words(captions),
        "clips_per_s": round(config.n / seconds, 2),
    }


def held_out_clip(world: World, clip_id: str, crf: int) -> ClipFrames:
    """Render a world, encode it as MP4, and return the decoded frames."""
    return encode_and_decode(render(world), world.fps, clip_id, crf)


def encode_and_decode(frames_THWC: np.ndarray, fps: float, clip_id: str, crf: int = 23) -> ClipFrames:
    """Encode frames as MP4, and return the decoded ones."""
    file = io.BytesIO()
    encode_mp4(frames_THWC, fps, file, crf=crf)
    frames_THWC, times_T = read_clip(file.getvalue())
    times = tuple(float(t - times_T[0]) for t in times_T)
    return ClipFrames(clip_id=clip_id, media_id=clip_id, frames_THWC=frames_THWC, times_s=times)


def _sample_even_sized(rng: Random) -> World:
    """Sample a world with an even width and height, as H.264 requires."""
    width, height = rng.choice(SIZES)
    return sample_clip(rng, width=width // 2 * 2, height=height // 2 * 2)


def _by_attribute(worlds: list[World], scores: list[CaptionScore]) -> dict[str, float]:
    true, missed = Counter(), Counter()
    for world, score in zip(worlds, scores, strict=True):
        true.update(_attribute(claim) for claim in claims(world))
        missed.update(_attribute(claim) for claim in score.missed)
    return {name: round(1 - missed[name] / true[name], 4) for name in sorted(true)}


def _attribute(claim) -> str:
    return "background" if claim.subject == "background" else claim.attribute


def _is_perfect(score: CaptionScore) -> bool:
    return not score.unsupported and not score.missed


def _words(captions: list[Caption]) -> dict[str, int]:
    counts = sorted(len((c.text or "").split()) for c in captions if c.outcome is Outcome.OK) or [0]
    return {"fewest": counts[0], "median": counts[len(counts) // 2], "most": counts[-1]}


def _ratio(count: int, total: int) -> float:
    return round(count / total, 4) if total else 0.0
