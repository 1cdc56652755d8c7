"""Put given pixels into a decoded video so that no join shows.

A given frame and its decoded version differ a little everywhere. Where given and new frames meet, this
difference is carried over to the new frames and fades out, at pixels that stay what they were at the join.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from trainer.sample.conditions import Kept

SAME, CHANGED = 8.0, 24.0
"""Difference to the frame at the join, of 255: up to the first a pixel is the same, from the second on it is
another."""


@dataclass(slots=True)
class _NewFrame:
    decoded_HWC: np.ndarray
    carried: list[tuple[float, np.ndarray, np.ndarray]] = field(default_factory=list)
    """Weight, share of it at each pixel, and difference, from the join before and from that after."""

    def pixels(self) -> np.ndarray:
        if not self.carried:
            return self.decoded_HWC
        total = max(1.0, sum(weight for weight, _, _ in self.carried))
        sum_HWC = self.decoded_HWC.astype(np.float32)
        for weight, gate_HW, rest_HWC in self.carried:
            sum_HWC += (weight / total * gate_HW)[..., None] * rest_HWC
        return sum_HWC.round().clip(0, 255).astype(np.uint8)


class _Join:
    """A given frame beside new ones: what it has more than its decoded version."""

    def __init__(self, given_HWC: np.ndarray, decoded_HWC: np.ndarray, fade: int) -> None:
        self._decoded_HWC = decoded_HWC.astype(np.float32)
        self._rest_HWC = given_HWC - self._decoded_HWC
        self._gate_HW = np.ones(given_HWC.shape[:2], np.float32)
        self._fade, self._distance = fade, 0

    def carry_to(self, frame: _NewFrame) -> None:
        """Give the next frame away from the join its part."""
        self._distance += 1
        if self._distance > self._fade:
            return
        change_HW = np.abs(frame.decoded_HWC - self._decoded_HWC).max(axis=-1)
        same_HW = ((CHANGED - change_HW) / (CHANGED - SAME)).clip(0, 1)
        self._gate_HW = np.minimum(self._gate_HW, cv2.erode(same_HW, np.ones((3, 3), np.uint8)))
        weight = 1 - self._distance / (self._fade + 1)
        frame.carried.append((weight, self._gate_HW, self._rest_HWC))


def put_kept(
    chunks: Iterable[np.ndarray], kept: Sequence[Kept], *, fade: int, loop: bool = False
) -> Iterator[np.ndarray]:
    """Yield frames_THWC (uint8) with kept frames in their places, and new ones that join them smoothly.

    Args:
        chunks: decoded frames_THWC (uint8) in order.
        fade: new frames beside a join that are changed.
        loop: whether the first frame comes after the last one; new frames at the end join it if it is given.
    """
    if not kept:
        yield from chunks
        return
    waiting: deque[_NewFrame] = deque(maxlen=fade + 1)
    before: tuple[np.ndarray, np.ndarray] | None = None  # the last frame, where it was given
    join: _Join | None = None
    first: _Join | None = None  # the first frame of a loop, where it is given
    number = 0
    for chunk_THWC in chunks:
        ready: list[np.ndarray] = []
        for decoded_HWC in chunk_THWC:
            given_HWC = _given(kept, number)
            number += 1
            if given_HWC is None:
                join = _Join(*before, fade) if before else join
                frame, before = _NewFrame(decoded_HWC), None
                if join:
                    join.carry_to(frame)
                waiting.append(frame)
                if len(waiting) > fade:
                    ready.append(waiting.popleft().pixels())
                continue
            if loop and number == 1:
                first = _Join(given_HWC, decoded_HWC, fade)
            if waiting:
                ready += _joined(waiting, _Join(given_HWC, decoded_HWC, fade))
                waiting.clear()
            before, join = (given_HWC, decoded_HWC), None
            ready.append(given_HWC)
        if ready:
            yield np.stack(ready)
    if waiting:
        yield np.stack(_joined(waiting, first))


def _joined(waiting: Sequence[_NewFrame], after: _Join | None) -> list[np.ndarray]:
    """Return the pixels of the last new frames before a join."""
    if after:
        for frame in reversed(waiting):
            after.carry_to(frame)
    return [frame.pixels() for frame in waiting]


def _given(kept: Sequence[Kept], number: int) -> np.ndarray | None:
    """Return the given frame at a place of the result, the last one named for it, or None."""
    for first, frames_THWC in reversed(kept):
        if first <= number < first + len(frames_THWC):
            return frames_THWC[number - first]
    return None
