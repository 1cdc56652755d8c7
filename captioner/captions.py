"""Ask a captioner for dense and short captions, and combine the answers into `manifests.records.Caption`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from captioner.prompts import Prompt
from captioner.protocol import CaptionAnswer, Captioner, CaptionRequest
from manifests.records import Caption, Outcome


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClipFrames:
    """Frames of one clip, from which a captioner may select."""

    clip_id: str
    media_id: str
    frames_THWC: np.ndarray
    times_s: tuple[float, ...]
    """Time of each frame, in seconds from the start of the clip."""


def caption_clips(
    captioner: Captioner, clips: Sequence[ClipFrames], *, dense: Prompt, short: Prompt
) -> list[Caption]:
    """Return one Caption, dense and short, for each clip, in the order of `clips`.

    A clip with missing or duplicate answers gets an ERROR row. Raises ValueError for a repeated clip id.
    """
    ids = [clip.clip_id for clip in clips]
    if len(set(ids)) != len(ids):
        raise ValueError("two clips of a batch have the same clip_id; pass each clip once")
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
    """Return the ERROR row of an attempt without an answer."""
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
    """Combine the answers for one clip; the first that is not OK decides the outcome."""
    if len(dense) != 1 or len(short) != 1:
        detail = f"{len(dense)} dense and {len(short)} short answers for this clip, expected one of each"
        return error_caption(clip.clip_id, clip.media_id, prompt_digest, detail)
    decisive = next((answer for answer in (dense[0], short[0]) if answer.outcome is not Outcome.OK), dense[0])
    ok = decisive.outcome is Outcome.OK
    return Caption(
        clip_id=clip.clip_id,
        media_id=clip.media_id,
        outcome=decisive.outcome,
        text=dense[0].text if ok else None,
        short=short[0].text if ok else None,
        captioner=decisive.provenance.captioner,
        model=decisive.provenance.model,
        revision=decisive.provenance.revision,
        prompt_digest=prompt_digest,
        decoding=decisive.provenance.decoding,
        frames_shown=decisive.frames_shown,
        detail=decisive.detail,
    )
