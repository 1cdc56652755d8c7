"""All analyzers of the decoding pass, and all score columns of the clips table."""

from pipeline.analyze.signals.borders import Borders
from pipeline.analyze.signals.fingerprint import Fingerprint
from pipeline.analyze.signals.frame_view import Analyzer
from pipeline.analyze.signals.light import Light
from pipeline.analyze.signals.motion import Motion
from pipeline.analyze.signals.sharpness import Sharpness
from pipeline.analyze.signals.thumbnail import Thumbnail
from pipeline.columns import SCORER_COLUMNS
from pipeline.config import AnalyzeConfig

ANALYZER_COLUMNS = (
    *Light.COLUMNS,
    *Sharpness.COLUMNS,
    *Motion.COLUMNS,
    *Borders.COLUMNS,
    *Fingerprint.COLUMNS,
    *Thumbnail.COLUMNS,
)
SCORE_COLUMNS = (*ANALYZER_COLUMNS, *SCORER_COLUMNS)
"""Also those of the scorers, which stand in the scores table."""


def create_analyzers(config: AnalyzeConfig) -> list[Analyzer]:
    """Create the analyzers for one source."""
    return [
        Light(),
        Sharpness(),
        Motion(),
        Borders(config.analysis_width_px),
        Fingerprint(config.analysis_width_px),
        Thumbnail(config.thumbnail_quality),
    ]
