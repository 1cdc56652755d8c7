"""Score a captioner on held-out simulated worlds of all families, encoded as MP4."""

import io
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from captioner.captions import ClipFrames, caption_clips
from captioner.embedded import DENSE_PROMPT, SHORT_PROMPT
from captioner.prompts import load_prompt
from captioner.protocol import Captioner
from kinora.training.caption_worlds import sample_clip
from manifests.ranges import PositiveInt, check_ranges
from manifests.records import Caption, Outcome
from video.encode import encode_mp4
from video.frames import read_clip
from worlds import families
from worlds.claims import CaptionScore, score_claims
from worlds.family import AnyWorld
from worlds.palette import FAMILY_NAMES

SIZES = ((64, 64), (80, 80), (128, 128), (160, 160), (96, 54), (160, 90), (320, 180), (54, 96), (90, 160))
"""Width and height of the held-out clips, including sizes not in training."""
RATES = (8.0, 12.0)
"""Frame rates of the families that training renders at few rates."""
SEEN_S = 3.75
"""Time up to which all that captions state is seen, as in training."""
UNSEEN_EVERY = 3
"""One clip of so many, in each family, has a combination that no training has."""
MAX_DRAWS = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreConfig:
    """Held-out worlds to score on."""

    n: PositiveInt = 240
    """Number of clips, of all families in turn; every third of a family has an unseen combination."""
    families: tuple[str, ...] = FAMILY_NAMES
    """Families of worlds."""
    seed: int = 1_000_003
    """Random seed; held-out worlds are disjoint from training worlds for any seed."""
    crf: int = 23
    """H.264 quality of the encoded clips."""

    __post_init__ = check_ranges


def score_captioner(captioner: Captioner, config: ScoreConfig) -> dict[str, Any]:
    """Return claim precision, recall and F1 of dense captions, in all and by family; short ones; and speed.

    Recall of short captions is relative to the claims of a ground-truth short caption. A caption that is not
    OK makes no claims.

    Raises:
        ValueError: for a family that does not exist.
    """
    if unknown := sorted({*config.families} - {*families.FAMILIES}):
        raise ValueError(f"families: no family {unknown[0]}; there are {', '.join(families.FAMILIES)}")
    worlds = [held_out_world(config, number) for number in range(config.n)]
    clips = [held_out_clip(world, str(k), config.crf) for k, world in enumerate(worlds)]
    started = time.monotonic()
    captions = caption_clips(
        captioner, clips, dense=load_prompt(DENSE_PROMPT), short=load_prompt(SHORT_PROMPT)
    )
    seconds = time.monotonic() - started
    dense = [_judge(c.text, world) for c, world in zip(captions, worlds, strict=True)]
    short = [_judge(c.short, world) for c, world in zip(captions, worlds, strict=True)]
    expected = [
        families.parse_claims(world.family, families.short_caption(world, 0)) & families.claims(world)
        for world in worlds
    ]
    missed = [len(e & set(s.missed)) for e, s in zip(expected, short, strict=True)]
    unseen = [families.is_held_out(world) for world in worlds]
    by_family = {
        name: _family_scores(
            [(s, u) for s, u, w in zip(dense, unseen, worlds, strict=True) if w.family == name],
            [w for w in worlds if w.family == name],
        )
        for name in config.families
    }
    return {
        "n": config.n,
        "outcomes": dict(Counter(str(c.outcome) for c in captions)),
        **_totals(dense),
        "dense_claim_f1_unseen": _totals([s for s, u in zip(dense, unseen, strict=True) if u])[
            "dense_claim_f1"
        ],
        "short_claim_precision": _ratio(sum(s.supported for s in short), sum(s.num_claims for s in short)),
        "short_claim_recall": round(1 - _ratio(sum(missed), sum(map(len, expected))), 4),
        "perfect_dense": _ratio(sum(_is_perfect(s) for s in dense), len(dense)),
        "families": by_family,
        "words": _words(captions),
        "clips_per_s": round(config.n / seconds, 2),
    }


