"""Splice shots into videos with known transitions, on frames reduced to the detector's input.

Blending, lighting and overlays are linear, so on reduced frames they equal those on full frames, but for
clipping. Strobes, coloured light, insets, banners, held drawings and moving text are negative examples: they
change a picture much and end no shot.

Shapes: T frames, H height, W width, C channels (RGB), float32 0 to 255.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from kinora.training.camera_moves import SIZE_PX
from pipeline.analyze.shots.features import downscale

Shot = tuple[np.ndarray, float]
"""small_THWC of a shot, and its frame rate."""

KINDS = ("cut", "cut", "similar_cut", "mixed_cut", "blank_cut", "dissolve", "slow_dissolve", "black", "white")
"""Transitions that are drawn with equal probability."""
SLOW_S, FAST_S = (1.5, 5.0), (0.25, 1.5)
"""Shortest and longest slow dissolve, and other gradual transition, in seconds."""
SHORT_PROB, PLAIN_PROB = 0.1, 0.05
"""Probability that a spliced shot lasts only a few frames, and that it has a single colour."""
OCCLUDER_PROB, FLASH_PROB, PAN_PROB = 0.15, 0.15, 0.25
STROBE_PROB, LIGHT_PROB, OVERLAY_PROB, HOLD_PROB = 0.12, 0.08, 0.18, 0.12
SIMILAR_PROB = 0.2
"""Probability that a shot gets the colours of the one before it, whatever the transition."""


def splice(rng: np.random.Generator, shots: Sequence[Shot]) -> tuple[np.ndarray, np.ndarray, float]:
    """Return pictures_THWC (uint8), label_T and the frame rate of one video of random shots."""
    skip = int(rng.choice([1, 1, 1, 1, 2, 3]))
    fps = shots[0][1] / skip
    pieces: list[np.ndarray] = []
    label: list[int] = []
    for number in range(int(rng.integers(3, 7))):
        kind = str(rng.choice(KINDS)) if number else "first"
        length = max(3, round(rng.uniform(*(SLOW_S if kind == "slow_dissolve" else FAST_S)) * fps))
        new = _sample_shot(rng, shots, skip, fps, length if kind == "slow_dissolve" else 0)
        if number and (kind == "similar_cut" or rng.random() < SIMILAR_PROB):
            new = _match_colors(new, pieces[-1])
        if kind == "slow_dissolve" and len(pieces[-1]) <= length + 4:
            pieces[-1], label = _lengthen(pieces[-1], label, length + round(fps))
        gradual = kind in ("dissolve", "slow_dissolve", "black", "white")
        if gradual and len(pieces[-1]) > length + 4 and len(new) > length + 4:
            mixed = _blend(pieces[-1][-length:], new[:length], kind)
            pieces[-1] = pieces[-1][:-length]
            del label[-length:]
            pieces += [mixed, new[length:]]
            label += [2] * length + [0] * (len(new) - length)
            continue
        if kind == "mixed_cut" and len(new) > 4 and len(pieces[-1]) > 4:
            weight = rng.uniform(0.2, 0.8)
            pieces += [(1 - weight) * pieces[-1][-1:] + weight * new[:1], new[1:]]
            label += [1, 0] if weight >= 0.5 else [0, 1]
            label += [0] * (len(new) - 2)
            continue
        if kind == "blank_cut":
            count = int(rng.integers(1, 4))
            color = rng.choice([0.0, 0.0, 255.0]) + rng.uniform(-6, 6)
            pieces.append(np.full((count, *new.shape[1:]), color, np.float32))
            label += [1] + [0] * (count - 1)
        pieces.append(new)
        label += ([1] if number else [0]) + [0] * (len(new) - 1)
    whole = np.rint(np.concatenate(pieces)).clip(0, 255).astype(np.uint8)
    first, last = sorted(rng.integers(len(whole), size=2)) if rng.random() < 0.4 else (0, len(whole))
    first, last = (0, len(whole)) if last - first < 8 else (first, last)  # files may start or end anywhere
    begun = np.array(label[first:last])
    begun[0] = 0 if begun[0] == 1 else begun[0]
    return whole[first:last], begun, fps


def _sample_shot(
    rng: np.random.Generator, shots: Sequence[Shot], skip: int, fps: float, overlap: int
) -> np.ndarray:
    """Return part of a shot with random changes of colour, light, overlays and motion.

    `overlap` frames belong to a slow transition; the shot is at least a second longer.
    """
    short = not overlap and rng.random() < SHORT_PROB
    length = int(rng.integers(2, 14)) if short else int(rng.integers(24, 72)) + overlap
    taken = _take(rng, shots, skip, length)
    lit = not short and rng.random() < STROBE_PROB + LIGHT_PROB
    if lit and not overlap:
        taken = _take(rng, shots, skip, round(rng.uniform(2, 5) * fps))
    taken = taken * rng.uniform(0.4, 1.3) + rng.uniform(-15, 15)
    if rng.random() < PLAIN_PROB:
        taken = np.broadcast_to(rng.uniform(0, 255, 3), taken.shape).astype(np.float32)
    if rng.random() < FLASH_PROB and len(taken) > 16:
        at, lasts = int(rng.integers(6, len(taken) - 8)), int(rng.integers(1, 4))
        taken[at : at + lasts] += (255 - taken[at : at + lasts]) * rng.uniform(0.5, 1)
    if rng.random() < OCCLUDER_PROB and len(taken) > 16:
        taken = _add_occluder(rng, taken)
    if rng.random() < PAN_PROB:  # uneven
        path = np.cumsum(np.cumsum(rng.normal(0, 0.12, len(taken))))
        taken = np.stack([np.roll(f, round(d), axis=1) for f, d in zip(taken, path, strict=True)])
    if lit:
        light = strobe if rng.random() < STROBE_PROB / (STROBE_PROB + LIGHT_PROB) else stage_light
        taken = light(rng, taken, fps)
    if not short and rng.random() < OVERLAY_PROB:
        other = _take(rng, shots, skip, len(taken))
        taken = overlay(rng, taken, other, fps)
    if not short and rng.random() < HOLD_PROB:
        hold = int(rng.integers(2, 4))
        taken = np.repeat(taken[::hold], hold, axis=0)[: len(taken)]
    return taken + rng.normal(0, rng.uniform(0, 3), taken.shape)


def _take(rng: np.random.Generator, shots: Sequence[Shot], skip: int, length: int) -> np.ndarray:
    """Return `length` frames of a random shot, played back and forth where it is shorter."""
    shot_THWC = shots[int(rng.integers(len(shots)))][0]
    span = min(len(shot_THWC), length * skip)
    start = int(rng.integers(len(shot_THWC) - span + 1))
    taken = shot_THWC[start : start + span : skip].astype(np.float32)
    taken = taken[:, :, ::-1] if rng.random() < 0.5 else taken
    return taken if length < 14 else taken[_back_and_forth(len(taken), max(length, len(taken)))]


def _back_and_forth(count: int, length: int) -> np.ndarray:
    index_T = np.arange(length) % max(1, 2 * count - 2)
    return np.where(index_T < count, index_T, 2 * count - 2 - index_T)


def _lengthen(piece: np.ndarray, label: list[int], length: int) -> tuple[np.ndarray, list[int]]:
    """Play a piece back and forth up to `length` frames; its first frame keeps its label."""
    longer = piece[_back_and_forth(len(piece), max(length, len(piece)))]
    return longer, [*label, *[0] * (len(longer) - len(piece))]


def _match_colors(taken: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Give `taken` about the mean and the spread of each channel of `other`: a similar ground."""
    mean, spread = taken.mean(axis=(0, 1, 2)), taken.std(axis=(0, 1, 2)) + 1
    return (taken - mean) / spread * np.maximum(other.std(axis=(0, 1, 2)), 8) + other.mean(axis=(0, 1, 2))


