"""Load the agreement scorer of a configuration."""

from captioner.agreement import AgreementScorer
from pipeline.config import AuditConfig


def load_scorer(config: AuditConfig) -> AgreementScorer:
    """Load open_clip if weights are given, else the scorer that needs none.

    Raises ValueError for an open_clip model that does not say how it wants its pixels.
    """
    if config.clip_model:
        from captioner.clip_scorer import ClipScorer

        return ClipScorer(config.clip_model)
    from captioner.measured_scorer import MeasuredScorer

    return MeasuredScorer()
