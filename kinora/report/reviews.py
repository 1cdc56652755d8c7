"""Lay out the figures of a review for the dataset report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from manifests.review.estimate import Estimate
from manifests.review.quality import Comparison, Coverage, PairAgreement, ReviewFigures


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """One estimate with its 95 % interval, as numbers from 0 to 1 and as text."""

    title: str
    value: float
    low: float
    high: float
    n: int
    note: str = ""
    is_share: bool = True

    @property
    def text(self) -> str:
        """The value and its interval."""
        value, low, high = (_number(each, self.is_share) for each in (self.value, self.low, self.high))
        return f"{value} ({low} to {high})"


@dataclass(frozen=True, kw_only=True, slots=True)
class CoverageTable:
    """Media of each kind, and how many of them were reviewed."""

    title: str
    head: str
    rows: Sequence[tuple[str, int, int]]
    """Name, reviewed and all."""


def review_sections(figures: ReviewFigures) -> dict[str, Any]:
    """Return the template variables `estimates`, `tables` and `days` of a review."""
    return {"estimates": _estimates(figures), "tables": _tables(figures), "days": _days(figures.days)}


def _estimates(figures: ReviewFigures) -> list[Shown]:
    found = figures.wrong_captions
    shares = (
        ("captions that are wrong: edited or rejected", found.wrong),
        ("captions that reviewers would edit", found.edited),
        ("captions that reviewers would reject", found.rejected),
    )
    shown = [_of_captions(title, each) for title, each in shares if each.share is not None]
    shown += [_of_pair(each) for each in figures.agreements if each.agreement.kappa is not None]
    return shown + [_of_votes(each) for each in figures.comparisons]


def _of_pair(pair: PairAgreement) -> Shown:
    found = pair.agreement
    return Shown(
        title=f"Cohen's kappa of {pair.first} and {pair.second}",
        value=found.kappa or 0.0,
        low=found.interval.low,
        high=found.interval.high,
        n=found.clips,
        is_share=False,
    )


def _of_votes(votes: Comparison) -> Shown:
    rate = votes.win_rate
    return Shown(
        title=f"blind votes for {votes.version} against {votes.other_version}",
        value=rate.rate or 0.0,
        low=rate.interval.low,
        high=rate.interval.high,
        n=rate.wins + rate.losses + rate.ties,
        note=f"{rate.wins} wins, {rate.losses} losses, {rate.ties} ties",
    )


def _of_captions(title: str, found: Estimate) -> Shown:
    note = f"not covered: {', '.join(found.not_covered)}" if found.not_covered else ""
    return Shown(
        title=title,
        value=found.share or 0.0,
        low=found.whole.low,
        high=found.whole.high,
        n=found.reviewed,
        note=note,
    )


def _tables(figures: ReviewFigures) -> list[CoverageTable]:
    lengths = {
        name: Coverage(media=each.captions, reviewed=each.reviewed) for name, each in figures.lengths.items()
    }
    kinds = (
        ("By bucket", "bucket", figures.buckets),
        ("By outcome of the caption", "outcome", figures.outcomes),
        ("By length of text", "length", lengths),
    )
    return [
        CoverageTable(
            title=title, head=head, rows=[(name, each.reviewed, each.media) for name, each in of.items()]
        )
        for title, head, of in kinds
        if of
    ]


def _days(days: Mapping[str, int]) -> list[tuple[str, int, int]]:
    """Return day, decisions, and all decisions until then."""
    total, found = 0, list[tuple[str, int, int]]()
    for day, count in days.items():
        total += count
        found.append((day, count, total))
    return found


def _number(value: float, is_share: bool) -> str:
    return f"{100 * value:.1f} %" if is_share else f"{value:.2f}"
