"""Ask a captioner about a batch of clips so that an error of one clip stays with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from captioner.protocol import CaptionAnswer, Captioner, CaptioningStopped, CaptionRequest, DeviceLost
from captioner.windows import clip_of
from manifests.records import Failure


@dataclass(frozen=True, kw_only=True, slots=True)
class AnsweredBatch:
    """The rows of a batch."""

    rows: list[Any]
    failures: list[Failure]
    num_ok: int
    """Captions, or answers, that are none of a failure."""
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    """What else is counted of the answers."""
    num_left: int = 0
    """Clips that were not asked about, or not about all, because the captioner stopped."""
    stopped: str = ""
    """Why it stopped."""


class GuardedCaptioner:
    """Answers what another captioner answers; notes what it raises, and the clips left once it stops."""

    def __init__(self, captioner: Captioner) -> None:
        self._captioner = captioner
        self.errors: dict[str, Exception] = {}
        """By clip id, of clips asked about alone."""
        self.left: set[str] = set()
        """Ids of clips with a request that was not asked."""
        self.stopped = ""

    def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        """Answer what can be answered: clip by clip if all together raise.

        Raises DeviceLost if the captioner can no longer work.
        """
        if not requests:
            return []
        try:
            return self._captioner.caption(requests)
        except DeviceLost:
            raise
        except CaptioningStopped as stop:
            self.stopped = str(stop)
            answered = {(answer.clip_id, answer.prompt_digest) for answer in stop.answers}
            self.left |= {
                clip_of(r.clip_id) for r in requests if (r.clip_id, r.prompt.digest) not in answered
            }
            return [*stop.answers]
        except Exception as error:
            clips: dict[str, list[CaptionRequest]] = {}
            for request in requests:
                clips.setdefault(clip_of(request.clip_id), []).append(request)
            if len(clips) > 1:
                return [answer for clip in clips.values() for answer in self.caption(clip)]
            self.errors[clip_of(requests[0].clip_id)] = error
            return []
