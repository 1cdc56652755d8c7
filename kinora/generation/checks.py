"""What a video is checked for before and after it is made, and how its file is signed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from kinora.generation.credentials import ContentSigner
from kinora.generation.request import Request
from kinora.generation.sign_config import SignConfig
from kinora.safety.config import SafetyConfig
from kinora.safety.frames import FrameCheck
from kinora.safety.policy import NOT_CHECKED, Policy, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Finish:
    """What happens to a file before it gets its name."""

    prompts: str = NOT_CHECKED
    """What the check of the prompts found."""
    frames: FrameCheck = field(default_factory=FrameCheck)
    signer: ContentSigner | None = None


class Checks:
    """The checks and the certificate that a configuration names, loaded once."""

    def __init__(self, safety: SafetyConfig, sign: SignConfig) -> None:
        """Load them. Raises ValueError or OSError for what cannot be loaded."""
        self.policy = Policy(safety)
        self._frames = FrameCheck(safety)
        self._signer = ContentSigner(sign) if sign.certificate is not None else None

    def check(self, request: Request) -> Verdict:
        """Return what is found in the prompts of a request. Raises ValueError where that is blocked."""
        verdict = self.policy.check(prompts_of(request.prompt, request.prompt_at))
        if verdict.is_blocked:
            raise ValueError(f"the prompt is not made: {verdict.message} (safety.prompts)")
        return verdict

    def finish(self, record: str) -> Finish:
        """Return how a file is finished; `record` is that of its verdict."""
        return Finish(prompts=record, frames=self._frames, signer=self._signer)


def prompts_of(prompt: str, later: Sequence[tuple[float, str]]) -> list[str]:
    """Return all texts that say what a video shows."""
    return [prompt, *(text for _, text in later)]
