"""Measure the rendering speed of each family of worlds, in frames per second of processor time: `kinora bench
worlds`.
"""

import time

import cv2

from kinora.bench.figures import Figures
from worlds.families import FAMILIES, render, sample
from worlds.styles import STYLES

SIDE_PX, FPS, NUM_FRAMES = 64, 12, 24
WORLDS = 12
LIMIT = 500.0
"""Frames per second that every family should reach."""


def frames_per_s(family: str, style: str, num_worlds: int = WORLDS) -> float:
    """Render worlds of one family and style; return frames per second, sampling excluded."""
    worlds = [
        sample(family, seed, width=SIDE_PX, height=SIDE_PX, fps=FPS, num_frames=NUM_FRAMES, style=style)
        for seed in range(num_worlds)
    ]
    begin = time.process_time()
    num_frames = sum(len(render(world)) for world in worlds)
    return num_frames / (time.process_time() - begin)


def bench(*, quick: bool, seed: int) -> Figures:
    """Measure every family in every style. `seed` is not used: the worlds are always the same."""
    cv2.setNumThreads(1)
    figures, lines = {}, []
    for family in FAMILIES:
        for style in STYLES:
            rate = frames_per_s(family, style, num_worlds=2 if quick else WORLDS)
            figures[f"{family}_{style}_fps"] = round(rate, 1)
        row = "  ".join(f"{style} {figures[f'{family}_{style}_fps']:7.0f}" for style in STYLES)
        lines.append(f"{family:10s} {row}")
    figures |= {f"{family}_limit_fps": LIMIT for family in FAMILIES}
    return Figures(figures=figures, text="\n".join([f"frames/s at {SIDE_PX}x{SIDE_PX}, one core", *lines]))