def strobe(rng: np.random.Generator, taken: np.ndarray, fps: float) -> np.ndarray:
    """Switch the light on and off, regularly or not; between, the picture is dark, black or in colour."""
    time_T = np.arange(len(taken)) / fps
    phase_T = time_T * rng.uniform(1, 12) + rng.random()
    if rng.random() < 0.3:
        phase_T = np.cumsum(rng.uniform(0.05, 0.5, len(taken)))
    on_T = phase_T % 1 < rng.uniform(0.2, 0.8)
    dark = rng.choice([0.0, rng.uniform(0, 0.12), rng.uniform(0.1, 0.6)])
    low_C = np.full(3, dark) if rng.random() < 0.6 else rng.uniform(0, 0.8, 3)
    high_C = np.full(3, rng.uniform(0.8, 1.4)) if rng.random() < 0.7 else rng.uniform(0.3, 1.4, 3)
    gain_TC = np.where(on_T[:, None], high_C, low_C)
    return taken.clip(0) * gain_TC[:, None, None]


def stage_light(rng: np.random.Generator, taken: np.ndarray, fps: float) -> np.ndarray:
    """Change the colour of the light, and where it falls, in steps or smoothly."""
    num_frames, height, width = taken.shape[:3]
    step = max(1, round(rng.uniform(0.15, 1.5) * fps))
    count = num_frames // step + 2
    colors_NC = rng.uniform(0.05, 1.3, (count, 3))
    places_NHW = np.stack(
        [
            cv2.resize(rng.uniform(0.3, 1.2, (2, 3)).astype(np.float32), (width, height), interpolation=3)
            for _ in range(count)
        ]
    )
    lights = colors_NC[:, None, None] * places_NHW[..., None]
    position_T = np.arange(num_frames) / step
    index_T = position_T.astype(int)
    if rng.random() < 0.5:
        return taken.clip(0) * lights[index_T]
    share = (position_T - index_T)[:, None, None, None]
    return taken.clip(0) * ((1 - share) * lights[index_T] + share * lights[index_T + 1])


