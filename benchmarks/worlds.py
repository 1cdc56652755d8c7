"""Measure how many frames a second each family of worlds renders of one core: `python -m benchmarks.worlds`.

Seconds are those of the processor, so that other work on the machine does not count.
"""

import json
import platform
import time

import cv2

from worlds.families import FAMILIES, render, sample
from worlds.styles import STYLES

SIDE_PX, FPS, NUM_FRAMES = 64, 12, 24
WORLDS = 12
LIMIT = 500.0
"""Frames a second that every family should reach."""


def frames_per_s(family: str, style: str, num_worlds: int = WORLDS) -> float:
    """Render worlds of one family and style, and return frames a second (sampling not counted)."""
    worlds = [
        sample(family, seed, width=SIDE_PX, height=SIDE_PX, fps=FPS, num_frames=NUM_FRAMES, style=style)
        for seed in range(num_worlds)
    ]
    begun = time.process_time()
    num_frames = sum(len(render(world)) for world in worlds)
    return num_frames / (time.process_time() - begun)


def main() -> None:
    """Print a table, and one JSON object on the last line."""
    cv2.setNumThreads(1)
    figures = {}
    for family in FAMILIES:
        for style in STYLES:
            figures[f"{family}_{style}_fps"] = round(frames_per_s(family, style), 1)
        row = "  ".join(f"{style} {figures[f'{family}_{style}_fps']:8.0f}" for style in STYLES)
        print(f"{family:12s}{row}   frames/s at {SIDE_PX}x{SIDE_PX}")
    figures |= {f"{family}_limit_fps": LIMIT for family in FAMILIES}
    machine = {"cpu": platform.processor() or platform.machine(), "cores_used": 1}
    print(json.dumps({"bench": "worlds", "figures": figures, "machine": machine, "seed": 0}))


if __name__ == "__main__":
    main()
