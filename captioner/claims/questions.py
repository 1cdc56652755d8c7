"""Ask a vision-language model about the claims of a caption: yes, no or cannot tell, many in one prompt."""

import re
from collections.abc import Mapping, Sequence

from captioner.captions import ClipFrames
from captioner.claims.claim import CheckedClaim, ClaimVerdict, TextClaim
from captioner.prompts import Prompt, load_task
from captioner.protocol import Captioner, CaptionRequest
from manifests.digest import digest_parts
from manifests.records import Outcome

MAX_CLAIMS = 24
"""Claims of one prompt; a caption with more has several."""
_ANSWER = re.compile(
    r"^\W*(\d{1,3})\W+(?:the answer is\W+)?(yes|no|cannot tell|can't tell|unclear|unsure|unknown)\b",
    re.IGNORECASE | re.MULTILINE,
)
_TAG = re.compile(r"</?\w{1,10}>")
_VERDICTS = {"yes": ClaimVerdict.SUPPORTED, "no": ClaimVerdict.CONTRADICTED}


def ask_about_claims(
    captioner: Captioner, clips: Sequence[ClipFrames], claims: Mapping[str, Sequence[TextClaim]]
) -> dict[str, list[CheckedClaim]]:
    """Return the claims of each clip, by its id, with the verdicts of a model.

    `yes` supports a claim, `no` contradicts it, `cannot tell` leaves it unseen. A claim without an answer, or
    with two different ones, has no verdict.
    """
    requests: list[CaptionRequest] = []
    places: dict[tuple[str, str], tuple[str, int]] = {}
    for clip in clips:
        for first in range(0, len(claims[clip.clip_id]), MAX_CLAIMS):
            prompt = claims_prompt(claims[clip.clip_id][first : first + MAX_CLAIMS])
            request = CaptionRequest(
                clip_id=clip.clip_id,
                media_id=clip.media_id,
                frames_THWC=clip.frames_THWC,
                times_s=clip.times_s,
                prompt=prompt,
            )
            requests.append(request)
            places[clip.clip_id, prompt.digest] = clip.clip_id, first
    found: dict[str, list[ClaimVerdict | None]] = {
        clip.clip_id: [None] * len(claims[clip.clip_id]) for clip in clips
    }
    for answer in captioner.caption(requests) if requests else ():
        place = places.get((answer.clip_id, answer.prompt_digest))
        if place is None or answer.outcome in (Outcome.ERROR, Outcome.TIMEOUT):
            continue
        clip_id, first = place
        count = min(MAX_CLAIMS, len(claims[clip_id]) - first)
        found[clip_id][first : first + count] = read_verdicts(answer.raw, count)
    return {
        clip_id: [
            CheckedClaim(claim=claim, verdict=verdict)
            for claim, verdict in zip(claims[clip_id], verdicts, strict=True)
        ]
        for clip_id, verdicts in found.items()
    }


def claims_prompt(claims: Sequence[TextClaim]) -> Prompt:
    """Return the prompt that asks about numbered claims."""
    listed = "\n".join(f"{number}. {claim.text}" for number, claim in enumerate(claims, start=1))
    return Prompt(name="claims", text=load_task("claims").replace("{claims}", listed))


def read_verdicts(answer: str, count: int) -> list[ClaimVerdict | None]:
    """Return the verdict of each of `count` numbered lines of an answer; None for one without an answer."""
    found: dict[int, set[ClaimVerdict]] = {}
    for match in _ANSWER.finditer(_TAG.sub("", answer)):
        verdict = _VERDICTS.get(match[2].lower(), ClaimVerdict.UNSEEN)
        found.setdefault(int(match[1]), set()).add(verdict)
    return [
        next(iter(verdicts)) if len(verdicts := found.get(number, set())) == 1 else None
        for number in range(1, count + 1)
    ]


def stratified_sample(strata: Mapping[str, str], per_stratum: int, seed: int = 0) -> list[str]:
    """Return up to `per_stratum` keys of each stratum, drawn by a hash: the same on every machine.

    Args:
        strata: the stratum of each key.
    """
    by_stratum: dict[str, list[str]] = {}
    for key, stratum in strata.items():
        by_stratum.setdefault(stratum, []).append(key)
    return [
        key
        for _, keys in sorted(by_stratum.items())
        for key in sorted(keys, key=lambda key: digest_parts("claims", seed, key))[:per_stratum]
    ]
