"""Divide a video into windows of latent frames that the transformer samples one after the other.

Each window is a video of its own: where it does not begin at latent frame 0 of the video, it has a lead, an
extra latent frame that holds one frame and is discarded.
"""

from collections.abc import Sequence
from typing import NamedTuple

MIN_WINDOW = 4
"""Latent frames of the shortest window that can join two sides: a lead, one of each side, and a new one."""


class Window(NamedTuple):
    """Latent frames that are sampled together."""

    latents: tuple[int, ...]
    """Latent frames of the video in their order; in a loop they go on from the last to the first."""
    made: tuple[int, ...]
    """Those that this window makes; the others are given, or made by earlier windows."""
    lead: bool
    """Whether an extra latent frame comes before them."""


def default_overlap(window: int) -> int:
    """Return how many latent frames a window takes over from what is before or behind it."""
    return max(1, window // 2)


def plan_windows(
    new: Sequence[bool], window: int | None, overlap: int | None = None, *, loop: bool = False
) -> list[Window]:
    """Return windows that make every new latent frame once, in their order.

    Args:
        new: whether each latent frame is to be made.
        window: most latent frames of a window; None for no limit.
        overlap: known latent frames that a window sees on a side, at least; by default half of a window.

    Raises ValueError for a window too small to join others.
    """
    if not any(new):
        return []
    if not loop and (window is None or len(new) <= window):
        return [Window(tuple(range(len(new))), tuple(t for t, is_new in enumerate(new) if is_new), False)]
    window = len(new) + 2 if window is None else window
    if window < MIN_WINDOW:
        raise ValueError(
            f"a window of {window} latent frames is too short for a {'loop' if loop else 'longer video'}: "
            f"set sample.window_latents to {MIN_WINDOW} or more"
        )
    overlap = default_overlap(window) if overlap is None else overlap
    if not 1 <= overlap <= window - 2:
        raise ValueError(f"sample.overlap_latents={overlap}: must be from 1 to {window - 2} (window - 2)")
    plan = _Plan(list(new), window, overlap, loop)
    plan.fill()
    return plan.windows


class _Plan:
    """Windows, and what is still to be made. Positions of a loop go on beyond its last latent frame."""

    def __init__(self, new: list[bool], window: int, overlap: int, loop: bool) -> None:
        self.new, self.window, self.overlap, self.loop = new, window, overlap, loop
        self.overlap_of_two = min(overlap, (window - 2) // 2)
        """Overlap on each side of a window that joins two sides."""
        self.windows: list[Window] = []

    def fill(self) -> None:
        if self.loop and all(self.new):
            self._add(0, self._first_part(), 0, 0)
        while any(self.new):
            start = self.new.index(True)
            while self.loop and self._is_new(start - 1):
                start -= 1
            stop = start + 1
            while self._is_new(stop):
                stop += 1
            self._fill_gap(start, stop)

    def _first_part(self) -> int:
        """Return how many latent frames of a loop are made before the bridge from end to start."""
        size = len(self.new)
        if size < 2:
            raise ValueError("a loop of 1 latent frame is too short: it needs 2 or more")
        bridge = max(1, min(size // 2, self.window - 1 - 2 * self.overlap_of_two))
        return min(self.window - 1, size - bridge)

    def _fill_gap(self, start: int, stop: int) -> None:
        """Make [start, stop): go on from what is known, in turn from both sides, then join."""
        left, right = self._known(start - 1, -1), self._known(stop, 1)
        joins, backward = left > 0 and right > 0, False
        overlap = self.overlap_of_two if joins else self.overlap
        while True:
            before, after = min(overlap, left), min(overlap, right)
            room = self._capacity(start - before) - before - after
            if stop - start <= room:
                return self._add(start, stop, before, after)
            before, after = min(self.overlap, left), min(self.overlap, right)
            most = stop - start - (room if joins else 0)
            if right and (backward or not left):
                size = min(self.window - 1 - after, most)
                self._add(stop - size, stop, 0, after)
                stop, right = stop - size, right + size
            else:
                size = min(self._capacity(start - before) - before, most)
                self._add(start, start + size, before, 0)
                start, left = start + size, left + size
            backward = not backward

    def _add(self, start: int, stop: int, before: int, after: int) -> None:
        """Add a window that makes [start, stop), with as many known latent frames around it as fit."""
        size, made = len(self.new), stop - start
        left, right = self._known(start - 1, -1), self._known(stop, 1)
        most = size - made if self.loop else size  # a loop shows no latent frame twice that need not be

        def fits(before: int, after: int) -> bool:
            capacity = self._capacity(start - before)
            return before <= left and after <= right and before + made + after <= capacity

        while before + after < most:
            if fits(before + 1, after) and (before <= after or not fits(before, after + 1)):
                before += 1
            elif fits(before, after + 1):
                after += 1
            else:
                break
        window = Window(
            tuple(t % size for t in range(start - before, stop + after)),
            tuple(t % size for t in range(start, stop)),
            lead=self._has_lead(start - before),
        )
        self.windows.append(window)
        for t in window.made:
            self.new[t] = False

    def _is_new(self, t: int) -> bool:
        size = len(self.new)
        return self.new[t % size] if self.loop else 0 <= t < size and self.new[t]

    def _known(self, t: int, step: int) -> int:
        """Return how many known latent frames lie from `t` on, in the direction of `step`."""
        count, size = 0, len(self.new)
        while count < size and (self.loop or 0 <= t < size) and not self._is_new(t):
            count, t = count + 1, t + step
        return count

    def _has_lead(self, begin: int) -> bool:
        return self.loop or begin > 0

    def _capacity(self, begin: int) -> int:
        """Return how many latent frames of the video a window holds that begins at `begin`."""
        return self.window - int(self._has_lead(begin))
