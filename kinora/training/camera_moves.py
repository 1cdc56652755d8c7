"""Synthetic camera moves over still images and textures: negative examples for the shot detector.

Shapes: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from pipeline.analyze.shots.features import downscale

SIZE_PX = (90, 160)
"""Height and width of a rendered frame, before it is reduced to the detector's input."""
SECONDS = 4.0
"""Duration of a move."""
PAN, ZOOM = (0.02, 2.5), (0.02, 1.2)
"""Slowest and fastest pan, in frame widths per second, and zoom, in e-foldings per second."""
CONSTANT_SPEED_PROB, STOPS_PROB, OCCLUDER_PROB = 0.5, 0.4, 0.4
"""Probability of a constant speed, of a static beginning or end, and of a large object crossing the frame."""


def textures(rng: np.random.Generator, count: int) -> Iterator[np.ndarray]:
    """Yield images of tiles, stripes and smooth noise at various scales and colour contrasts."""
    height, width = 2 * SIZE_PX[0], 2 * SIZE_PX[1]
    for _ in range(count):
        grain = rng.uniform(4, 60)
        cells = (max(2, round(height / grain)), max(2, round(width / grain)))
        if rng.random() < 0.3:
            cells = (1, cells[1]) if rng.random() < 0.5 else (cells[0], 1)
        values = rng.uniform(30, 225, 3) + rng.normal(0, rng.uniform(10, 90), (*cells, 3))
        if rng.random() < 0.4:
            values[:] = values.mean(axis=2, keepdims=True)
        interpolation = cv2.INTER_NEAREST if rng.random() < 0.6 else cv2.INTER_CUBIC
        image = cv2.resize(values.astype(np.float32), (width, height), interpolation=interpolation)
        yield np.clip(image, 0, 255).astype(np.uint8)


def crowds(rng: np.random.Generator, count: int) -> Iterator[np.ndarray]:
    """Yield images of many small blobs of all colours, as of a crowd or of foliage."""
    height, width = 2 * SIZE_PX[0], 2 * SIZE_PX[1]
    for _ in range(count):
        image = np.full((height, width, 3), rng.uniform(20, 200, 3), np.uint8)
        size_px = rng.uniform(3, 14)
        for _ in range(int(2.5 * height * width / size_px**2 / 4)):
            at = int(rng.integers(width)), int(rng.integers(height))
            axes = rng.uniform(0.4, 1.2, 2) * size_px + 1
            color = rng.uniform(0, 255, 3).tolist()
            cv2.ellipse(image, at, axes.astype(int).tolist(), rng.uniform(0, 180), 0, 360, color, -1)
        yield image


def sample_moves(
    rng: np.random.Generator, stills: Sequence[np.ndarray], count: int, fps: float
) -> Iterator[np.ndarray]:
    """Yield small_THWC of pans, tilts, zooms and handheld shake over random stills."""
    for _ in range(count):
        still_HWC = stills[int(rng.integers(len(stills)))]
        yield sample_move(rng, still_HWC, round(SECONDS * fps), fps)


def sample_move(rng: np.random.Generator, still_HWC: np.ndarray, num_frames: int, fps: float) -> np.ndarray:
    """Return small_THWC of one camera move over a still; mirrors the still at its edges."""
    height, width = SIZE_PX
    time_T = np.arange(num_frames) / fps
    travel_T = np.cumsum(_sample_speed(rng, time_T)) / fps
    angle = rng.choice([0, 0.5, 1, 1.5]) * np.pi if rng.random() < 0.6 else rng.uniform(0, 2 * np.pi)
    pan = rng.random() < 0.75
    speed = np.exp(rng.uniform(*np.log(PAN))) * width if pan else 0.0
    zooms = not pan or rng.random() < 0.3
    zoom = np.exp(rng.uniform(*np.log(ZOOM))) * rng.choice([-1, 1]) if zooms else 0.0
    shake_T2 = np.zeros((num_frames, 2))
    if rng.random() < 0.4:
        shake_T2 = cv2.GaussianBlur(rng.normal(0, 1, (num_frames, 2)), (1, 0), sigmaX=0.1, sigmaY=3)
        shake_T2 *= rng.uniform(0.5, 6) / max(1e-6, shake_T2.std())
    scale_T = np.exp(np.clip(zoom * travel_T, -1.2, 1.2)) * rng.uniform(0.7, 1.6) * width / still_HWC.shape[1]
    center = np.array(
        [rng.uniform(0.3, 0.7) * still_HWC.shape[1], rng.uniform(0.3, 0.7) * still_HWC.shape[0]]
    )
    occluder = _sample_occluder(rng) if rng.random() < OCCLUDER_PROB else None
    frames = []
    for t in range(num_frames):
        shift = np.array([np.cos(angle), np.sin(angle)]) * speed * travel_T[t] + shake_T2[t]
        offset = np.array([width, height]) / 2 - center * scale_T[t] - shift
        affine = np.array([[scale_T[t], 0, offset[0]], [0, scale_T[t], offset[1]]])
        frame_HWC = cv2.warpAffine(
            still_HWC, affine, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101
        )
        if occluder is not None:
            _draw_occluder(frame_HWC, occluder, time_T[t])
        frames.append(downscale(frame_HWC))
    return np.stack(frames)


def _sample_speed(rng: np.random.Generator, time_T: np.ndarray) -> np.ndarray:
    """Return the relative camera speed over time, in [-1, 1]: constant, sinusoidal, or with stops."""
    end_s = time_T[-1]
    if rng.random() < STOPS_PROB:
        first, last = sorted(rng.uniform(0, end_s, 2))
        ease_s = rng.uniform(0.02, 0.6)
        return np.clip((time_T - first) / ease_s, 0, 1) * np.clip((last - time_T) / ease_s, 0, 1)
    if rng.random() < CONSTANT_SPEED_PROB:
        return np.ones_like(time_T)
    period_s = rng.uniform(1, 6)
    return np.sin(2 * np.pi * (time_T / period_s + rng.random()))


def _sample_occluder(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sample a moving rectangle: color, (width, height), (x, y) at time 0, and velocity in px/s."""
    size = rng.uniform(15, 110, 2)
    time_s, velocity = rng.uniform(0.5, SECONDS), rng.normal(0, 1, 2) * rng.uniform(20, 300)
    middle = np.array(SIZE_PX[::-1]) / 2 - size / 2
    return rng.uniform(0, 255, 3), size, middle - velocity * time_s, velocity


def _draw_occluder(frame_HWC: np.ndarray, occluder: tuple[np.ndarray, ...], time_s: float) -> None:
    color, size, start, velocity = occluder
    first = (start + velocity * time_s).round().astype(int)
    after = first + size.round().astype(int)
    cv2.rectangle(frame_HWC, first.tolist(), (after - 1).tolist(), color.tolist(), -1)
