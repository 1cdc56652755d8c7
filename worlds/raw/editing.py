"""Join rendered shots into one video with hard cuts, dissolves, fades and whip pans, and add flashes.

A gradual transition overlaps the last frames of one shot with the first frames of the next, so a shot is
rendered for longer than the span that shows it alone.

Legend: T frames, H height, W width, C channels (RGB, uint8).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

import cv2
import numpy as np

from worlds.raw.config import RawConfig
from worlds.raw.scene import Scene, render_scene

Direction = Literal["left", "right", "up", "down"]
DIRECTIONS: tuple[Direction, ...] = ("left", "right", "up", "down")
FADES = {"fade_black": (0, 0, 0), "fade_white": (255, 255, 255)}
"""Colour in the middle of each fade."""
FLASH_SECONDS = (0.04, 0.13)
FLASH_STRENGTH = (0.75, 1.0)
"""Range of the whiteness of a flash; 1 is pure white."""
FLASH_MARGIN_S = 0.3
"""Minimum distance of a flash from both ends of its shot."""
MAX_EXPOSURES = 32
"""Maximum number of images averaged for one motion-blurred frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transition:
    """A transition between two shots."""

    kind: str
    """One of `config.TRANSITIONS`."""
    num_frames: int = 0
    """Number of frames that show both shots; 0 for a hard cut."""
    way: Direction | None = None
    """Direction of a whip pan."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flash:
    """A few almost white frames within a shot."""

    start: int
    """First frame, relative to the scene of the shot."""
    num_frames: int
    strength: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """The shots and transitions of one video, at a constant frame rate."""

    scenes: tuple[Scene, ...]
    """Content of each shot, including its transitions."""
    transitions: tuple[Transition, ...]
    """One fewer than the scenes."""
    flashes: tuple[Flash | None, ...]
    """Flash of each shot, or None."""

    def overlaps(self, shot: int) -> tuple[int, int]:
        """Return the number of frames that a shot shares with the previous and the next one."""
        before = self.transitions[shot - 1].num_frames if shot else 0
        after = self.transitions[shot].num_frames if shot < len(self.transitions) else 0
        return before, after

    def spans(self) -> list[tuple[int, int]]:
        """Return [start, end) of each shot without its transitions."""
        spans, start = [], 0
        for shot, scene in enumerate(self.scenes):
            before, after = self.overlaps(shot)
            end = start + scene.num_frames - before - after
            spans.append((start, end))
            start = end + after
        return spans

    def flash_spans(self) -> list[tuple[int, int] | None]:
        """Return [start, end) of the flash in each shot, or None."""
        begins = [start - self.overlaps(shot)[0] for shot, (start, _) in enumerate(self.spans())]
        return [
            flash and (begin + flash.start, begin + flash.start + flash.num_frames)
            for begin, flash in zip(begins, self.flashes, strict=True)
        ]

    @property
    def num_frames(self) -> int:
        return self.spans()[-1][1]


def sample_transition(rng: Random, config: RawConfig, fps: float) -> Transition:
    """Sample the kind, length and, for a whip pan, direction of a transition."""
    kind = rng.choice(config.transitions)
    if kind == "cut":
        return Transition(kind=kind)
    span_s = config.whip_seconds if kind == "whip_pan" else config.transition_seconds
    num_frames = max(3, round(rng.uniform(*span_s) * fps))
    if kind in FADES:
        num_frames |= 1  # odd: the middle frame shows only the colour
    way = rng.choice(DIRECTIONS) if kind == "whip_pan" else None
    return Transition(kind=kind, num_frames=num_frames, way=way)


def sample_flash(rng: Random, config: RawConfig, scene: Scene, overlaps: tuple[int, int]) -> Flash | None:
    """Sample a flash, or None; shots that are too short have none."""
    num_frames = max(1, round(rng.uniform(*FLASH_SECONDS) * scene.world.fps))
    margin = round(FLASH_MARGIN_S * scene.world.fps)
    first, last = overlaps[0] + margin, scene.num_frames - overlaps[1] - margin - num_frames
    start, strength = rng.randint(first, max(first, last)), rng.uniform(*FLASH_STRENGTH)
    if rng.random() >= config.flash_rate or first > last or scene.is_slate:
        return None
    return Flash(start=start, num_frames=num_frames, strength=strength)


def render_edit(edit: Edit) -> Iterator[np.ndarray]:
    """Render the shots in order and yield each frame_HWC of the edit."""
    tail_THWC: np.ndarray | None = None
    for shot, scene in enumerate(edit.scenes):
        frames_THWC = render_scene(scene)
        flash = edit.flashes[shot]
        if flash is not None:
            _flash(frames_THWC, flash)
        before, after = edit.overlaps(shot)
        if tail_THWC is not None and before:
            yield from mix(edit.transitions[shot - 1], tail_THWC, frames_THWC[:before])
        end = scene.num_frames - after
        yield from frames_THWC[before:end]
        tail_THWC = frames_THWC[end:]


def mix(transition: Transition, old_THWC: np.ndarray, new_THWC: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the frames of a transition from the overlapping frames of two shots."""
    steps = transition.num_frames + 1
    for number, (old_HWC, new_HWC) in enumerate(zip(old_THWC, new_THWC, strict=True), start=1):
        share = number / steps
        if transition.kind == "dissolve":
            yield _blend(old_HWC, new_HWC, share)
        elif transition.kind in FADES:
            color_HWC = np.empty_like(old_HWC)
            color_HWC[:] = FADES[transition.kind]
            if share <= 0.5:
                yield _blend(old_HWC, color_HWC, 2 * share)
            else:
                yield _blend(color_HWC, new_HWC, 2 * share - 1)
        elif transition.kind == "whip_pan" and transition.way is not None:
            shutter = (number - 0.5) / steps, (number + 0.5) / steps
            yield _whip(old_HWC, new_HWC, transition.way, shutter)
        else:
            raise ValueError(f"{transition} has no frames: only dissolves, fades and whip pans take time")


def _blend(old_HWC: np.ndarray, new_HWC: np.ndarray, share: float) -> np.ndarray:
    return cv2.addWeighted(old_HWC, 1 - share, new_HWC, share, 0)


def _whip(old_HWC: np.ndarray, new_HWC: np.ndarray, way: Direction, shutter: Sequence[float]) -> np.ndarray:
    """Return a motion-blurred frame of a camera that turns from one image to the next.

    Args:
        shutter: opening and closing time, as fractions of the turn.
    """
    axis, onward = 0 if way in ("up", "down") else 1, way in ("right", "down")
    side = old_HWC.shape[axis]
    strip = np.concatenate([old_HWC, new_HWC] if onward else [new_HWC, old_HWC], axis=axis)
    begin, end = (side * _ease(time) for time in shutter)
    exposures = min(MAX_EXPOSURES, max(2, round(end - begin) + 1))
    total_HWC = np.zeros(old_HWC.shape, np.float32)
    for position in np.linspace(begin, end, exposures):
        offset = round(position if onward else side - position)
        window = slice(offset, offset + side)
        total_HWC += strip[window] if axis == 0 else strip[:, window]
    return np.rint(total_HWC / exposures).astype(np.uint8)


def _ease(time: float) -> float:
    """Return the smoothstep of `time`."""
    return time * time * (3 - 2 * time)


def _flash(frames_THWC: np.ndarray, flash: Flash) -> None:
    """Whiten the frames of a flash, in place."""
    flash_THWC = frames_THWC[flash.start : flash.start + flash.num_frames]
    flash_THWC[:] = np.rint(flash_THWC + (255.0 - flash_THWC) * flash.strength).astype(np.uint8)
