"""Chooses, clip by clip, between the embedded model and `facts`; every answer says whose it is."""

from collections.abc import Sequence
from dataclasses import replace

from captioner.domain import is_believed, is_simulated_world
from captioner.frames import sample_uniform
from captioner.outcome import Outcome
from captioner.prompts import Prompt
from captioner.protocol import CaptionAnswer, Captioner, CaptionRequest

PROBE_FRAMES = 3
"""Frames that decide whether a clip is flat."""


class AutoCaptioner:
    """Asks the embedded model where the frames look like a simulated world, else `facts`.

    A clip also goes to `facts` when an answer of the embedded model is unsure or not OK.
    """

    def __init__(self, embedded: Captioner, facts: Captioner, prompts: dict[str, Prompt]) -> None:
        """`prompts`: by the digest of each prompt that may be asked, the embedded model's own."""
        self.embedded, self.facts, self.prompts = embedded, facts, prompts

    def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        """Answer every request, each echoing the clip id and the prompt that was asked for."""
        clips = {r.clip_id: r for r in requests}
        why = {clip_id: is_simulated_world(_probe_frames(r)) for clip_id, r in clips.items()}
        tried = self._ask_embedded([r for r in requests if why[r.clip_id][0]])
        unsure = {a.clip_id: a for a in tried if a.outcome is not Outcome.OK or not is_believed(a.confidence)}
        kept = [_because(a, why[a.clip_id][1]) for a in tried if a.clip_id not in unsure]
        rest = [r for r in requests if not why[r.clip_id][0] or r.clip_id in unsure]
        answered = self.facts.caption(rest) if rest else []
        return kept + [_because(a, _reason(why[a.clip_id][1], unsure.get(a.clip_id))) for a in answered]

    def _ask_embedded(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        """Ask in the embedded model's own words; return the answers under the digests that were asked for."""
        asked = [replace(r, prompt=self.prompts[r.prompt.digest]) for r in requests]
        back = {mine.digest: digest for digest, mine in self.prompts.items()}
        answers = self.embedded.caption(asked) if asked else []
        return [replace(a, prompt_digest=back[a.prompt_digest]) for a in answers]


def _probe_frames(request: CaptionRequest):
    return request.frames_THWC[list(sample_uniform(len(request.frames_THWC), PROBE_FRAMES))]


def _because(answer: CaptionAnswer, reason: str) -> CaptionAnswer:
    return replace(answer, detail="; ".join(part for part in (answer.detail, reason) if part))


def _reason(flatness: str, unsure: CaptionAnswer | None) -> str:
    if unsure is None:
        return flatness
    sure = "none" if unsure.confidence is None else f"{unsure.confidence:.2f}"
    return f"{flatness}; the embedded model was not believed ({unsure.outcome}, confidence {sure})"
