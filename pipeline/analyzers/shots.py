"""Find where shots begin and end: one interface, several detectors."""

import itertools
from typing import Protocol

import numpy as np

from pipeline.analyzers.boundaries import Boundary, decide
from pipeline.analyzers.look import Look, Span
from pipeline.analyzers.shot_features import REACH_FRAMES, REACH_S, features, small
from pipeline.analyzers.shot_model import ShotModel, load
from pipeline.config import AnalyzeConfig

_CHUNK = 512
"""Frames that are decided on at once: what is kept of a long video does not grow with it."""


class Detector(Protocol):
    """Fed once with every frame, in order; then asked once for the boundaries between shots."""

    def update(self, look: Look) -> None: ...

    def finish(self) -> list[Boundary]:
        """Return the boundaries, in order, none at the first frame nor after the last."""
        ...


def detector(config: AnalyzeConfig) -> Detector:
    """Return a fresh detector of the kind that the configuration names."""
    if config.detector == "learned":
        return Learned(load(), config.shot_threshold)
    from pipeline.analyzers.classical import Classical  # PySceneDetect takes a third of a second to import

    return Classical(config)


class Learned:
    """Hard cuts, dissolves, fades and whip pans, by a small network on differences in time.

    Flashes, moving things and a moving camera are none of these.
    """

    def __init__(self, model: ShotModel, threshold: float) -> None:
        self._model, self._threshold = model, threshold
        self._small: list[np.ndarray] = []
        self._time: list[float] = []
        self._known = 0
        """So many of the frames at hand were decided on, and are there only to look back at."""
        self._cut: list[np.ndarray] = []
        self._gradual: list[np.ndarray] = []
        self._times: list[float] = []

    def update(self, look: Look) -> None:
        self._small.append(small(look.rgb_HWC))
        self._time.append(look.time_s)
        self._times.append(look.time_s)
        ready = self._known + _CHUNK
        far = len(self._time) >= ready + REACH_FRAMES
        if far and self._time[-1] - self._time[ready - 1] > REACH_S:
            self._look(ready)

    def finish(self) -> list[Boundary]:
        self._look(len(self._time))
        if not self._cut:
            return []
        cut_T, gradual_T = np.concatenate(self._cut), np.concatenate(self._gradual)
        return decide(cut_T, gradual_T, np.array(self._times), self._threshold)

    def _look(self, ready: int) -> None:
        """Decide on the frames at hand up to `ready`, and let go of those that none will look back at."""
        if ready <= self._known:
            return
        time_T = np.array(self._time)
        cut_T, gradual_T = self._model(features(np.stack(self._small), time_T)[self._known : ready])
        self._cut.append(cut_T)
        self._gradual.append(gradual_T)
        first = int(np.searchsorted(time_T, time_T[ready - 1] - REACH_S))
        first = max(0, min(first, ready - REACH_FRAMES))
        del self._small[:first], self._time[:first]
        self._known = ready - first


def divide(span: Span, parts: int) -> list[Span]:
    """Split a span into `parts` spans whose lengths differ by one frame at most."""
    edges = [span.start + round(i * (span.end - span.start) / parts) for i in range(parts + 1)]
    return [Span(start=a, end=b) for a, b in itertools.pairwise(edges) if b > a]
