"""Shot detectors behind one interface.

Legend: T frames.
"""

import itertools
from typing import Protocol

import numpy as np

from pipeline.analyze.shots.boundaries import Boundary, find_boundaries, stable_prefix
from pipeline.analyze.shots.features import CONTEXT_FRAMES, CONTEXT_S, downscale, features
from pipeline.analyze.shots.model import ShotModel, load_shot_model
from pipeline.analyze.signals.frame_view import FrameView, Span
from pipeline.config import AnalyzeConfig

_CHUNK = 128
"""Frames that the network processes at once. Bounds memory for a video of any length."""


class Detector(Protocol):
    """Receives every frame once, in order, and returns the boundaries between shots."""

    num_stable: int
    """All boundaries that start before this frame have been returned."""

    def update(self, view: FrameView) -> list[Boundary]:
        """Add a frame; return the boundaries that became certain, in order."""
        ...

    def finish(self) -> list[Boundary]:
        """Return the remaining boundaries; none is at the first frame or after the last."""
        ...


def create_detector(config: AnalyzeConfig) -> Detector:
    """Create the detector named by `config.detector`."""
    if config.detector == "learned":
        return LearnedDetector(load_shot_model(), config.shot_threshold, config.transition_threshold)
    if config.detector == "transnetv2":
        from pipeline.analyze.shots.transnet import TransNetDetector  # imports torch

        return TransNetDetector(config.shot_threshold)
    from pipeline.analyze.shots.pyscenedetect import PySceneDetector  # takes 0.3 s to import

    return PySceneDetector(config)


class LearnedDetector:
    """Detects hard cuts, dissolves, fades and whip pans with a small network on temporal differences.

    It is trained to ignore flashes, moving objects and camera motion.
    """

    def __init__(self, model: ShotModel, cut: float, transition: float) -> None:
        self._model, self._thresholds = model, (cut, transition)
        self._small_frames: list[np.ndarray] = []
        self._times_s: list[float] = []
        self._num_context = 0
        """Number of buffered frames already processed, kept as context for later ones."""
        self.num_stable = 0
        self._probs_T2 = np.zeros((0, 2), np.float32)
        """Of processed frames from `num_stable` on: probability of a cut, and of a gradual transition."""
        self._time_T = np.zeros(0)

    def update(self, view: FrameView) -> list[Boundary]:
        self._small_frames.append(downscale(view.half_res_HWC))
        self._times_s.append(view.time_s)
        end = self._num_context + _CHUNK
        if (
            len(self._times_s) < end + CONTEXT_FRAMES
            or self._times_s[-1] - self._times_s[end - 1] <= CONTEXT_S
        ):
            return []
        self._predict(end)
        return self._pop_boundaries(
            stable_prefix(self._probs_T2[:, 0], self._probs_T2[:, 1], *self._thresholds)
        )

    def finish(self) -> list[Boundary]:
        self._predict(len(self._times_s))
        return self._pop_boundaries(len(self._time_T))

    def _pop_boundaries(self, end: int) -> list[Boundary]:
        """Return the boundaries among the first `end` predicted frames, and drop these frames."""
        if not end:
            return []
        probs_T2, time_T = self._probs_T2[:end], self._time_T[:end]
        boundaries = find_boundaries(probs_T2[:, 0], probs_T2[:, 1], time_T, *self._thresholds)
        self._probs_T2, self._time_T = self._probs_T2[end:], self._time_T[end:]
        first, self.num_stable = self.num_stable, self.num_stable + end
        return [Boundary(start=first + each.start, end=first + each.end) for each in boundaries]

    def _predict(self, end: int) -> None:
        """Run the network on the buffered frames before `end`, and drop frames that no later one needs."""
        if end <= self._num_context:
            return
        time_T = np.array(self._times_s)
        features_TF = features(np.stack(self._small_frames), time_T, self._num_context, end)
        probs_T2 = np.stack(self._model(features_TF), axis=1)
        self._probs_T2 = np.concatenate([self._probs_T2, probs_T2])
        self._time_T = np.concatenate([self._time_T, time_T[self._num_context : end]])
        first = int(np.searchsorted(time_T, time_T[end - 1] - CONTEXT_S))
        first = max(0, min(first, end - CONTEXT_FRAMES))
        del self._small_frames[:first], self._times_s[:first]
        self._num_context = end - first


def split_span(span: Span, count: int) -> list[Span]:
    """Split a span into `count` spans whose lengths differ by at most one frame."""
    edges = [span.start + round(i * (span.end - span.start) / count) for i in range(count + 1)]
    return [Span(start=a, end=b) for a, b in itertools.pairwise(edges) if b > a]
