"""Scenes with known transitions, as frames and as files, and the boundaries that a detector finds."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np

from pipeline.analyze.shots.boundaries import Boundary
from pipeline.analyze.shots.detector import create_detector
from pipeline.analyze.signals.frame_view import FrameView
from pipeline.analyze.task import analyze_file
from pipeline.config import AnalyzeConfig
from pipeline.sources.stat import stat_source
from video.config import SandboxConfig
from video.frames import read_frames
from worlds.raw.editing import Transition, mix
from worlds.raw.timeline import steady, uneven
from worlds.raw.writing import FileFormat, write_video

FPS, SIZE_PX = 25, (90, 160)
SHOT = 50
"""Frames in which each shot is seen alone."""
ROOM = 24
"""Frames of a shot beyond those, for transitions at either end."""


def picture(seed: int, x: float = 0.0) -> np.ndarray:
    """A scene of its own colours, coarse and fine; `x` is where the camera looks, in pixels."""
    rng = np.random.default_rng(seed)
    height, width = SIZE_PX
    wide = np.full((height, 1200, 3), rng.uniform(60, 190, 3), np.float32)
    for cells, contrast in (((3, 30), 45), ((12, 150), 18)):
        rough = rng.normal(0, contrast, (*cells, 3)).astype(np.float32)
        wide += cv2.resize(rough, (1200, height), interpolation=cv2.INTER_CUBIC)
    move = np.array([[1, 0, -(20 + x)], [0, 1, 0]], np.float32)
    view = cv2.warpAffine(np.clip(wide, 0, 255), move, (width, height), borderMode=cv2.BORDER_WRAP)
    return view.astype(np.uint8)


def shot(seed: int, count: int = SHOT + 2 * ROOM, speed: float = 0.4) -> np.ndarray:
    """A slow pan over one scene, with something that crosses it."""
    frames = np.stack([picture(seed, speed * at) for at in range(count)])
    for at, frame_HWC in enumerate(frames):
        left = round(160 * at / count)
        frame_HWC[30:55, left : left + 20] = (230, 220, 40)
    return frames


def joined(kinds: Sequence[str], length: int) -> tuple[np.ndarray, list[Boundary]]:
    """Shots that give way to each other as `kinds` say, and where they do."""
    shots = [shot(seed) for seed in range(len(kinds) + 1)]
    pieces, boundaries, at = [shots[0][ROOM : ROOM + SHOT]], [], SHOT
    for kind, old, new in zip(kinds, shots, shots[1:], strict=False):
        count = 0 if kind == "cut" else length
        boundaries.append(Boundary(start=at, end=at + count))
        if count:
            way = "left" if kind == "whip_pan" else None
            transition = Transition(kind=kind, num_frames=count, way=way)
            tail, head = old[ROOM + SHOT : ROOM + SHOT + count], new[ROOM - count : ROOM]
            pieces.append(np.stack(list(mix(transition, tail, head))))
        pieces.append(new[ROOM : ROOM + SHOT])
        at += count + SHOT
    return np.concatenate(pieces), boundaries


def found(frames: np.ndarray, fps: float = FPS, **changes: Any) -> list[Boundary]:
    find = create_detector(AnalyzeConfig(**changes), fps)
    boundaries: list[Boundary] = []
    for index, rgb_HWC in enumerate(frames):
        boundaries += find.update(FrameView.from_rgb(rgb_HWC, index=index, time_s=index / fps, sampled=False))
    return [*boundaries, *find.finish()]


def made(
    path: Path, kinds: Sequence[str], length: int, *, vary: bool = False
) -> tuple[list[int], list[Boundary]]:
    """Write a video; return when each of its frames is shown (pts as read back), and the boundaries."""
    frames, truth = joined(kinds, length)
    timeline = steady(len(frames), Fraction(FPS))
    if vary:
        starts = {at for boundary in truth for at in (boundary.start, boundary.end)}
        timeline = uneven(Random(1), len(frames), timeline.fps, starts)
        assert timeline.kept is not None
        frames = frames[list(timeline.kept)]
        truth = [Boundary(start=timeline.frame_at(b.start), end=timeline.frame_at(b.end)) for b in truth]
    form = FileFormat(container="mp4", codec="h264", b_frames=False)
    write_video(path, frames, timeline, form, size_px=(SIZE_PX[1], SIZE_PX[0]), crf=18)
    return [frame.pts for frame in read_frames(str(path))], truth


def rows(path: Path, **changes: Any) -> tuple[Any, list[tuple[int, int, str]]]:
    """Analyse; return the source's row and all its pieces in order, with the reason of gaps."""
    analysis = analyze_file(stat_source(str(path)), AnalyzeConfig(**changes), SandboxConfig())
    clips = [(clip["start_pts"], clip["end_pts"], "") for clip in analysis.clips]
    gaps = [(gap.start_pts, gap.end_pts, gap.reason) for gap in analysis.gaps]
    return analysis.source, sorted(clips + gaps)
