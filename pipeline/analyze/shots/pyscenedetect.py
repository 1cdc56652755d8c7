"""Hard cuts by PySceneDetect's detectors (https://www.scenedetect.com), fed with our own frames."""

import cv2
import numpy as np
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector, ContentDetector

from pipeline.analyze.shots.boundaries import Boundary
from pipeline.analyze.signals.frame_view import FrameView
from pipeline.config import AnalyzeConfig

_PAD = 2
"""The first and the last frame are shown so many times more, so that a cut next to either is found."""
_NOMINAL_FPS = 25.0
"""Timecodes only count frames here; their rate has no effect."""


class PySceneDetector:
    """Collects the frames at which a new shot begins."""

    settled = 0

    def __init__(self, config: AnalyzeConfig) -> None:
        self._detector = _detector(config)
        self._cuts: list[int] = []
        self._fed = 0
        self._last_HWC: np.ndarray | None = None

    def update(self, look: FrameView) -> list[Boundary]:
        bgr_HWC = cv2.cvtColor(look.rgb_HWC, cv2.COLOR_RGB2BGR)
        if self._last_HWC is None:
            self._pad(bgr_HWC)
        self._feed(bgr_HWC)
        self._last_HWC = bgr_HWC
        return []

    def finish(self) -> list[Boundary]:
        """Return the hard cuts, all of them. Call once, after the last frame."""
        num_frames = self._fed - _PAD
        if self._last_HWC is not None:
            self._pad(self._last_HWC)
        return [Boundary(start=cut, end=cut) for cut in sorted(set(self._cuts)) if 0 < cut < num_frames]

    def _pad(self, bgr_HWC: np.ndarray) -> None:
        for _ in range(_PAD):
            self._feed(bgr_HWC)

    def _feed(self, bgr_HWC: np.ndarray) -> None:
        found = self._detector.process_frame(FrameTimecode(self._fed, _NOMINAL_FPS), bgr_HWC)
        self._cuts += [timecode.frame_num - _PAD for timecode in found]
        self._fed += 1


def _detector(config: AnalyzeConfig) -> ContentDetector:
    if config.detector == "content":
        return ContentDetector(threshold=config.content_threshold, min_scene_len=0)
    return AdaptiveDetector(
        adaptive_threshold=config.adaptive_threshold,
        min_content_val=config.adaptive_min_content,
        window_width=_PAD,
        min_scene_len=0,
    )
