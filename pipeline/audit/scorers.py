"""Load the agreement scorer of a configuration."""

from importlib.util import find_spec

from captioner.agreement import AgreementScorer
from pipeline.config import AuditConfig


def load_scorer(config: AuditConfig) -> AgreementScorer:
    """Load a model of images and texts if one is named, else the scorer that ships.

    Without the package open_clip it is the one that measures; the scorer's name tells which it was.

    Raises ValueError as `captioner.embedding.load_embedder`.
    """
    if config.clip_model:
        from captioner.clip_scorer import ClipScorer

        return ClipScorer(config.clip_model)
    if find_spec("open_clip") is not None:
        from captioner.embedded_scorer import EmbeddedScorer

        return EmbeddedScorer()
    from captioner.measured_scorer import MeasuredScorer

    return MeasuredScorer()