def overlay(rng: np.random.Generator, taken: np.ndarray, other: np.ndarray, fps: float) -> np.ndarray:
    """Show an inset or a banner for a while: another picture, or a plain one, in a part of the frame."""
    num_frames, height, width = taken.shape[:3]
    taken = taken.copy()
    for _ in range(int(rng.integers(1, 3))):
        if rng.random() < 0.5:  # a banner
            high, wide = rng.uniform(0.08, 0.3) * height, rng.uniform(0.5, 1.0) * width
            top = rng.choice([height - high, 0.0, height - high - 1])
            left = rng.choice([0.0, (width - wide) / 2])
        else:
            high, wide = rng.uniform(0.15, 0.65) * height, rng.uniform(0.15, 0.6) * width
            top, left = rng.uniform(0, height - high), rng.uniform(0, width - wide)
        begin, end = sorted(rng.integers(0, num_frames + 1, 2).tolist())
        end = num_frames if rng.random() < 0.3 else end
        fade = max(1, round(rng.uniform(0.1, 0.6) * fps)) if rng.random() < 0.4 else 1
        at_T = np.arange(num_frames)
        shown_T = np.clip(np.minimum(at_T - begin + 1, end - at_T) / fade, 0, 1)
        slides = fade > 1 and rng.random() < 0.5
        plain = rng.uniform(0, 255, 3) if rng.random() < 0.5 else None
        switch = int(rng.integers(1, num_frames + 1)) if rng.random() < 0.4 else num_frames
        for t in np.flatnonzero(shown_T > 0):
            shift = (1 - shown_T[t]) * (high + 1) * (1 if top > 0 else -1) if slides else 0.0
            mask_HW1 = _box(height, width, top + shift, left, high, wide)
            mask_HW1 = mask_HW1 if slides else mask_HW1 * shown_T[t]
            inner = other[t] if t < switch else 255 - other[t]
            inner = inner if plain is None else plain
            taken[t] = taken[t] * (1 - mask_HW1) + inner * mask_HW1
    return taken


