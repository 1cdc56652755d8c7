"""Make videos of one class each: hard and slow transitions that detectors miss, and changes that are no cuts.

The shots are real clips and rendered worlds, none of which the detector was trained on.

Legend: T frames, H height, W width, C channels (RGB, uint8).
"""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from benchmarks.spliced_videos import SIZE_PX, SplicedVideo, real_shots
from video.encode import encode_mp4
from worlds.families import render, sample

FPS = 25
HIGH_FPS = (60, 120, 240)
WORLDS = 16
"""Rendered worlds among the shots."""
Joined = tuple[np.ndarray, list[tuple[str, int, int]], int]
"""frames_THWC, transitions and frame rate."""
Shots = Sequence[np.ndarray]


def of_classes(folder: Path, count: int, seed: int, cache: Path) -> Iterator[SplicedVideo]:
    """Yield `count` encoded videos of each class."""
    folder.mkdir(parents=True, exist_ok=True)
    shots = [*real_shots(cache, folder), *world_shots(seed)]
    for name, make in {**CUTS, **NO_CUTS}.items():
        for number in range(count):
            rng = np.random.default_rng([seed, number, len(name)])
            frames_THWC, transitions, fps = make(rng, shots)
            path = folder / f"{name}-{number}.mp4"
            encode_mp4(iter(frames_THWC), Fraction(fps), path, crf=23)
            yield SplicedVideo(path=path, transitions=tuple(transitions), kind=name)


def world_shots(seed: int) -> list[np.ndarray]:
    """Render three seconds each of worlds of several families."""
    height, width = SIZE_PX
    shots = []
    for number in range(WORLDS):
        family = ("shapes", "rooms", "physics")[number % 3]
        style = ("textured", "flat", "night")[number % 3]
        world = sample(
            family,
            60_000 + seed * 100 + number,
            height=height,
            width=width,
            fps=FPS,
            num_frames=75,
            style=style,
        )
        shots.append(np.stack(list(render(world))))
    return shots


