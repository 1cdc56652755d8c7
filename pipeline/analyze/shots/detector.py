"""Shot detectors behind one interface.

Legend: T frames.
"""

from typing import NamedTuple, Protocol

import cv2
import numpy as np

from pipeline.analyze.shots.boundaries import (
    SLOW_SHARE,
    Boundary,
    find_boundaries,
    slow_candidates,
    stable_prefix,
)
from pipeline.analyze.shots.features import (
    CONTEXT_FRAMES,
    CONTEXT_S,
    FrameStatistics,
    downscale,
    features,
    statistics,
)
from pipeline.analyze.shots.model import ShotModel, load_shot_model
from pipeline.analyze.shots.refine import MARGIN_FRAMES, Evidence, decide_slides, events, refine
from pipeline.analyze.shots.structure import is_blank
from pipeline.analyze.signals.frame_view import FrameView
from pipeline.config import AnalyzeConfig

_CHUNK = 256
"""Frames that the network processes at once. Bounds memory for a video of any length."""
_NETWORK_FPS, _MAX_FPS = 30.0, 36.0
"""The network sees about the first, of videos of more than the second."""
_BLENDED = 0.35
"""A change beside the largest one, of a thinned video, is part of the same cut from this share of it on."""


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


def create_detector(config: AnalyzeConfig, fps: float = 0.0) -> Detector:
    """Create the detector named by `config.detector` for a video of `fps` frames a second (0: not known)."""
    if config.detector == "learned":
        return LearnedDetector(load_shot_model(), config.shot_threshold, config.transition_threshold, fps)
    if config.detector == "transnetv2":
        from pipeline.analyze.shots.transnet import TransNetDetector  # imports torch

        return TransNetDetector(config.shot_threshold)
    from pipeline.analyze.shots.pyscenedetect import PySceneDetector  # takes 0.3 s to import

    return PySceneDetector(config)


class _Kept(NamedTuple):
    """A frame that the network sees."""

    time_s: float
    small_HWC: np.ndarray
    gray_HW: np.ndarray
    blank: bool
    frame: int
    """Number of the frame, from the first that the detector saw."""
    changes: tuple[float, ...]
    """Mean difference of each frame since the previous kept one from the frame before it; of itself last."""


