"""How well captions fit their own clips, against the clips of other sources; pure functions.

The agreement of a sentence with its clip is the fraction of the foils (clips of other sources) that the
sentence fits less: 1 if it fits its own clip best, 0.5 on average if it has nothing to do with it. That of a
caption is the mean over its sentences, so that all of a dense one counts. Clips whose captions have the same
sentence are no foils: a sentence that all captions share tells nothing of whose they are.

Legend: N captions with their clips, S sentences of all captions, D embedding dimensions, V views of a clip.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from captioner.claims.measures import ClipMeasures
from captioner.claims.split import split_sentences


class AgreementScorer(Protocol):
    """Compares texts with clips."""

    name: str
    """Names the model; results of different scorers do not compare."""

    def encode_clip(
        self, frames_THWC: np.ndarray, times_s: Sequence[float], measures: ClipMeasures | None = None
    ) -> np.ndarray:
        """Return an encoding of a clip, of any shape that is the same for all clips.

        Args:
            measures: what was measured of the clip, where it is known.
        """
        ...

    def similarities(
        self, texts: Sequence[str], clips: Sequence[np.ndarray], own_S: np.ndarray
    ) -> np.ndarray:
        """Return similarities_SN of texts and encoded clips; NaN for pairs that it cannot judge.

        Those of one text compare with each other, those of two texts need not.

        Args:
            own_S: the clip that each text was written about.
        """
        ...

    def count_tokens(self, text: str) -> tuple[int, int]:
        """Return how many tokens of a text the scorer sees, and how many the text has."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Agreement:
    """Agreement of N captions; NaN for those whose sentences cannot be judged."""

    own_N: np.ndarray
    """With the own clip, 0 to 1."""
    next_N: np.ndarray
    """With the clip of the next caption of the same run; NaN for the last one."""
    previous_N: np.ndarray
    shuffled_N: np.ndarray
    """With a random clip of another source, for comparison."""
    similarity_N: np.ndarray
    """Mean similarity with the own clip, in the scorer's own units."""


def agreement(
    scorer: AgreementScorer,
    texts: Sequence[str],
    clips: Sequence[np.ndarray],
    sources: Sequence[str],
    runs: Sequence[int] | None = None,
    seed: int = 0,
) -> Agreement:
    """Compare N captions with all clips.

    Args:
        clips: encoded clip of each caption, in the order in which the captions were written.
        sources: source of each clip. Foils are of other sources; if all have one source, all other clips.
        runs: number of the run of consecutive captions that each belongs to; one run by default.
    """
    sentences = [(index, each.text) for index, text in enumerate(texts) for each in split_sentences(text)]
    count = len(texts)
    caption_S = np.array([index for index, _ in sentences], int)
    empty_N = np.full(count, np.nan)
    if not sentences or count < 2:
        return Agreement(
            own_N=empty_N, next_N=empty_N, previous_N=empty_N, shuffled_N=empty_N, similarity_N=empty_N
        )
    similarity_SN = scorer.similarities([text for _, text in sentences], clips, caption_S)
    codes_N = np.unique(np.asarray(sources, object).astype(str), return_inverse=True)[1]
    run_N = np.zeros(count, int) if runs is None else np.asarray(runs)
    foil_NN = codes_N[:, None] != codes_N[None]
    if not foil_NN.any():
        foil_NN = ~np.eye(count, dtype=bool)
    foil_SN = foil_NN[caption_S] & ~_says_the_same([text for _, text in sentences], caption_S, count)
    place_N = np.arange(count)
    other_N = _random_foils(foil_NN, seed)
    targets = {"own_N": place_N, "next_N": place_N + 1, "previous_N": place_N - 1, "shuffled_N": other_N}
    found: dict[str, np.ndarray] = {}
    for name, target_N in targets.items():
        valid_N = (target_N >= 0) & (target_N < count)
        safe_N = np.where(valid_N, target_N, 0)
        valid_N = valid_N & ((run_N[safe_N] == run_N) | (name == "shuffled_N"))
        share_S = _fraction_below(similarity_SN, safe_N[caption_S], foil_SN)
        found[name] = np.where(valid_N, _mean_by_caption(share_S, caption_S, count), np.nan)
    own_S = similarity_SN[np.arange(len(caption_S)), caption_S]
    return Agreement(**found, similarity_N=_mean_by_caption(own_S, caption_S, count))


def seen_share(scorer: AgreementScorer, text: str) -> float | None:
    """Return the fraction of a caption's tokens that the scorer sees, by sentences; None without tokens."""
    counts = [scorer.count_tokens(each.text) for each in split_sentences(text)]
    total = sum(count for _, count in counts)
    return sum(seen for seen, _ in counts) / total if total else None


def _says_the_same(texts: Sequence[str], caption_S: np.ndarray, count: int) -> np.ndarray:
    """Return same_SN: whether the caption of a clip has the same sentence."""
    code_S = np.unique([text.lower() for text in texts], return_inverse=True)[1]
    has_KN = np.zeros((int(code_S.max()) + 1, count), bool)
    has_KN[code_S, caption_S] = True
    return has_KN[code_S]


def _fraction_below(similarity_SN: np.ndarray, target_S: np.ndarray, foil_SN: np.ndarray) -> np.ndarray:
    """Return, for each sentence, the fraction of foils less similar than the target; a tie counts half."""
    place_S = np.arange(len(target_S))
    value_S1 = similarity_SN[place_S, target_S][:, None]
    foil_SN = foil_SN & np.isfinite(similarity_SN)
    foil_SN[place_S, target_S] = False
    below_SN = np.where(similarity_SN < value_S1, 1.0, np.where(similarity_SN == value_S1, 0.5, 0.0))
    counts_S = foil_SN.sum(axis=1)
    share_S = (below_SN * foil_SN).sum(axis=1) / np.maximum(counts_S, 1)
    judged_S = np.isfinite(value_S1[:, 0]) & (counts_S > 0)
    return np.where(judged_S, share_S, np.nan)


def _mean_by_caption(value_S: np.ndarray, caption_S: np.ndarray, count: int) -> np.ndarray:
    """Return the mean over the sentences of each caption, without NaN; NaN if nothing is left."""
    valid_S = np.isfinite(value_S)
    sums = np.bincount(caption_S[valid_S], value_S[valid_S], minlength=count)
    counts = np.bincount(caption_S[valid_S], minlength=count)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _random_foils(foil_NN: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng([seed, 0xF011])
    draws_NN = np.where(foil_NN, rng.random(foil_NN.shape), -1.0)
    best_N = draws_NN.argmax(axis=1)
    return np.where(foil_NN.any(axis=1), best_N, -1)