def _two(rng: np.random.Generator, shots: Shots, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two different shots, played back and forth where they are shorter than `least` frames."""
    first, second = rng.permutation(len(shots))[:2]
    return _lasting(shots[first], least), _lasting(shots[second], least)


def _lasting(shot_THWC: np.ndarray, least: int) -> np.ndarray:
    count = len(shot_THWC)
    index_T = np.arange(max(least, min(count, 100))) % (2 * count - 2)
    return shot_THWC[np.where(index_T < count, index_T, 2 * count - 2 - index_T)]


def _mixed(old_HWC: np.ndarray, new_HWC: np.ndarray, weight: float) -> np.ndarray:
    return cv2.addWeighted(old_HWC, 1 - weight, new_HWC, weight, 0)


def _blended(rng: np.random.Generator, shots: Shots) -> Joined:
    """A hard cut with one picture that shows both shots."""
    old, new = _two(rng, shots, 50)
    mixed = _mixed(old[-1], new[0], rng.uniform(0.25, 0.75))[None]
    return np.concatenate([old[:-1], mixed, new[1:]]), [("blended", len(old) - 1, len(old))], FPS


def _similar(rng: np.random.Generator, shots: Shots) -> Joined:
    """A hard cut between shots of about the same colours."""
    old, new = _two(rng, shots, 50)
    near = new.astype(np.float32)
    near = (near - near.mean(axis=(0, 1, 2))) / (near.std(axis=(0, 1, 2)) + 1)
    near = near * old.std(axis=(0, 1, 2)) + old.mean(axis=(0, 1, 2))
    joined = np.concatenate([old, np.clip(near, 0, 255).astype(np.uint8)])
    return joined, [("cut", len(old), len(old))], FPS


def _blank(rng: np.random.Generator, shots: Shots) -> Joined:
    """One to three black or white frames between two shots."""
    old, new = _two(rng, shots, 50)
    count = int(rng.integers(1, 4))
    blank = np.full((count, *old.shape[1:]), rng.choice([0, 255]), np.uint8)
    return np.concatenate([old, blank, new]), [("blank", len(old), len(old) + count)], FPS


def _slow(rng: np.random.Generator, shots: Shots) -> Joined:
    """A dissolve of two to five seconds."""
    length = int(rng.uniform(2, 5) * FPS)
    old, new = _two(rng, shots, length + 40)
    old, new = old[: length + 40], new[: length + 40]
    weights = np.arange(1, length + 1) / (length + 1)
    mixed = [_mixed(a, b, w) for a, b, w in zip(old[40:], new[:length], weights, strict=True)]
    return np.concatenate([old[:40], mixed, new[length:]]), [("slow_dissolve", 40, 40 + length)], FPS


def _high_rate(rng: np.random.Generator, shots: Shots) -> Joined:
    """A hard cut between two moving cameras at 60 to 240 frames a second."""
    fps = int(rng.choice(HIGH_FPS))
    stills = [shots[index][0] for index in rng.permutation(len(shots))[:2]]
    pieces = [_pan(rng, still, 2 * fps, fps, rng.uniform(0.05, 0.3)) for still in stills]
    return np.concatenate(pieces), [("cut", 2 * fps, 2 * fps)], fps


def _strobe(rng: np.random.Generator, shots: Shots) -> Joined:
    taken, _ = _two(rng, shots, 100)
    hz, dark = rng.uniform(2, 10), rng.choice([0.0, 0.06, 0.3])
    on_T = (np.arange(len(taken)) * hz * 2 / FPS).astype(int) % 2 == 0
    on_T[-8:] = True
    return (taken * np.where(on_T, 1.0, dark)[:, None, None, None]).astype(np.uint8), [], FPS


def _stage_light(rng: np.random.Generator, shots: Shots) -> Joined:
    taken, _ = _two(rng, shots, 100)
    step = int(rng.integers(4, 20))
    colors = rng.uniform(0.15, 1.0, (len(taken) // step + 1, 3))
    lit = taken * colors[np.arange(len(taken)) // step][:, None, None]
    return lit.astype(np.uint8), [], FPS


def _inset(rng: np.random.Generator, shots: Shots) -> Joined:
    taken, other = (each.copy() for each in _two(rng, shots, 100))
    height, width = SIZE_PX
    high, wide = int(rng.uniform(0.25, 0.5) * height), int(rng.uniform(0.25, 0.5) * width)
    top, left = int(rng.integers(height - high)), int(rng.integers(width - wide))
    begin, end = int(rng.integers(15, 40)), int(rng.integers(55, 90))
    for at in range(begin, end):
        small = cv2.resize(other[at % len(other)], (wide, high), interpolation=cv2.INTER_AREA)
        taken[at, top : top + high, left : left + wide] = small
    return taken, [], FPS


def _banner(rng: np.random.Generator, shots: Shots) -> Joined:
    taken = _two(rng, shots, 100)[0].copy()
    height = SIZE_PX[0]
    top, color = int(rng.uniform(0.7, 0.85) * height), rng.integers(0, 256, 3)
    begin, end = int(rng.integers(15, 40)), int(rng.integers(55, 90))
    for at in range(begin, end):
        taken[at, top:] = color
        cv2.putText(taken[at], "BREAKING NEWS", (10, height - 8), 0, 0.8, (255, 255, 255), 2)
    return taken, [], FPS


def _lower_third(rng: np.random.Generator, shots: Shots) -> Joined:
    """A name over the lower part of the picture that fades in and out."""
    taken = _two(rng, shots, 100)[0].copy()
    top, fade = int(rng.uniform(0.65, 0.85) * SIZE_PX[0]), int(rng.integers(6, 20))
    begin, end = int(rng.integers(10, 30)), int(rng.integers(70, 90))
    color = rng.integers(0, 256, 3)
    for at in range(begin, end):
        named_HWC = taken[at].copy()
        named_HWC[top:] = color
        cv2.putText(named_HWC, "Jane Doe, witness", (10, SIZE_PX[0] - 8), 0, 0.7, (255, 255, 255), 2)
        weight = min(1.0, (at - begin + 1) / fade, (end - at) / fade)
        taken[at] = _mixed(taken[at], named_HWC, weight)
    return taken, [], FPS


def _on_twos(rng: np.random.Generator, shots: Shots) -> Joined:
    """A pan over a still in which each picture is held for two or three frames."""
    still = shots[int(rng.integers(len(shots)))][0]
    hold = int(rng.integers(2, 4))
    frames = _pan(rng, still, 100 // hold, FPS / hold, rng.uniform(0.2, 0.8))
    return np.repeat(frames, hold, axis=0), [], FPS


def _crowd_pan(rng: np.random.Generator, shots: Shots) -> Joined:
    """A fast pan over a crowd."""
    height, width = SIZE_PX
    ground = np.full((height, 2 * width, 3), rng.uniform(40, 180, 3), np.uint8)
    for _ in range(900):
        at = int(rng.integers(2 * width)), int(rng.integers(height))
        cv2.circle(ground, at, int(rng.integers(3, 9)), rng.uniform(0, 255, 3).tolist(), -1, cv2.LINE_AA)
    return _pan(rng, ground, 75, FPS, rng.uniform(0.4, 0.9)), [], FPS


def _text(rng: np.random.Generator, shots: Shots) -> Joined:
    """Lines of text that scroll over black or over a shot."""
    taken, _ = _two(rng, shots, 100)
    taken = np.zeros_like(taken) if rng.random() < 0.5 else taken // 2
    speed, gap = rng.uniform(20, 120), int(rng.integers(16, 30))
    for at, frame_HWC in enumerate(taken):
        for line in range(40):
            y = round(60 + line * gap - speed * at / FPS)
            if 0 < y < SIZE_PX[0] + 10:
                words = f"{'abcdefghij'[line % 10] * (3 + line % 7)} and others {line}"
                cv2.putText(frame_HWC, words, (40, y), 0, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return taken, [], FPS


def _pan(rng: np.random.Generator, still_HWC: np.ndarray, count: int, fps: float, speed: float) -> np.ndarray:
    """Return frames of a pan over a still at `speed` widths a second, mirrored at its edges."""
    height, width = SIZE_PX
    scale = 1.4 * width / still_HWC.shape[1]
    way, begin = rng.choice([-1, 1]), rng.uniform(0, 0.4) * width
    frames = []
    for at in range(count):
        x = begin + way * speed * width * at / fps
        move = np.array([[scale, 0, -x], [0, scale, -0.1 * height]])
        frames.append(cv2.warpAffine(still_HWC, move, (width, height), borderMode=cv2.BORDER_REFLECT_101))
    return np.stack(frames)


Make = Callable[[np.random.Generator, Shots], Joined]
CUTS: dict[str, Make] = {
    "blended": _blended,
    "similar": _similar,
    "blank": _blank,
    "slow_dissolve": _slow,
    "high_rate": _high_rate,
}
NO_CUTS: dict[str, Make] = {
    "strobe": _strobe,
    "stage_light": _stage_light,
    "inset": _inset,
    "banner": _banner,
    "lower_third": _lower_third,
    "on_twos": _on_twos,
    "crowd_pan": _crowd_pan,
    "text": _text,
}
