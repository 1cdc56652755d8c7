"""Route each clip to the embedded model or to `facts`."""

from collections.abc import Sequence
from dataclasses import replace

from captioner.domain import (
    PROBE_FRAMES,
    ShownColors,
    color_mismatch,
    is_about_a_game,
    is_confident,
    is_simulated_world,
    shown_colors,
)
from captioner.frames import sample_uniform
from captioner.outcome import Outcome
from captioner.prompts import Prompt
from captioner.protocol import CaptionAnswer, Captioner, CaptionRequest

REVISION = "auto-4"
"""Part of the caption version: increment when other answers are accepted."""


class AutoCaptioner:
    """Captions simulated worlds with the embedded model, all other clips with `facts`.

    An answer of the embedded model is accepted if it is OK, confident, and names no colours but those that
    the frames show, and all of these; of a game, the longest one alone names all. `facts` captions the clips
    of which one answer is not accepted.
    """

    def __init__(self, embedded: Captioner, facts: Captioner, prompts: dict[str, Prompt]) -> None:
        """Args:
        prompts: the embedded model's own prompt for each digest that requests may have.
        """
        self.embedded, self.facts, self.prompts = embedded, facts, prompts

    def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        """Answer every request; all requests about a clip by the same captioner."""
        clips = {r.clip_id: r for r in requests}
        routing = {clip_id: is_simulated_world(_probe_frames(r)) for clip_id, r in clips.items()}
        attempts = self._ask_embedded([r for r in requests if routing[r.clip_id][0]])
        shown = {a.clip_id: shown_colors(clips[a.clip_id].frames_THWC) for a in attempts}
        rejected: dict[str, str] = {}
        longest = dict.fromkeys(shown, "")
        for attempt in attempts:
            longest[attempt.clip_id] = max(longest[attempt.clip_id], attempt.text or "", key=len)
        for attempt in attempts:
            dense = longest[attempt.clip_id]
            whole = attempt.text == dense or not is_about_a_game(dense)
            if reason := _rejection(attempt, shown[attempt.clip_id], whole=whole):
                rejected.setdefault(attempt.clip_id, reason)
        accepted = [_with_detail(a, routing[a.clip_id][1]) for a in attempts if a.clip_id not in rejected]
        remaining = [r for r in requests if not routing[r.clip_id][0] or r.clip_id in rejected]
        fallback = self.facts.caption(remaining) if remaining else []
        return accepted + [
            _with_detail(_with_detail(a, routing[a.clip_id][1]), rejected.get(a.clip_id, ""))
            for a in fallback
        ]

    def _ask_embedded(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        """Caption with the embedded model's prompts; return answers under the requested digests."""
        translated = [replace(r, prompt=self.prompts[r.prompt.digest]) for r in requests]
        requested = {own.digest: digest for digest, own in self.prompts.items()}
        answers = self.embedded.caption(translated) if translated else []
        return [replace(a, prompt_digest=requested[a.prompt_digest]) for a in answers]


def _probe_frames(request: CaptionRequest):
    return request.frames_THWC[list(sample_uniform(len(request.frames_THWC), PROBE_FRAMES))]


def _with_detail(answer: CaptionAnswer, reason: str) -> CaptionAnswer:
    return replace(answer, detail="; ".join(part for part in (answer.detail, reason) if part))


def _rejection(attempt: CaptionAnswer, shown: ShownColors, *, whole: bool) -> str:
    """Return why an answer of the embedded model is not accepted; empty if it is.

    Args:
        whole: whether it should name all colours that show.
    """
    if attempt.outcome is not Outcome.OK:
        reason = str(attempt.outcome)
    elif not is_confident(attempt.confidence):
        reason = "no confidence" if attempt.confidence is None else f"confidence {attempt.confidence:.2f}"
    else:
        reason = color_mismatch(attempt.text or "", shown, whole=whole)
    return f"the embedded model's answer was rejected ({reason})" if reason else ""
