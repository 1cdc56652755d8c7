"""Score the claims of a caption against the true claims."""

import itertools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from worlds.family import Claim

NO_THINGS = frozenset({"background", "scene", "floor", "wall", "camera", "agent", "paint", "bite"})
"""Subjects that are not names of things."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionScore:
    """Precision and recall of a caption's claims."""

    num_claims: int
    num_true: int
    """Number of true claims about the world."""
    supported: int
    """Number of the caption's claims that are true."""
    unsupported: tuple[Claim, ...]
    """The caption's false claims, with its own names."""
    missed: tuple[Claim, ...]
    """True claims that the caption lacks."""

    @property
    def precision(self) -> float | None:
        """Fraction of the caption's claims that are true; None without claims."""
        return self.supported / self.num_claims if self.num_claims else None

    @property
    def recall(self) -> float:
        """Fraction of the true claims that the caption makes."""
        return self.supported / self.num_true


def score_claims(claimed: Collection[Claim], true: Collection[Claim]) -> CaptionScore:
    """Score the claims of a caption.

    Named things are matched with true things so that most claims hold: `a red square moves left` about a red
    circle is one false claim (its shape), not three.
    """
    true = frozenset(true)
    renamed = max(_renamings(claimed, true), key=lambda names: (len(true & names.keys()), sorted(names)))
    return CaptionScore(
        num_claims=len(claimed),
        supported=len(true & renamed.keys()),
        num_true=len(true),
        unsupported=tuple(sorted(renamed[claim] for claim in renamed.keys() - true)),
        missed=tuple(sorted(true - renamed.keys())),
    )


def _renamings(claimed: Iterable[Claim], true: Iterable[Claim]) -> Iterator[dict[Claim, Claim]]:
    """Yield, for every matching of named to true things, the renamed claims, each mapped to the original.

    An unmatched thing gets a name that no true claim has.
    """
    subjects, real = _things(claimed), _things(true)
    for order in itertools.permutations([*subjects, *(None for _ in real)], len(real)):
        names = {subject: f"{subject} (not there)" for subject in subjects}
        names |= {subject: name for name, subject in zip(real, order, strict=True) if subject is not None}
        yield {replace(claim, subject=names.get(claim.subject, claim.subject)): claim for claim in claimed}


def _things(claims: Iterable[Claim]) -> list[str]:
    return sorted({claim.subject for claim in claims} - NO_THINGS)
