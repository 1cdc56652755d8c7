"""Tell when a new picture begins, whatever the frame rate.

Animation holds each drawing for two or three frames, and slow motion changes little from one frame to the
next. So a frame is compared with the first frame of the picture that stands, not with the one before it.

Legend: H height, W width.
"""

import cv2
import numpy as np

HOLD_S = 0.26
"""A picture that stands for longer is frozen, seconds; held drawings and low frame rates are motion."""
_MIN_CHANGE = 0.25
"""Least mean difference in luma of two pictures, of 255."""


class PictureChanges:
    """Compares each frame with the first frame of the current picture."""

    def __init__(self) -> None:
        self._picture_HW: np.ndarray | None = None

    def __call__(self, gray_HW: np.ndarray) -> bool:
        """Return whether a new picture begins with this frame. Call for every frame, in order."""
        picture_HW = self._picture_HW
        if picture_HW is not None and cv2.norm(gray_HW, picture_HW, cv2.NORM_L1) < _MIN_CHANGE * gray_HW.size:
            return False
        self._picture_HW = gray_HW
        return True
