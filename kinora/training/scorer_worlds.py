"""Pictures and captions of simulated worlds for the embedded scorer, and how well it tells them apart.

Legend: N clips, B pairs of a step, D embedding dimensions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
import torch

from captioner.claims.split import split_sentences
from captioner.embedded import FPS
from captioner.embedded_scorer import TILE_PX, TILES, EmbeddedScorer, mosaic
from captioner.train.config import ScorerConfig
from captioner.train.scorer import Pairs
from kinora.training.caption_score import SEEN_S, ScoreConfig, held_out_clip, held_out_world
from kinora.training.caption_worlds import (
    COMPRESSED_PROB,
    SIZES,
    WEIGHTS,
    compress,
    render_sampled,
    sample_clip,
)
from worlds import families
from worlds.family import AnyWorld

DENSE_PROB, SHORT_PROB = 0.35, 0.25
"""How often a text is a whole dense caption, or a short one; else it is a sentence of the dense one."""
RECALL_OF, RECALL_GROUPS = 64, 4
"""Clips that a caption is searched in, and how many such groups are measured."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pool:
    """Rendered clips."""

    worlds: list[AnyWorld]
    pictures_NHWC: np.ndarray
    """As `mosaic` makes them."""


def render_pool(config: ScorerConfig, report: Callable[[int], None] = lambda done: None) -> Pool:
    """Render training clips of all families; worlds that `worlds.split` holds out are left out."""
    side = TILES * TILE_PX
    pictures_NHWC = np.empty((config.worlds, side, side, 3), np.uint8)
    drawn: list[AnyWorld] = []
    frames = round(SEEN_S * FPS) + 1
    while len(drawn) < config.worlds:
        rng = Random(f"scorer/{config.seed}/{len(drawn)}")
        world = None
        while world is None:
            width, height = rng.choice(SIZES)
            [family] = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))
            world = sample_clip(rng, family, width=width, height=height, horizon_s=SEEN_S, unseen=False)
        frames_THWC = render_sampled(world, FPS, frames).frames_THWC
        picture_HWC = mosaic(frames_THWC)
        if rng.random() < COMPRESSED_PROB:
            picture_HWC = compress(picture_HWC[None], rng.randint(40, 95))[0]
        pictures_NHWC[len(drawn)] = picture_HWC
        drawn.append(world)
        report(len(drawn))
    return Pool(worlds=drawn, pictures_NHWC=pictures_NHWC)


def sample_pairs(config: ScorerConfig, pool: Pool, step: int) -> Pairs:
    """Return the pairs of a step, with texts that are written anew each time."""
    rng = np.random.default_rng([config.seed, step])
    chosen_B = rng.choice(len(pool.worlds), config.batch_size, replace=False)
    texts = [_text_of(pool.worlds[index], Random(f"{config.seed}/{step}/{index}")) for index in chosen_B]
    return Pairs(pixels_BHWC=torch.from_numpy(pool.pictures_NHWC[chosen_B]), texts=texts)


def _text_of(world: AnyWorld, rng: Random) -> str:
    drawn, seed = rng.random(), rng.getrandbits(32)
    if drawn < SHORT_PROB:
        return families.short_caption(world, seed)
    dense = families.dense_caption(world, seed)
    if drawn < SHORT_PROB + DENSE_PROB:
        return dense
    return rng.choice(split_sentences(dense)).text


def measure_recall(
    scorer: EmbeddedScorer, seed: int = 1_000_003, groups: int = RECALL_GROUPS
) -> dict[str, float]:
    """Return how often the right one of 64 held-out clips fits a caption best, and the other way round.

    Clips are encoded as MP4, every third of a family has a combination that no training has.
    """
    found: dict[str, list[float]] = {}
    for group in range(groups):
        config = ScoreConfig(n=RECALL_OF, seed=seed + group)
        worlds = [held_out_world(config, number) for number in range(RECALL_OF)]
        clips = [held_out_clip(world, str(number), config.crf) for number, world in enumerate(worlds)]
        clip_ND = np.stack([scorer.embed_clip(clip.frames_THWC) for clip in clips])
        for name, caption in (("dense", families.dense_caption), ("short", families.short_caption)):
            similarity_SN = scorer.embed_texts([caption(world, seed) for world in worlds]) @ clip_ND.T
            right = np.arange(RECALL_OF)
            found.setdefault(f"recall_at_1_{name}", []).extend(similarity_SN.argmax(axis=1) == right)
            found.setdefault(f"recall_at_1_of_{name}", []).extend(similarity_SN.argmax(axis=0) == right)
    return {"of": RECALL_OF, "clips": RECALL_OF * groups} | {
        name: round(float(np.mean(values)), 4) for name, values in found.items()
    }
