"""Find where shots begin and end: one interface, several detectors."""

import itertools
from typing import Protocol

import numpy as np

from pipeline.analyze.shots.boundaries import Boundary, decide, settled
from pipeline.analyze.shots.features import REACH_FRAMES, REACH_S, downscale, features
from pipeline.analyze.shots.model import ShotModel, load
from pipeline.analyze.signals.frame_view import FrameView, Span
from pipeline.config import AnalyzeConfig

_CHUNK = 128
"""Frames that are decided on at once: what is kept of a long video does not grow with it."""


class Detector(Protocol):
    """Fed once with every frame, in order; asked for the boundaries between shots."""

    settled: int
    """Boundaries that start before this frame were returned."""

    def update(self, look: FrameView) -> list[Boundary]:
        """Take a frame; return the boundaries that are certain now, in order."""
        ...

    def finish(self) -> list[Boundary]:
        """Return those that no `update` returned; none is at the first frame nor after the last."""
        ...


def create_detector(config: AnalyzeConfig) -> Detector:
    """Return a fresh detector of the kind that the configuration names."""
    if config.detector == "learned":
        return Learned(load(), config.shot_threshold, config.transition_threshold)
    if config.detector == "transnetv2":
        from pipeline.analyze.shots.transnet import (
            TransNet,  # torch, which the decoding process else never loads
        )

        return TransNet(config.shot_threshold)
    from pipeline.analyze.shots.pyscenedetect import (
        PySceneDetector,  # PySceneDetect takes a third of a second to import
    )

    return PySceneDetector(config)


class Learned:
    """Hard cuts, dissolves, fades and whip pans, by a small network on differences in time.

    Flashes, moving things and a moving camera are none of these.
    """

    def __init__(self, model: ShotModel, cut: float, transition: float) -> None:
        self._model, self._thresholds = model, (cut, transition)
        self._small: list[np.ndarray] = []
        self._time: list[float] = []
        self._known = 0
        """So many of the frames at hand were judged, and are there only to look back at."""
        self.settled = 0
        self._likely_T2 = np.zeros((0, 2), np.float32)
        """Of the judged frames from `settled` on: how likely a cut, and to lie in a transition."""
        self._time_T = np.zeros(0)

    def update(self, look: FrameView) -> list[Boundary]:
        self._small.append(downscale(look.half_res_HWC))
        self._time.append(look.time_s)
        ready = self._known + _CHUNK
        far = len(self._time) >= ready + REACH_FRAMES
        if not far or self._time[-1] - self._time[ready - 1] <= REACH_S:
            return []
        self._judge(ready)
        return self._decided(settled(self._likely_T2[:, 0], self._likely_T2[:, 1], *self._thresholds))

    def finish(self) -> list[Boundary]:
        self._judge(len(self._time))
        return self._decided(len(self._time_T))

    def _decided(self, end: int) -> list[Boundary]:
        """Return the boundaries among the first `end` judged frames at hand, and let go of these."""
        if not end:
            return []
        likely_T2, time_T = self._likely_T2[:end], self._time_T[:end]
        found = decide(likely_T2[:, 0], likely_T2[:, 1], time_T, *self._thresholds)
        self._likely_T2, self._time_T = self._likely_T2[end:], self._time_T[end:]
        first, self.settled = self.settled, self.settled + end
        return [Boundary(start=first + each.start, end=first + each.end) for each in found]

    def _judge(self, ready: int) -> None:
        """Judge the frames at hand up to `ready`, and let go of those that none will look back at."""
        if ready <= self._known:
            return
        time_T = np.array(self._time)
        seen_TF = features(np.stack(self._small), time_T, self._known, ready)
        likely_T2 = np.stack(self._model(seen_TF), axis=1)
        self._likely_T2 = np.concatenate([self._likely_T2, likely_T2])
        self._time_T = np.concatenate([self._time_T, time_T[self._known : ready]])
        first = int(np.searchsorted(time_T, time_T[ready - 1] - REACH_S))
        first = max(0, min(first, ready - REACH_FRAMES))
        del self._small[:first], self._time[:first]
        self._known = ready - first


def split_span(span: Span, parts: int) -> list[Span]:
    """Split a span into `parts` spans whose lengths differ by one frame at most."""
    edges = [span.start + round(i * (span.end - span.start) / parts) for i in range(parts + 1)]
    return [Span(start=a, end=b) for a, b in itertools.pairwise(edges) if b > a]
