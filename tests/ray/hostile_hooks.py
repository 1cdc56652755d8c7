"""Stands in for the analysis of a source, and does what a file's name says. Imported in other processes."""

import os
import signal
from pathlib import Path

from manifests.records import Source
from pipeline.analysis import Analysis, measure
from pipeline.config import AnalyzeConfig
from video.config import SandboxConfig


def measure_or_die(source: Source, config: AnalyzeConfig, limits: SandboxConfig) -> Analysis:
    """Analyse, but end this process for `crash…`, the Ray worker above it for `worker…`, and the first time
    for `unlucky…`."""
    path = Path(source.uri)
    if path.name.startswith("crash"):
        signal.raise_signal(signal.SIGSEGV)
    if path.name.startswith("worker"):
        os.kill(os.getppid(), signal.SIGKILL)
        signal.pause()
    if path.name.startswith("unlucky") and not (mark := path.with_suffix(".tried")).exists():
        mark.touch()
        os.abort()
    return measure(source, config, limits)
