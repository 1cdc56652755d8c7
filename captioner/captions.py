"""From answers to `manifests.records.Caption`: both prompts asked, each answer matched by its clip id."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from captioner.prompts import Prompt
from captioner.protocol import CaptionAnswer, Captioner, CaptionRequest
from manifests.records import Caption, Outcome


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClipFrames:
    """The frames of one clip that a captioner may choose from."""

    clip_id: str
    media_id: str
    frames_THWC: np.ndarray
    times_s: tuple[float, ...]
    """Seconds from the start of the clip, one for each frame."""


def caption_clips(
    captioner: Captioner, clips: Sequence[ClipFrames], *, dense: Prompt, short: Prompt
) -> list[Caption]:
    """Ask for a dense and a short caption of each clip; return one Caption a clip, in the order of `clips`.

    An answer that is missing, double, or for a clip that nobody asked about is an ERROR row, never a guess.
    """
    ids = [clip.clip_id for clip in clips]
    if len(set(ids)) != len(ids):
        raise ValueError("two clips of one batch have the same clip_id; caption each clip once")
    answers = captioner.caption([_request(clip, prompt) for clip in clips for prompt in (dense, short)])
    by_key: dict[tuple[str, str], list[CaptionAnswer]] = {}
    for answer in answers:
        by_key.setdefault((answer.clip_id, answer.prompt_digest), []).append(answer)
    return [
        _caption(
            clip,
            by_key.get((clip.clip_id, dense.digest), []),
            by_key.get((clip.clip_id, short.digest), []),
            f"{dense.digest}+{short.digest}",
        )
        for clip in clips
    ]


def error_caption(clip_id: str, media_id: str, prompt_digest: str, detail: str) -> Caption:
    """Return the row of an attempt that never reached an answer."""
    return Caption(
        clip_id=clip_id,
        media_id=media_id,
        outcome=Outcome.ERROR,
        text=None,
        short=None,
        captioner="",
        model="",
        revision="",
        prompt_digest=prompt_digest,
        decoding="{}",
        frames_shown=(),
        detail=detail,
    )


def _request(clip: ClipFrames, prompt: Prompt) -> CaptionRequest:
    return CaptionRequest(
        clip_id=clip.clip_id,
        media_id=clip.media_id,
        frames_THWC=clip.frames_THWC,
        times_s=clip.times_s,
        prompt=prompt,
    )


def _caption(
    clip: ClipFrames, dense: list[CaptionAnswer], short: list[CaptionAnswer], prompt_digest: str
) -> Caption:
    """Join the two answers for one clip: OK only when both are, else the first that is not says why."""
    if len(dense) != 1 or len(short) != 1:
        detail = f"{len(dense)} dense and {len(short)} short answers echo this clip id, not one of each"
        return error_caption(clip.clip_id, clip.media_id, prompt_digest, detail)
    worst = next((answer for answer in (dense[0], short[0]) if answer.outcome is not Outcome.OK), dense[0])
    ok = worst.outcome is Outcome.OK
    return Caption(
        clip_id=clip.clip_id,
        media_id=clip.media_id,
        outcome=worst.outcome,
        text=dense[0].text if ok else None,
        short=short[0].text if ok else None,
        captioner=worst.provenance.captioner,
        model=worst.provenance.model,
        revision=worst.provenance.revision,
        prompt_digest=prompt_digest,
        decoding=worst.provenance.decoding,
        frames_shown=worst.frames_shown,
        detail=worst.detail,
    )
