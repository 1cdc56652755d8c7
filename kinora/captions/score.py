"""Score caption versions: true claims on worlds, agreement, words; compare two on the same clips."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from captioner.loops import repetition
from kinora.captions.figures import caption_figures
from kinora.evaluation.intervals import Interval, bootstrap_mean, wilson_low
from manifests.arrow import pc
from manifests.caption_checks import AGREEMENT, CHECK_COLUMNS, UNSUPPORTED
from manifests.live_view import LiveView
from manifests.records import LENGTH_COLUMNS
from worlds.claims import CaptionScore
from worlds.raw.match import ClipTruth

CLIP_SCORE_WEIGHT = 2.5
"""Hessel et al. 2021, "CLIPScore: a reference-free evaluation metric for image captioning"."""
_FIGURES = (
    "captions",
    "outcomes",
    "texts",
    "words_5",
    "words_50",
    "words_95",
    "distinct_words",
    "same_text",
    "same_opening",
)
TruthOf = Callable[[str], ClipTruth | None]
"""Returns what the clip of a media shows; None if that is unknown or cannot be judged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredCaption:
    """The scores of one caption. None where something is not known."""

    media_id: str
    clip_id: str
    text: str
    family: str | None = None
    claims: CaptionScore | None = None
    agreement: float | None = None
    clip_score: float | None = None
    unsupported_rate: float | None = None

    @property
    def claim_f1(self) -> float | None:
        """Harmonic mean of claim precision and recall; 0 for a caption without a true claim."""
        return (
            None
            if self.claims is None
            else f1(self.claims.supported, self.claims.num_claims, self.claims.num_true)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionScore:
    """The scores of one caption version."""

    version: str
    figures: Mapping[str, Any]
    """Outcomes, lengths and words, as `kinora captions stats` counts them."""
    claims: Mapping[str, Any] = field(default_factory=dict)
    """Claim figures on worlds: of all and by family; empty without truth."""
    agreement: float | None = None
    """Mean agreement with the own clips, where an audit measured it."""
    clip_score: float | None = None
    """Mean CLIPScore, where an audit used a model of images and texts."""
    unsupported_rate: float | None = None
    """Unsupported fraction of the claims that an audit checked."""
    repeating: float = 0.0
    """Fraction of the texts that repeat themselves."""
    captions: Sequence[ScoredCaption] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedDifference:
    """Second version minus first, on the clips that both have the score of."""

    measure: str
    n: int
    difference: float
    interval: Interval
    """95 %, bootstrap over clips."""


def f1(supported: int, num_claims: int, num_true: int) -> float:
    """Return the harmonic mean of precision and recall from counts; 0 if nothing is supported."""
    return 2 * supported / (num_claims + num_true) if supported else 0.0


def score_version(
    view: LiveView, version: str, truth: TruthOf | None = None, length: str | None = None
) -> VersionScore:
    """Score the OK captions of a version.

    Args:
        length: the length of the texts; the longest of each caption by default.
    """
    present = {*view.columns("captions")}
    checks = [name for name in CHECK_COLUMNS.names if name in present and name != "claims"]
    names = ["media_id", "clip_id", "outcome", *LENGTH_COLUMNS.values(), *checks]
    rows = view.read("captions", names, version=version)
    columns = [*LENGTH_COLUMNS.values()][::-1] if length is None else [LENGTH_COLUMNS[length]]
    rows = rows.append_column("shown", pc.coalesce(*(rows[name] for name in columns)))
    rows = rows.filter(pc.is_valid(rows["shown"]))
    captions = [_scored(row, truth, whole=length is None) for row in rows.to_pylist()]
    figures = caption_figures(view, length).get(version, {})
    judged = [each for each in captions if each.claims is not None]
    repeating = sum(bool(repetition(each.text)) for each in captions)
    return VersionScore(
        version=version,
        figures={name: figures[name] for name in _FIGURES if name in figures},
        claims=claim_figures(judged) if judged else {},
        agreement=_mean([each.agreement for each in captions]),
        clip_score=_mean([each.clip_score for each in captions]),
        unsupported_rate=_mean([each.unsupported_rate for each in captions]),
        repeating=repeating / max(1, len(captions)),
        captions=captions,
    )


def _scored(row: Mapping[str, Any], truth: TruthOf | None, *, whole: bool) -> ScoredCaption:
    clip = truth(row["media_id"]) if truth else None
    by_clip = str(row.get("agreement_scorer") or "").startswith(("open_clip ", "transformers "))
    similarity = row.get("similarity") if by_clip and whole else None
    return ScoredCaption(
        media_id=row["media_id"],
        clip_id=row["clip_id"],
        text=row["shown"],
        family=clip.world.family if clip else None,
        claims=clip.judge_caption(row["shown"]) if clip else None,
        agreement=row.get(AGREEMENT) if whole else None,
        clip_score=None if similarity is None else CLIP_SCORE_WEIGHT * max(0.0, similarity),
        unsupported_rate=row.get("unsupported_rate") if whole and row.get(UNSUPPORTED) is not None else None,
    )


def claim_figures(captions: Sequence[ScoredCaption]) -> dict[str, Any]:
    """Return claim precision, recall, F1 and the unsupported rate of captions, over all and by family."""
    found = _claim_counts(captions)
    families = sorted({each.family for each in captions if each.family})
    by_family = {name: _claim_counts([each for each in captions if each.family == name]) for name in families}
    return found | {"families": by_family}


def _claim_counts(captions: Sequence[ScoredCaption]) -> dict[str, Any]:
    scores = [each.claims for each in captions if each.claims is not None]
    claims, supported = sum(s.num_claims for s in scores), sum(s.supported for s in scores)
    true = sum(s.num_true for s in scores)
    return {
        "n": len(scores),
        "claim_precision": supported / claims if claims else None,
        "claim_precision_low": wilson_low(supported, claims),
        "claim_recall": supported / true,
        "claim_recall_low": wilson_low(supported, true),
        "claim_f1": f1(supported, claims, true),
        "unsupported_rate": 1 - supported / claims if claims else None,
    }


MEASURES: Mapping[str, Callable[[ScoredCaption], float | None]] = {
    "claim_f1": lambda caption: caption.claim_f1,
    "clip_score": lambda caption: caption.clip_score,
    "agreement": lambda caption: caption.agreement,
    "unsupported_rate": lambda caption: caption.unsupported_rate,
    "words": lambda caption: float(len(caption.text.split())),
}
"""What two versions are compared by; the first that both have orders the clips that differ most."""


def compare_versions(
    first: VersionScore, second: VersionScore, most: int
) -> tuple[list[PairedDifference], list[dict[str, Any]]]:
    """Compare two versions on the clips that both have captions of.

    Returns the difference of each measure, and the `most` clips that differ most by the first one.
    """
    pairs = _pairs(first, second)
    found: list[PairedDifference] = []
    examples: list[dict[str, Any]] = []
    for measure, value_of in MEASURES.items():
        values = [(pair, value_of(pair[0]), value_of(pair[1])) for pair in pairs]
        known = [(pair, one, other) for pair, one, other in values if one is not None and other is not None]
        if not known:
            continue
        differences = [other - one for _, one, other in known]
        interval = bootstrap_mean(differences)
        mean = float(np.mean(differences))
        found.append(PairedDifference(measure=measure, n=len(known), difference=mean, interval=interval))
        examples = examples or [
            {
                "clip_id": pair[0].clip_id,
                "media_id": pair[0].media_id,
                "measure": measure,
                "first": one,
                "second": other,
                "first_text": pair[0].text,
                "second_text": pair[1].text,
            }
            for pair, one, other in sorted(
                known, key=lambda each: (-abs(each[2] - each[1]), each[0][0].media_id)
            )[:most]
        ]
    return found, examples


def _pairs(first: VersionScore, second: VersionScore) -> list[tuple[ScoredCaption, ScoredCaption]]:
    others = {each.media_id: each for each in second.captions}
    return [(each, others[each.media_id]) for each in first.captions if each.media_id in others]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
