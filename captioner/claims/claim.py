"""What a caption claims, and what a check found."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

ClaimKind = Literal["subject", "attribute", "action", "relation", "count", "camera", "text", "speech"]
"""`speech` quotes what is heard, so that no check of frames gives it a verdict."""


class ClaimVerdict(StrEnum):
    """What a check found about a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    """The frames show something else."""
    UNSEEN = "unseen"
    """The check looked for it and did not find it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TextClaim:
    """One claim of a text."""

    kind: ClaimKind
    text: str
    """The claim in words."""
    subject: str = ""
    """The noun that it is about; empty for the whole picture."""
    value: str = ""
    """Colour, number, action, place or quotation."""
    sentence: int = 0
    """Index of its sentence."""
    start: int = 0
    """Offset of its first character in the text."""
    end: int = 0
    """Offset after its last character."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedClaim:
    """A claim and its verdict."""

    claim: TextClaim
    verdict: ClaimVerdict | None
    """None if no check can tell."""
    start_s: float | None = None
    """Time in the clip at which the claim shows, or was looked for; None for all of the clip."""
    end_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimTally:
    """Number of claims by verdict."""

    supported: int = 0
    contradicted: int = 0
    unseen: int = 0
    unchecked: int = 0

    @property
    def checked(self) -> int:
        return self.supported + self.contradicted + self.unseen

    @property
    def unsupported(self) -> int:
        """Number of claims that were checked and not found."""
        return self.contradicted + self.unseen

    @property
    def unsupported_rate(self) -> float | None:
        """Unsupported fraction of the checked claims; None if none was checked."""
        return self.unsupported / self.checked if self.checked else None


def tally(claims: Iterable[CheckedClaim]) -> ClaimTally:
    """Count claims by verdict."""
    verdicts = [each.verdict for each in claims]
    return ClaimTally(
        supported=verdicts.count(ClaimVerdict.SUPPORTED),
        contradicted=verdicts.count(ClaimVerdict.CONTRADICTED),
        unseen=verdicts.count(ClaimVerdict.UNSEEN),
        unchecked=verdicts.count(None),
    )


def merge_verdicts(cheap: Sequence[CheckedClaim], model: Sequence[CheckedClaim]) -> list[CheckedClaim]:
    """Return the claims with the verdict of `model` where it has one, else that of `cheap`.

    Claims of speech stay without one.
    """
    return [
        strong if strong.verdict is not None and weak.claim.kind != "speech" else weak
        for weak, strong in zip(cheap, model, strict=True)
    ]
