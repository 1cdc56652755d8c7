"""Ask a captioner for captions of several lengths; combine the answers into `manifests.records.Caption`."""

from collections.abc import Mapping, Sequence
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
    captioner: Captioner,
    clips: Sequence[ClipFrames],
    *,
    dense: Prompt | None = None,
    short: Prompt | None = None,
    medium: Prompt | None = None,
    joint: Prompt | None = None,
) -> list[Caption]:
    """Return one Caption for each of `clips`, in their order, with a text for each prompt.

    A clip with missing or duplicate answers gets an ERROR row. Raises ValueError for a repeated clip id, and
    without a prompt.

    Args:
        joint: one prompt whose answer holds the texts of its `lengths`, instead of the others.
    """
    prompts = {"dense": dense, "short": short, "medium": medium} if joint is None else {"": joint}
    asked = {length: prompt for length, prompt in prompts.items() if prompt is not None}
    if not asked:
        raise ValueError("no prompt to caption with; give dense, short, medium or joint")
    ids = [clip.clip_id for clip in clips]
    if len(set(ids)) != len(ids):
        raise ValueError("two clips of a batch have the same clip_id; pass each clip once")
    requests = [_request(clip, prompt) for clip in clips for prompt in _prompts_of(clip, asked).values()]
    by_key: dict[tuple[str, str], list[CaptionAnswer]] = {}
    for answer in captioner.caption(requests):
        by_key.setdefault((answer.clip_id, answer.prompt_digest), []).append(answer)
    digest = prompts_digest(*prompts.values())
    return [
        _caption(
            clip,
            {
                length: by_key.get((clip.clip_id, prompt.digest), [])
                for length, prompt in _prompts_of(clip, asked).items()
            },
            digest,
        )
        for clip in clips
    ]


def prompts_digest(*prompts: Prompt | None) -> str:
    """Return the digest of the prompts of a caption, those of stills included."""
    named = [prompt for prompt in prompts if prompt is not None]
    stills = [prompt.still for prompt in named if prompt.still is not None]
    return "+".join(prompt.digest for prompt in (*named, *stills))


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


def _prompts_of(clip: ClipFrames, asked: Mapping[str, Prompt]) -> dict[str, Prompt]:
    """Return the prompts of a clip by length: those of stills for one frame."""
    return {length: prompt.for_frames(len(clip.times_s)) for length, prompt in asked.items()}


def _request(clip: ClipFrames, prompt: Prompt) -> CaptionRequest:
    return CaptionRequest(
        clip_id=clip.clip_id,
        media_id=clip.media_id,
        frames_THWC=clip.frames_THWC,
        times_s=clip.times_s,
        prompt=prompt,
    )


def _caption(clip: ClipFrames, answers: Mapping[str, list[CaptionAnswer]], prompt_digest: str) -> Caption:
    """Combine the answers for one clip by length; the first that is not OK decides the outcome."""
    if any(len(found) != 1 for found in answers.values()):
        counts = " and ".join(f"{len(found)} {length}".strip() for length, found in answers.items())
        detail = f"{counts} answers for this clip, expected one of each"
        return error_caption(clip.clip_id, clip.media_id, prompt_digest, detail)
    single = {length: found[0] for length, found in answers.items()}
    first = next(iter(single.values()))
    decisive = next((answer for answer in single.values() if answer.outcome is not Outcome.OK), first)
    texts = {length: answer.text for length, answer in single.items() if length} or decisive.texts
    ok = decisive.outcome is Outcome.OK
    return Caption(
        clip_id=clip.clip_id,
        media_id=clip.media_id,
        outcome=decisive.outcome,
        text=texts.get("dense") if ok else None,
        short=texts.get("short") if ok else None,
        medium=texts.get("medium") if ok else None,
        captioner=decisive.provenance.captioner,
        model=decisive.provenance.model,
        revision=decisive.provenance.revision,
        prompt_digest=prompt_digest,
        decoding=decisive.provenance.decoding,
        frames_shown=decisive.frames_shown,
        detail=decisive.detail,
    )
