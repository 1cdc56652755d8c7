"""All analyzers of the decoding pass, and the columns that they add to the clips table."""

from pipeline.analyzers.borders import Borders
from pipeline.analyzers.fingerprint import Fingerprint
from pipeline.analyzers.light import Light
from pipeline.analyzers.look import Analyzer
from pipeline.analyzers.motion import Motion
from pipeline.analyzers.sharpness import Sharpness
from pipeline.analyzers.thumbnail import Thumbnail
from pipeline.config import AnalyzeConfig
from pipeline.scorers.columns import SCORED

SCORES = (
    *Light.COLUMNS,
    *Sharpness.COLUMNS,
    *Motion.COLUMNS,
    *Borders.COLUMNS,
    *Fingerprint.COLUMNS,
    *Thumbnail.COLUMNS,
    *SCORED,
)


def analyzers(config: AnalyzeConfig) -> list[Analyzer]:
    """Return fresh analyzers for one source."""
    return [
        Light(),
        Sharpness(),
        Motion(),
        Borders(config.analysis_width_px),
        Fingerprint(config.analysis_width_px),
        Thumbnail(config.thumbnail_quality),
    ]
