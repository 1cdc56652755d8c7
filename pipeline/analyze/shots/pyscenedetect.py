"""Hard cuts by the detectors of PySceneDetect (https://www.scenedetect.com)."""

import cv2
import numpy as np
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector, ContentDetector

from pipeline.analyze.shots.boundaries import Boundary
from pipeline.analyze.signals.frame_view import FrameView
from pipeline.config import AnalyzeConfig

_PAD = 2
"""Copies of the first and the last frame added at either end, so that cuts next to them are found."""
_NOMINAL_FPS = 25.0
"""Timecodes only count frames; this rate has no effect."""


class PySceneDetector:
    """Collects the first frames of new shots."""

    num_stable = 0

    def __init__(self, config: AnalyzeConfig) -> None:
        self._detector = _create(config)
        self._cuts: list[int] = []
        self._num_processed = 0
        self._last_HWC: np.ndarray | None = None

    def update(self, view: FrameView) -> list[Boundary]:
        bgr_HWC = cv2.cvtColor(view.rgb_HWC, cv2.COLOR_RGB2BGR)
        if self._last_HWC is None:
            self._pad(bgr_HWC)
        self._process(bgr_HWC)
        self._last_HWC = bgr_HWC
        return []

    def finish(self) -> list[Boundary]:
        """Return all hard cuts. Call once, after the last frame."""
        num_frames = self._num_processed - _PAD
        if self._last_HWC is not None:
            self._pad(self._last_HWC)
        return [Boundary(start=cut, end=cut) for cut in sorted(set(self._cuts)) if 0 < cut < num_frames]

    def _pad(self, bgr_HWC: np.ndarray) -> None:
        for _ in range(_PAD):
            self._process(bgr_HWC)

    def _process(self, bgr_HWC: np.ndarray) -> None:
        cuts = self._detector.process_frame(FrameTimecode(self._num_processed, _NOMINAL_FPS), bgr_HWC)
        self._cuts += [timecode.frame_num - _PAD for timecode in cuts]
        self._num_processed += 1


def _create(config: AnalyzeConfig) -> ContentDetector:
    if config.detector == "content":
        return ContentDetector(threshold=config.content_threshold, min_scene_len=0)
    return AdaptiveDetector(
        adaptive_threshold=config.adaptive_threshold,
        min_content_val=config.adaptive_min_content,
        window_width=_PAD,
        min_scene_len=0,
    )
