"""Shots that a camera takes of one still picture, and textures to take them of: what the shot detector is to
learn is no transition.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from pipeline.analyze.shots.features import downscale

SIZE_PX = (90, 160)
"""Of a frame, before it is shrunk to the small picture."""
SECONDS = 4.0
PAN, ZOOM = (0.02, 2.0), (0.02, 1.2)
"""Slowest and fastest: widths of the frame a second, and shares of the picture's size a second."""
STEADY, STOPS, CROSSED = 0.5, 0.4, 0.4
"""Shares of the moves at one speed throughout, of those that begin or end in standing still, and of those in
which something large crosses the picture."""


def textures(draw: np.random.Generator, count: int) -> Iterator[np.ndarray]:
    """Yield pictures of tiles, stripes and soft noise of all scales, in few or many colours."""
    height, width = 2 * SIZE_PX[0], 2 * SIZE_PX[1]
    for _ in range(count):
        grain = draw.uniform(4, 60)
        cells = (max(2, round(height / grain)), max(2, round(width / grain)))
        if draw.random() < 0.3:
            cells = (1, cells[1]) if draw.random() < 0.5 else (cells[0], 1)
        values = draw.uniform(30, 225, 3) + draw.normal(0, draw.uniform(10, 90), (*cells, 3))
        if draw.random() < 0.4:
            values[:] = values.mean(axis=2, keepdims=True)
        how = cv2.INTER_NEAREST if draw.random() < 0.6 else cv2.INTER_CUBIC
        picture = cv2.resize(values.astype(np.float32), (width, height), interpolation=how)
        yield np.clip(picture, 0, 255).astype(np.uint8)


def moves(
    draw: np.random.Generator, stills: Sequence[np.ndarray], count: int, fps: float
) -> Iterator[np.ndarray]:
    """Yield small_THWC of pans, tilts, zooms and unsteady hands over stills drawn at random."""
    for _ in range(count):
        still_HWC = stills[int(draw.integers(len(stills)))]
        yield move(draw, still_HWC, round(SECONDS * fps), fps)


def move(draw: np.random.Generator, still_HWC: np.ndarray, num_frames: int, fps: float) -> np.ndarray:
    """Return small_THWC of one camera move over a still; beyond its edges the picture is mirrored."""
    height, width = SIZE_PX
    time_T = np.arange(num_frames) / fps
    travel_T = np.cumsum(_speed(draw, time_T)) / fps
    angle = draw.choice([0, 0.5, 1, 1.5]) * np.pi if draw.random() < 0.6 else draw.uniform(0, 2 * np.pi)
    pan = draw.random() < 0.75
    speed = np.exp(draw.uniform(*np.log(PAN))) * width if pan else 0.0
    zooms = not pan or draw.random() < 0.3
    zoom = np.exp(draw.uniform(*np.log(ZOOM))) * draw.choice([-1, 1]) if zooms else 0.0
    shake_T2 = np.zeros((num_frames, 2))
    if draw.random() < 0.4:
        shake_T2 = cv2.GaussianBlur(draw.normal(0, 1, (num_frames, 2)), (1, 0), sigmaX=0.1, sigmaY=3)
        shake_T2 *= draw.uniform(0.5, 6) / max(1e-6, shake_T2.std())
    scale_T = (
        np.exp(np.clip(zoom * travel_T, -1.2, 1.2)) * draw.uniform(0.7, 1.6) * width / still_HWC.shape[1]
    )
    center = np.array(
        [draw.uniform(0.3, 0.7) * still_HWC.shape[1], draw.uniform(0.3, 0.7) * still_HWC.shape[0]]
    )
    thing = _thing(draw) if draw.random() < CROSSED else None
    frames = []
    for at in range(num_frames):
        shift = np.array([np.cos(angle), np.sin(angle)]) * speed * travel_T[at] + shake_T2[at]
        offset = np.array([width, height]) / 2 - center * scale_T[at] - shift
        turn = np.array([[scale_T[at], 0, offset[0]], [0, scale_T[at], offset[1]]])
        frame_HWC = cv2.warpAffine(
            still_HWC, turn, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101
        )
        if thing is not None:
            _cross(frame_HWC, thing, time_T[at])
        frames.append(downscale(frame_HWC))
    return np.stack(frames)


def _speed(draw: np.random.Generator, time_T: np.ndarray) -> np.ndarray:
    """Return how fast the camera goes at each time, 0 to 1: steady, rising and falling, or with stops."""
    end_s = time_T[-1]
    if draw.random() < STOPS:
        first, last = sorted(draw.uniform(0, end_s, 2))
        ease_s = draw.uniform(0.02, 0.6)
        return np.clip((time_T - first) / ease_s, 0, 1) * np.clip((last - time_T) / ease_s, 0, 1)
    if draw.random() < STEADY:
        return np.ones_like(time_T)
    period_s = draw.uniform(1, 6)
    return np.sin(2 * np.pi * (time_T / period_s + draw.random()))


def _thing(draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw a rectangle: color, (width, height), (x, y) at time 0, and pixels a second."""
    size = draw.uniform(15, 110, 2)
    time_s, velocity = draw.uniform(0.5, SECONDS), draw.normal(0, 1, 2) * draw.uniform(20, 300)
    middle = np.array(SIZE_PX[::-1]) / 2 - size / 2
    return draw.uniform(0, 255, 3), size, middle - velocity * time_s, velocity


def _cross(frame_HWC: np.ndarray, thing: tuple[np.ndarray, ...], time_s: float) -> None:
    color, size, start, velocity = thing
    first = (start + velocity * time_s).round().astype(int)
    after = first + size.round().astype(int)
    cv2.rectangle(frame_HWC, first.tolist(), (after - 1).tolist(), color.tolist(), -1)
