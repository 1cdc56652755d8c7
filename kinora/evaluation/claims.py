"""Which claims of a prompt about `shapes` a video shows.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections import defaultdict
from collections.abc import Collection

import numpy as np

from worlds.claims import score_claims
from worlds.family import Claim
from worlds.shapes.judge import without_style
from worlds.shapes.measure import Measured, measure


def judge_claims(frames_THWC: np.ndarray, fps: float, claims: Collection[Claim]) -> dict[str, bool | float]:
    """Return the share of claims that a video shows, of all and of each kind, and whether it shows all.

    Things are matched so that most claims hold: a red square that should be a red circle is one false claim.
    Claims about the style are left out, since it is not measured.

    Returns:
        `claims` and `all_claims`, and `claim_KIND` of each kind among them.
    """
    judged = frozenset(claim for claim in claims if claim.attribute != "style")
    score = score_claims(judged, shown_claims(measure(without_style(frames_THWC), fps)))
    kinds: defaultdict[str, list[bool]] = defaultdict(list)
    for claim in sorted(judged):
        kinds[_kind(claim)].append(claim not in score.unsupported)
    shares = {f"claim_{kind}": sum(held) / len(held) for kind, held in kinds.items()}
    return {"claims": score.supported / len(judged), "all_claims": not score.unsupported, **shares}


def shown_claims(measured: Measured) -> frozenset[Claim]:
    """Return the claims that are true of a measured video; its things are numbered."""
    claims = {("scene", "count", str(measured.count)), ("background", "color", measured.background)}
    for place, thing in enumerate(measured.things):
        for attribute in ("color", "shape", "direction", "speed"):
            claims.add((f"thing {place}", attribute, getattr(thing, attribute)))
    return frozenset(
        Claim(subject=subject, attribute=attribute, value=value)
        for subject, attribute, value in claims
        if value is not None
    )


def _kind(claim: Claim) -> str:
    return "background" if claim.subject == "background" else claim.attribute
