"""Load the agreement scorer of a configuration."""

from captioner.agreement import AgreementScorer
from pipeline.config import AuditConfig


def load_scorer(config: AuditConfig) -> AgreementScorer:
    """Load a model of images and texts if one is named, else the scorer that needs none.

    Raises ValueError as `captioner.embedding.load_embedder`.
    """
    if config.clip_model:
        from captioner.clip_scorer import ClipScorer

        return ClipScorer(config.clip_model)
    from captioner.measured_scorer import MeasuredScorer

    return MeasuredScorer()
