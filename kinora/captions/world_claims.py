"""Claims of captions of simulated worlds, checked exactly against the truth."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from captioner.claims.claim import CheckedClaim, ClaimKind, ClaimVerdict, TextClaim
from worlds import families
from worlds.claims import score_claims
from worlds.family import AnyWorld, Claim
from worlds.raw.match import clip_truth, load_truth

_KINDS: Mapping[str, ClaimKind] = {
    "color": "attribute",
    "style": "attribute",
    "form": "subject",
    "kind": "subject",
    "shape": "subject",
    "count": "count",
    "bites": "count",
    "motion": "camera",
    "order": "relation",
    "bitten": "relation",
}
"""Kind of the claims about each attribute; all others are actions."""


class WorldJudge:
    """Checks captions of clips that `kinora worlds render` rendered."""

    def __init__(self, truth: str | Path) -> None:
        self._path, self._truth = truth, load_truth(truth)

    def __call__(self, text: str, media: Mapping[str, Any]) -> list[CheckedClaim] | None:
        """Return the checked claims of a text about a media; None if the truth does not know it.

        Claims about a clip that does not show everything that captions state have no verdict.

        Args:
            media: with `uri`, `start_s` and `end_s`.
        """
        if Path(media["uri"]).name not in self._truth:
            return None
        clip = clip_truth(self._truth, media["uri"], media["start_s"], media["end_s"])
        if clip is None:
            return None
        checked = check_on_world(text, clip.world)
        if not clip.unobservable:
            return checked
        return [CheckedClaim(claim=each.claim, verdict=None) for each in checked]


def check_on_world(text: str, world: AnyWorld) -> list[CheckedClaim]:
    """Return the claims of a text about a world: supported if true, contradicted if not."""
    claimed = families.parse_claims(world.family, text)
    false = {*score_claims(claimed, families.claims(world)).unsupported}
    return [
        CheckedClaim(
            claim=_text_claim(claim),
            verdict=ClaimVerdict.CONTRADICTED if claim in false else ClaimVerdict.SUPPORTED,
        )
        for claim in sorted(claimed)
    ]


def _text_claim(claim: Claim) -> TextClaim:
    kind = _KINDS.get(claim.attribute, "action")
    text = f"{claim.subject}: {claim.attribute} {claim.value}"
    return TextClaim(kind=kind, text=text, subject=claim.subject, value=claim.value)