class LearnedDetector:
    """Detects hard cuts, dissolves, fades and whip pans with a small network on temporal differences.

    It is trained to ignore flashes, strobes, insets, moving objects and camera motion, and its boundaries are
    checked against the frames around them (`refine`). Of a video of more than 36 frames a second it sees
    about 30; a cut is then placed at the largest change between two of them.
    """

    def __init__(self, model: ShotModel, cut: float, transition: float, fps: float = 0.0) -> None:
        self._model, self._thresholds = model, (cut, transition)
        self._thinning = round(fps / _NETWORK_FPS) if fps > _MAX_FPS else 1
        self._slots_per_s = fps / self._thinning
        self._last_slot = -1
        self._last_small_HWC: np.ndarray | None = None
        self._changes: list[float] = []
        self._kept: list[_Kept] = []
        """Frames that are not settled, and those before them that later ones are compared with."""
        self._statistics: FrameStatistics | None = None
        """Of the first of `_kept`."""
        self._num_frames = 0
        self._num_dropped = 0
        """Number of kept frames dropped from the beginning of `_kept`."""
        self._num_settled = 0
        """Number of kept frames whose boundaries have been returned."""
        self._probs_T2 = np.zeros((0, 2), np.float32)
        """Of processed frames from `_num_settled` on: probability of a cut, and of a gradual transition."""
        self.num_stable = 0

    def update(self, view: FrameView) -> list[Boundary]:
        small_HWC = downscale(view.half_res_HWC)
        frame, self._num_frames = self._num_frames, self._num_frames + 1
        if self._thinning > 1:
            last = small_HWC if self._last_small_HWC is None else self._last_small_HWC
            self._changes.append(cv2.norm(small_HWC, last, cv2.NORM_L1))
            self._last_small_HWC = small_HWC
            slot = int(view.time_s * self._slots_per_s + 0.5 / self._thinning)
            last_slot, self._last_slot = self._last_slot, slot
            if slot == last_slot:
                return []
        changes = tuple(self._changes)
        self._kept.append(_Kept(view.time_s, small_HWC, view.gray_HW, is_blank(view.gray_HW), frame, changes))
        self._changes.clear()
        end = self._num_predicted - self._num_dropped + _CHUNK
        if (
            len(self._kept) < end + max(CONTEXT_FRAMES, MARGIN_FRAMES)
            or view.time_s - self._kept[end - 1].time_s <= CONTEXT_S
        ):
            return []
        self._predict(end)
        return self._settle(at_end=False)

    def finish(self) -> list[Boundary]:
        self._predict(len(self._kept))
        return self._settle(at_end=True)

    @property
    def _num_predicted(self) -> int:
        return self._num_settled + len(self._probs_T2)

    def _predict(self, end: int) -> None:
        """Run the network on the frames `_kept[:end]` that it has not seen."""
        first = self._num_predicted - self._num_dropped
        if end <= first:
            return
        small_THWC = np.stack([each.small_HWC for each in self._kept])
        time_T = np.array([each.time_s for each in self._kept])
        self._statistics = statistics(small_THWC, self._statistics)
        probs_T2 = np.stack(self._model(features(small_THWC, time_T, first, end, self._statistics)), axis=1)
        self._probs_T2 = np.concatenate([self._probs_T2, probs_T2])

    def _settle(self, *, at_end: bool) -> list[Boundary]:
        """Return the boundaries that no later frame can change, and drop the frames that none needs."""
        if not len(self._probs_T2):
            return []
        cut, transition = self._thresholds
        first = self._num_settled - self._num_dropped
        evidence = Evidence(
            grays=[each.gray_HW for each in self._kept],
            small_THWC=np.stack([each.small_HWC for each in self._kept]),
            blank_T=np.array([each.blank for each in self._kept]),
            time_T=np.array([each.time_s for each in self._kept]),
        )
        cut_T, gradual_T = self._probs_T2.T.copy()
        decide_slides(cut_T, gradual_T, evidence, first)
        count = len(cut_T)
        if not at_end:
            blank_T = events(evidence)[first : first + count]
            count = stable_prefix(
                (cut_T > cut) | (gradual_T > SLOW_SHARE * transition) | blank_T, MARGIN_FRAMES
            )
        if not count:
            return []
        time_T = evidence.time_T[first : first + count]
        proposed = find_boundaries(cut_T[:count], gradual_T[:count], time_T, cut, transition)
        slow = slow_candidates(gradual_T[:count], time_T, transition)
        found = refine(_moved(proposed, first), evidence, first, first + count, _moved(slow, first))
        boundaries = [self._in_video(each) for each in found]
        self._num_settled += count
        self._probs_T2 = self._probs_T2[count:]
        if not at_end:
            self.num_stable = self._kept[first + count].frame
        self._drop_kept(evidence.time_T)
        return boundaries

    def _in_video(self, boundary: Boundary) -> Boundary:
        """Translate positions in `_kept` to frames of the video."""
        start, end = self._kept[boundary.start], self._kept[boundary.end]
        if self._thinning == 1:
            return Boundary(start=start.frame, end=end.frame)
        if boundary.end > boundary.start:
            return Boundary(start=self._kept[boundary.start - 1].frame + 1, end=end.frame)
        first = start.frame - len(start.changes) + 1
        largest = max(start.changes)
        changed = [first + at for at, change in enumerate(start.changes) if change >= _BLENDED * largest]
        return Boundary(start=changed[0], end=changed[-1])

    def _drop_kept(self, time_T: np.ndarray) -> None:
        """Drop frames that neither the features of later ones nor later checks need."""
        last = self._num_predicted - 1 - self._num_dropped
        oldest = int(np.searchsorted(time_T, time_T[last] - CONTEXT_S))
        settled = self._num_settled - self._num_dropped
        count = max(0, min(oldest, last + 1 - CONTEXT_FRAMES, settled - MARGIN_FRAMES))
        del self._kept[:count]
        self._statistics = self._statistics.without(count) if self._statistics is not None else None
        self._num_dropped += count


def _moved(boundaries: list[Boundary], frames: int) -> list[Boundary]:
    return [Boundary(start=each.start + frames, end=each.end + frames) for each in boundaries]
