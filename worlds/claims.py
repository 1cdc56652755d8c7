"""Compare the claims that a caption makes with those that are true."""

import itertools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from worlds.family import Claim

NO_THINGS = frozenset({"background", "scene", "floor", "wall", "camera", "agent", "paint", "bite"})
"""Subjects of claims that are no things by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionScore:
    """How many of a caption's claims are true, and how many of the true ones it makes."""

    num_claims: int
    num_true: int
    """Claims that could truly be made."""
    supported: int
    """Claims made that are true."""
    unsupported: tuple[Claim, ...]
    """Claims made that are not, as the caption words them."""
    missed: tuple[Claim, ...]
    """True claims not made."""

    @property
    def precision(self) -> float | None:
        """Share of the claims made that are true; None for a caption that makes none."""
        return self.supported / self.num_claims if self.num_claims else None

    @property
    def recall(self) -> float:
        """Share of the true claims that are made."""
        return self.supported / self.num_true


def score_claims(said: Collection[Claim], true: Collection[Claim]) -> CaptionScore:
    """Score the claims of a caption.

    The things that a caption names are matched with those that are there so that most claims hold; so `a red
    square moves left` about a red circle makes one false claim (its shape), not three.
    """
    true = frozenset(true)
    renamed = max(_renamings(said, true), key=lambda names: (len(true & names.keys()), sorted(names)))
    return CaptionScore(
        num_claims=len(said),
        supported=len(true & renamed.keys()),
        num_true=len(true),
        unsupported=tuple(sorted(renamed[claim] for claim in renamed.keys() - true)),
        missed=tuple(sorted(true - renamed.keys())),
    )


def _renamings(said: Iterable[Claim], true: Iterable[Claim]) -> Iterator[dict[Claim, Claim]]:
    """Yield the claims about things as claims about things that are there, in every way of matching the two.

    Each renamed claim maps to the one that was said. A thing that is matched with none keeps a name of its
    own.
    """
    subjects, real = _things(said), _things(true)
    for order in itertools.permutations([*subjects, *(None for _ in real)], len(real)):
        names = {subject: f"{subject} (not there)" for subject in subjects}
        names |= {subject: name for name, subject in zip(real, order, strict=True) if subject is not None}
        yield {replace(claim, subject=names.get(claim.subject, claim.subject)): claim for claim in said}


def _things(claims: Iterable[Claim]) -> list[str]:
    return sorted({claim.subject for claim in claims} - NO_THINGS)