def _box(height: int, width: int, top: float, left: float, high: float, wide: float) -> np.ndarray:
    """Return the share of each pixel that a rectangle covers, mask_HW1."""
    rows, columns = np.arange(height), np.arange(width)
    down = np.clip(np.minimum(rows + 1, top + high) - np.maximum(rows, top), 0, 1)
    across = np.clip(np.minimum(columns + 1, left + wide) - np.maximum(columns, left), 0, 1)
    return (down[:, None] * across)[..., None]


def moving_text(rng: np.random.Generator, stills: Sequence[np.ndarray], count: int, fps: float) -> list[Shot]:
    """Return shots of lines of text that scroll over a plain ground or a still."""
    shots = []
    for _ in range(count):
        height, width = SIZE_PX
        line_px = int(rng.integers(5, 14))
        page = np.zeros((20 * height, width), np.uint8)
        for top in range(line_px, len(page) - line_px, round(line_px * rng.uniform(1.3, 2.6))):
            left = int(rng.integers(4, 60))
            right = width - left if rng.random() < 0.7 else int(rng.integers(left + 8, width))
            while left < right:  # words
                wide = int(rng.integers(4, 26))
                cv2.rectangle(page, (left, top), (min(right, left + wide), top + line_px // 2), 255, -1)
                left += wide + 4
        if rng.random() < 0.4:
            ground = np.full(
                (height, width, 3), rng.choice([0.0, 0.0, 245.0, rng.uniform(0, 255)]), np.float32
            )
        else:
            still = stills[int(rng.integers(len(stills)))]
            ground = cv2.resize(still, (width, height), interpolation=cv2.INTER_AREA) * rng.uniform(0.2, 1)
        ink = np.full(3, 255.0 if ground.mean() < 130 else 10.0)
        speed = rng.uniform(6, 90)
        frames = []
        for t in range(round(4 * fps)):
            shown_HW1 = page[round(t * speed / fps) :][:height, :, None] / 255.0
            frame = ground * (1 - shown_HW1) + ink * shown_HW1
            frames.append(downscale(frame.clip(0, 255).astype(np.uint8)))
        shots.append((np.stack(frames), fps))
    return shots


def _add_occluder(rng: np.random.Generator, taken: np.ndarray) -> np.ndarray:
    """Move a large single-coloured object across the shot."""
    width, height = taken.shape[2], taken.shape[1]
    size = round(rng.uniform(0.2, 0.8) * width)
    lasts = int(rng.integers(8, len(taken) + 1))
    begin, top = int(rng.integers(len(taken) - lasts + 1)), int(rng.integers(-1, height // 2))
    color, to_left = rng.uniform(0, 255, 3), rng.random() < 0.5
    for step in range(lasts):
        left = round(-size + (width + size) * (step + 1) / (lasts + 1))
        left = width - size - left if to_left else left
        taken[begin + step, max(0, top) :, max(0, left) : max(0, left + size)] = color
    return taken


def _blend(old: np.ndarray, new: np.ndarray, kind: str) -> np.ndarray:
    weight = (np.arange(1, len(old) + 1) / (len(old) + 1))[:, None, None, None]
    if kind in ("dissolve", "slow_dissolve"):
        return (1 - weight) * old + weight * new
    color = 0.0 if kind == "black" else 255.0
    out = old + (color - old) * np.minimum(2 * weight, 1)
    back = color + (new - color) * np.maximum(2 * weight - 1, 0)
    return np.where(weight <= 0.5, out, back)
