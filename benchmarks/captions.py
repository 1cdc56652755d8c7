"""Measure how much of a caption is true, per family of worlds, and which swaps the audit catches.

`kinora bench captions`. Captions: the worlds' own (`templates`), those of another world of the same family
(`chance`), `facts`, the embedded model, its captions after the refiner, which knows the measurements of the
frames and not the truth, and those of `auto`, with the number that it accepted of the embedded model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from captioner.agreement import agreement
from captioner.auto import AutoCaptioner
from captioner.captions import ClipFrames, caption_clips
from captioner.claims.check import check_measured
from captioner.claims.measures import measure_clip
from captioner.claims.refine import refine
from captioner.claims.split import split_claims
from captioner.config import FactsConfig
from captioner.embedded import DENSE_PROMPT, SHORT_PROMPT, load_embedded
from captioner.embedded_scorer import EmbeddedScorer
from captioner.facts import FactsCaptioner
from captioner.prompts import load_prompt
from captioner.separation import GROUP, separation
from kinora.bench.figures import Figures
from kinora.captions.score import f1
from kinora.evaluation.intervals import wilson_low
from kinora.training.caption_score import encode_and_decode
from worlds import families
from worlds.claims import CaptionScore, score_claims
from worlds.family import AnyWorld

SIDE, FPS, NUM_FRAMES = 128, 8.0, 24
PER_FAMILY, QUICK_PER_FAMILY = 12, 3
"""Clips of each family; every third has a combination that no training has."""
MIN_AGREEMENT = 0.55
TRIALS = 5
"""Random orders of one batch that the audit has to catch."""
Texts = Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """Clips of all families in turn."""

    worlds: tuple[AnyWorld, ...]
    clips: tuple[ClipFrames, ...]
    unseen: tuple[bool, ...]


def bench(*, quick: bool, seed: int) -> Figures:
    """Measure on worlds drawn from `seed`."""
    cv2.setNumThreads(1)
    sample = sample_clips(QUICK_PER_FAMILY if quick else PER_FAMILY, seed)
    texts = caption_all(sample)
    rows = [(name, *row) for name, each in texts.items() for row in table_rows(each, sample)]
    embedded = [score for score, _ in judge(texts["embedded"], sample)]
    unseen = [score for score, is_unseen in judge(texts["embedded"], sample) if is_unseen]
    found = measure(embedded)
    audit, lines = audit_figures(texts["embedded"], texts["templates"], sample, seed)
    figures = {
        **found,
        "claim_f1_unseen": measure(unseen)["claim_f1"],
        **audit,
        "n": float(len(sample.clips)),
    }
    for name, each in texts.items():
        scores = [score for score, _ in judge(each, sample)]
        figures |= {f"{key}_{name}": value for key, value in measure(scores).items()}
    accepted = accepted_by_family(texts["accepted"], sample)
    figures |= {f"accepted_{family}": share for family, share in accepted.items()}
    lines = ["", "accepted   " + ", ".join(f"{name} {share:.2f}" for name, share in accepted.items()), *lines]
    head = "captions   family        n precision    low  recall     F1 unsupported"
    table = [f"{name:<10} {family:<10} {_line(scores)}" for name, family, scores in rows]
    return Figures(figures=figures, text="\n".join([head, *table, *lines]))


def sample_clips(per_family: int, seed: int) -> Sample:
    """Sample, render, encode and decode clips of all families."""
    worlds: list[AnyWorld] = []
    unseen: list[bool] = []
    for number in range(per_family):
        for family in families.FAMILIES:
            is_unseen = number % 3 == 2
            world = families.sample(
                family,
                seed * 1000 + 700_000 + number,
                width=SIDE,
                height=SIDE,
                fps=FPS,
                num_frames=NUM_FRAMES,
                unseen=is_unseen,
            )
            worlds.append(world)
            unseen.append(is_unseen)
    clips = tuple(
        encode_and_decode(families.render(world), world.fps, f"clip-{index}")
        for index, world in enumerate(worlds)
    )
    return Sample(worlds=tuple(worlds), clips=clips, unseen=tuple(unseen))


def caption_all(sample: Sample) -> dict[str, Texts]:
    """Return the dense captions of each captioner, and those of the embedded one refined.

    `accepted` are those of the embedded model in `auto`, and empty for clips that it gave to `facts`.
    """
    dense, short = load_prompt(DENSE_PROMPT), load_prompt(SHORT_PROMPT)
    detectors, model = FactsCaptioner(replace(FactsConfig(), text_frames=0)), load_embedded()
    facts = caption_clips(detectors, sample.clips, dense=dense)
    embedded = caption_clips(model, sample.clips, dense=dense)
    auto = AutoCaptioner(model, detectors, {prompt.digest: prompt for prompt in (dense, short)})
    chosen = caption_clips(auto, sample.clips, dense=dense, short=short)
    templates = [families.dense_caption(world, n) for n, world in enumerate(sample.worlds)]
    texts: dict[str, Texts] = {
        "templates": templates,
        "chance": of_another_world(templates),
        "facts": [caption.text or "" for caption in facts],
        "embedded": [caption.text or "" for caption in embedded],
    }
    texts["refined"] = [
        refined(text, clip) for text, clip in zip(texts["embedded"], sample.clips, strict=True)
    ]
    texts["auto"] = [caption.text or "" for caption in chosen]
    texts["accepted"] = [
        (caption.text or "") if caption.captioner == "embedded" else "" for caption in chosen
    ]
    return texts


def of_another_world(texts: Texts) -> list[str]:
    """Return for each clip the text of the next one of its family."""
    step = len(families.FAMILIES)
    return [*texts[step:], *texts[:step]]


def refined(text: str, clip: ClipFrames) -> str:
    """Return a caption without the claims that the measurements of its clip do not support."""
    measures = measure_clip(clip.frames_THWC, clip.times_s)
    return refine(text, check_measured(split_claims(text), measures))


def judge(texts: Texts, sample: Sample) -> list[tuple[CaptionScore, bool]]:
    """Return the score of each caption against the truth, and whether its combination is unseen."""
    return [
        (score_claims(families.parse_claims(world.family, text), families.claims(world)), unseen)
        for text, world, unseen in zip(texts, sample.worlds, sample.unseen, strict=True)
    ]


def table_rows(texts: Texts, sample: Sample) -> list[tuple[str, list[CaptionScore]]]:
    """Return the scores of each family, and of all."""
    scores = [score for score, _ in judge(texts, sample)]
    by_family = [
        (name, [s for s, world in zip(scores, sample.worlds, strict=True) if world.family == name])
        for name in families.FAMILIES
    ]
    return [*by_family, ("all", scores)]


def accepted_by_family(texts: Texts, sample: Sample) -> dict[str, float]:
    """Return the fraction of the clips of each family that have a text."""
    return {
        name: float(np.mean([bool(t) for t, w in zip(texts, sample.worlds, strict=True) if w.family == name]))
        for name in families.FAMILIES
    }


def measure(scores: Sequence[CaptionScore]) -> dict[str, float]:
    """Return claim precision, recall, F1 and unsupported rate from the counts of all captions."""
    claims, supported = sum(s.num_claims for s in scores), sum(s.supported for s in scores)
    true = sum(s.num_true for s in scores)
    return {
        "claim_precision": supported / claims if claims else 0.0,
        "claim_precision_low": wilson_low(supported, claims),
        "claim_recall": supported / true if true else 0.0,
        "claim_recall_low": wilson_low(supported, true),
        "claim_f1": f1(supported, claims, true),
        "unsupported_rate": 1 - supported / claims if claims else 0.0,
    }


def _line(scores: Sequence[CaptionScore]) -> str:
    found = measure(scores)
    if not any(score.num_claims for score in scores):
        return f"{len(scores):>4}  no claim in the words of the family"
    return (
        f"{len(scores):>4} {found['claim_precision']:>9.3f} {found['claim_precision_low']:>6.3f} "
        f"{found['claim_recall']:>7.3f} {found['claim_f1']:>6.3f} {found['unsupported_rate']:>11.3f}"
    )


def audit_figures(
    embedded: Texts, templates: Texts, sample: Sample, seed: int
) -> tuple[Mapping[str, float], list[str]]:
    """Return the separation of right captions, and the fraction of swapped ones that are caught."""
    scorer = EmbeddedScorer()
    encoded = [scorer.encode_clip(clip.frames_THWC, clip.times_s) for clip in sample.clips]
    sources = [str(index // 4) for index in range(len(encoded))]

    def audited(texts: Texts) -> tuple[float, bool]:
        found = agreement(scorer, texts, encoded, sources)
        columns = (found.own_N, found.next_N, found.previous_N, found.shuffled_N)
        result = separation(*columns, min_agreement=MIN_AGREEMENT)
        return result.agreement or 0.0, bool(result.problems)

    swaps = swapped(seed, len(encoded))
    lines = ["", f"{'audit':<22} {'agreement':>9}  problem found"]
    caught: list[bool] = []
    false_alarms: list[bool] = []
    separations: dict[str, float] = {}
    for name, texts in (("templates", templates), ("embedded", embedded)):
        value, problem = audited(texts)
        separations[name] = value
        false_alarms.append(problem)
        lines.append(f"{f'{name}, right':<22} {value:>9.3f}  {'yes' if problem else 'no'}")
        for swap, order in swaps.items():
            value, problem = audited(order(texts))
            caught.append(problem)
            lines.append(f"{f'{name}, {swap}':<22} {value:>9.3f}  {'yes' if problem else 'no'}")
    return {
        "audit_separation": separations["embedded"],
        "audit_separation_templates": separations["templates"],
        "swaps_caught": float(np.mean(caught)),
        "audit_false_alarms": float(np.mean(false_alarms)),
    }, lines


def swapped(seed: int, count: int) -> dict[str, Callable[[Texts], list[str]]]:
    """Return the swaps that the audit must catch: pairs, off by one, and orders of one batch alone."""

    def pairs(texts: Texts) -> list[str]:
        return [texts[index ^ 1] if index ^ 1 < len(texts) else texts[index] for index in range(len(texts))]

    found: dict[str, Callable[[Texts], list[str]]] = {
        "pairs": pairs,
        "off by one": lambda texts: [*texts[1:], texts[0]],
    }
    for trial in range(TRIALS):
        rng = np.random.default_rng([seed, trial])
        first = int(rng.integers(0, max(1, count - GROUP)))
        turn = int(rng.integers(1, GROUP))

        def batch(texts: Texts, first: int = first, turn: int = turn) -> list[str]:
            own = [*texts[first : first + GROUP]]
            return [*texts[:first], *own[turn:], *own[:turn], *texts[first + GROUP :]]

        found[f"batch at {first}"] = batch
    return found
