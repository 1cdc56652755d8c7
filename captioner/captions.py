"""Ask a captioner for captions of several lengths; combine the answers into `manifests.records.Caption`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from captioner.prompts import Prompt
from captioner.protocol import CaptionAnswer, Captioner, CaptionRequest
from captioner.transcript import with_transcript
from captioner.windows import merge_parts, merge_texts, window_id, window_spans
from manifests.records import Caption, Outcome


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClipFrames:
    """Frames of one clip, from which a captioner may select."""

    clip_id: str
    media_id: str
    frames_THWC: np.ndarray
    times_s: tuple[float, ...]
    """Time of each frame, in seconds from the start of the clip."""
    heard: str = ""
    """What is heard meanwhile, by a transcript."""


def caption_clips(
    captioner: Captioner,
    clips: Sequence[ClipFrames],
    *,
    dense: Prompt | None = None,
    short: Prompt | None = None,
    medium: Prompt | None = None,
    joint: Prompt | None = None,
    parts: Prompt | None = None,
    window_s: float = 0.0,
) -> list[Caption]:
    """Return one Caption for each of `clips`, in their order, with a text for each prompt.

    A clip with missing or duplicate answers gets an ERROR row. Raises ValueError for a repeated clip id, and
    without a prompt.

    Args:
        joint: one prompt whose answer holds the texts of its `lengths`, instead of one for each length.
        parts: a prompt whose answer lists the parts of the picture, beside the captions.
        window_s: clips longer than this are seen as a whole for the short and the medium text, and by
            windows for the dense one and the parts, which are merged in order. 0 for no windows.
    """
    windows = [_windows_of(clip, window_s) for clip in clips]
    if any(len(own) > 1 for own in windows):
        prompts = {"dense": dense, "short": short, "medium": medium, "joint": joint, "parts": parts}
        return _caption_windows(captioner, clips, windows, prompts)
    prompts = {"dense": dense, "short": short, "medium": medium} if joint is None else {"": joint}
    prompts |= {"parts": parts}
    asked = {length: prompt for length, prompt in prompts.items() if prompt is not None}
    if not asked:
        raise ValueError("no prompt to caption with; give dense, short, medium, joint or parts")
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


def _windows_of(clip: ClipFrames, window_s: float) -> list[ClipFrames]:
    """Return the windows of a clip, whose times begin at 0; the clip alone if it is no longer."""
    spans = window_spans(clip.times_s, window_s)
    if len(spans) < 2:
        return [clip]
    return [
        replace(
            clip,
            clip_id=window_id(clip.clip_id, number),
            frames_THWC=clip.frames_THWC[first:last],
            times_s=tuple(time_s - clip.times_s[first] for time_s in clip.times_s[first:last]),
        )
        for number, (first, last) in enumerate(spans)
    ]


def _caption_windows(
    captioner: Captioner,
    clips: Sequence[ClipFrames],
    windows: Sequence[Sequence[ClipFrames]],
    prompts: Mapping[str, Prompt | None],
) -> list[Caption]:
    """Caption clips of which some have several windows."""
    long = [clip for clip, own in zip(clips, windows, strict=True) if len(own) > 1]
    plain = [clip for clip, own in zip(clips, windows, strict=True) if len(own) == 1]
    pieces = [window for own in windows if len(own) > 1 for window in own]

    def ask(about: Sequence[ClipFrames], lengths: Sequence[str]) -> dict[str, Caption]:
        asked: dict[str, Any] = {length: prompts[length] for length in lengths}
        rows = caption_clips(captioner, about, **asked) if about and any(asked.values()) else []
        return {row.clip_id: row for row in rows}

    alone, seen = ask(plain, [*prompts]), ask(pieces, ("dense", "joint", "parts"))
    whole = ask(long, ("short", "medium", "joint"))
    digest = prompts_digest(*prompts.values())
    return [
        _merge(clip, whole.get(clip.clip_id), own, [seen[window.clip_id] for window in own if seen], digest)
        if len(own) > 1
        else alone[clip.clip_id]
        for clip, own in zip(clips, windows, strict=True)
    ]


def _merge(
    clip: ClipFrames,
    whole: Caption | None,
    windows: Sequence[ClipFrames],
    seen: Sequence[Caption],
    prompt_digest: str,
) -> Caption:
    """Return the caption of a long clip: short texts of the whole, the others of its windows, in order."""
    rows = ([whole] if whole else []) + [*seen]
    names = (["the whole clip"] if whole else []) + [
        f"window {n + 1} of {len(seen)}" for n in range(len(seen))
    ]
    texts = [row.text for row in seen if row.text is not None]
    parts = [row.parts for row in seen if row.parts is not None]
    starts = [sum(len(window.times_s) for window in windows[:number]) for number in range(len(windows))]
    shown = {start + frame for start, row in zip(starts, seen, strict=False) for frame in row.frames_shown}
    shown |= {*whole.frames_shown} if whole else set[int]()
    merged = replace(
        rows[0],
        clip_id=clip.clip_id,
        text=merge_texts(texts) if seen and len(texts) == len(seen) else None,
        short=whole.short if whole else None,
        medium=whole.medium if whole else None,
        parts=merge_parts(parts) if seen and len(parts) == len(seen) else None,
        prompt_digest=prompt_digest,
        frames_shown=tuple(sorted(shown)),
        detail="; ".join(
            f"{name}: {row.detail}" for name, row in zip(names, rows, strict=True) if row.detail
        ),
    )
    for name, row in zip(names, rows, strict=True):
        if row.outcome is not Outcome.OK:
            nothing = dict.fromkeys(("text", "short", "medium", "parts"))
            return replace(merged, **nothing, outcome=row.outcome, detail=f"{name}: {row.detail}")
    return merged


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
    """Return the prompts of a clip by length: those of stills for one frame, with what is heard."""
    return {
        length: with_transcript(prompt.for_frames(len(clip.times_s)), clip.heard)
        for length, prompt in asked.items()
    }


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
    texts: dict[str, str | None] = {}
    for length, answer in single.items():
        texts |= answer.texts or {length: answer.text}
    ok = decisive.outcome is Outcome.OK
    details = dict.fromkeys(answer.detail for answer in single.values() if answer.detail)
    return Caption(
        clip_id=clip.clip_id,
        media_id=clip.media_id,
        outcome=decisive.outcome,
        text=texts.get("dense") if ok else None,
        short=texts.get("short") if ok else None,
        medium=texts.get("medium") if ok else None,
        parts=texts.get("parts") if ok else None,
        captioner=decisive.provenance.captioner,
        model=decisive.provenance.model,
        revision=decisive.provenance.revision,
        prompt_digest=prompt_digest,
        decoding=decisive.provenance.decoding,
        frames_shown=decisive.frames_shown,
        detail="; ".join(details) if ok else decisive.detail,
        heard=clip.heard,
    )