def held_out_world(config: ScoreConfig, number: int) -> AnyWorld:
    """Return held-out world `number`, of an even width and height, as H.264 requires."""
    family = config.families[number % len(config.families)]
    unseen = number // len(config.families) % UNSEEN_EVERY == UNSEEN_EVERY - 1
    rng = Random(f"held out/{config.seed}/{family}/{number}")
    for _ in range(MAX_DRAWS):
        width, height = rng.choice(SIZES)
        world = sample_clip(
            rng,
            family,
            width=width // 2 * 2,
            height=height // 2 * 2,
            horizon_s=SEEN_S,
            unseen=unseen,
            rates=None if family == "shapes" else RATES,
        )
        if world is not None:
            return world
    raise ValueError(f"no held-out world of {family} in {MAX_DRAWS} draws: give a new seed")


def held_out_clip(world: AnyWorld, clip_id: str, crf: int) -> ClipFrames:
    """Render a world, encode it as MP4, and return the decoded frames."""
    return encode_and_decode(families.render(world), world.fps, clip_id, crf)


def encode_and_decode(frames_THWC: np.ndarray, fps: float, clip_id: str, crf: int = 23) -> ClipFrames:
    """Encode frames as MP4, and return the decoded ones."""
    file = io.BytesIO()
    encode_mp4(frames_THWC, fps, file, crf=crf)
    frames_THWC, times_T = read_clip(file.getvalue())
    times = tuple(float(t - times_T[0]) for t in times_T)
    return ClipFrames(clip_id=clip_id, media_id=clip_id, frames_THWC=frames_THWC, times_s=times)


def _judge(text: str | None, world: AnyWorld) -> CaptionScore:
    return score_claims(families.parse_claims(world.family, text or ""), families.claims(world))


def _totals(scores: Sequence[CaptionScore]) -> dict[str, float]:
    supported, claimed = sum(s.supported for s in scores), sum(s.num_claims for s in scores)
    true = sum(s.num_true for s in scores)
    return {
        "dense_claim_precision": _ratio(supported, claimed),
        "dense_claim_recall": _ratio(supported, true),
        "dense_claim_f1": _ratio(2 * supported, claimed + true),
        "unsupported_rate": _ratio(claimed - supported, claimed),
    }


def _family_scores(scores: Sequence[tuple[CaptionScore, bool]], worlds: Sequence[AnyWorld]) -> dict[str, Any]:
    every = [score for score, _ in scores]
    return {
        "n": len(every),
        **_totals(every),
        "dense_claim_f1_unseen": _totals([s for s, unseen in scores if unseen])["dense_claim_f1"],
        "perfect_dense": _ratio(sum(_is_perfect(s) for s in every), len(every)),
        "dense_recall_by_attribute": _by_attribute(worlds, every),
    }


def _by_attribute(worlds: Sequence[AnyWorld], scores: Sequence[CaptionScore]) -> dict[str, float]:
    true, missed = Counter(), Counter()
    for world, score in zip(worlds, scores, strict=True):
        true.update(_attribute(claim) for claim in families.claims(world))
        missed.update(_attribute(claim) for claim in score.missed)
    return {name: round(1 - missed[name] / true[name], 4) for name in sorted(true)}


def _attribute(claim) -> str:
    return claim.subject if claim.subject in ("background", "floor", "wall") else claim.attribute


def _is_perfect(score: CaptionScore) -> bool:
    return not score.unsupported and not score.missed


def _words(captions: list[Caption]) -> dict[str, int]:
    counts = sorted(len((c.text or "").split()) for c in captions if c.outcome is Outcome.OK) or [0]
    return {"fewest": counts[0], "median": counts[len(counts) // 2], "most": counts[-1]}


def _ratio(count: int, total: int) -> float:
    return round(count / total, 4) if total else 0.0
