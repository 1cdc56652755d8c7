"""Write raw videos of simulated worlds, as a camera crew would hand them over, and the truth about them
elsewhere.

`truth.jsonl` has one line a file: its name, size, frame rate, time base, and for each shot its span (frames,
pts, seconds), its world, and a short and a dense caption. A slate is a shot whose world holds nothing.
"""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import cv2

from video.encode import Mp4Writer, even_side, exact_fps
from video.probe import probe
from worlds.captions import dense_caption, short_caption
from worlds.config import RawConfig
from worlds.shapes import render, sample_world
from worlds.truth import World

SLATE_BACKGROUND = "black"
TRUTH_FILE = "truth.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class RawSummary:
    """What was written."""

    num_videos: int
    num_stills: int
    num_shots: int
    """Shots of videos, slates not counted."""
    num_slates: int
    num_frames: int
    seconds: float
    """Playing time of the videos."""


def render_raw(
    out_dir: str | Path, config: RawConfig, on_file: Callable[[int], None] = lambda done: None
) -> RawSummary:
    """Render raw videos into `out_dir` and their truth into `truth_path(out_dir, config)`.

    Args:
        on_file: is told how many files are done, after each.

    Raises:
        FileExistsError: if either folder already holds something.
    """
    check(config)
    truth_file = truth_path(out_dir, config)
    for folder in (Path(out_dir), truth_file.parent):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise FileExistsError(f"{folder} already holds something: name an empty or a new folder")
        folder.mkdir(parents=True, exist_ok=True)
    lines = []
    with _mapper(config.num_workers) as map_files:
        for line in map_files(partial(render_file, Path(out_dir), config), range(config.num_videos)):
            lines.append(line)
            on_file(len(lines))
    unfinished = truth_file.with_suffix(".part")
    unfinished.write_text("".join(json.dumps(line) + "\n" for line in lines))
    os.replace(unfinished, truth_file)
    return _summary(lines)


def truth_path(out_dir: str | Path, config: RawConfig) -> Path:
    """Return where the truth about `out_dir` goes."""
    folder = Path(config.truth_dir) if config.truth_dir else Path(f"{Path(out_dir)}-truth")
    return folder / TRUTH_FILE


def check(config: RawConfig) -> None:
    """Raise ValueError for a configuration that cannot be rendered, naming the field."""
    for name in ("shots_per_video", "shot_seconds", "slate_seconds"):
        low, high = getattr(config, name)
        if not 0 < low <= high:
            raise ValueError(f"{name} is ({low}, {high}): give the smallest, more than 0, then the largest")
    for name in ("two_things_share", "slate_rate", "still_rate"):
        if not 0 <= getattr(config, name) <= 1:
            raise ValueError(f"{name} is {getattr(config, name)}: give a share from 0 to 1")
    if config.num_videos < 1 or config.short_side_px < 16 or not config.fps or min(config.fps) <= 0:
        raise ValueError("give num_videos of 1 or more, short_side_px of 16 or more, and an fps above 0")
    for aspect in config.aspects:
        frame_size(aspect, config.short_side_px)


def frame_size(aspect: str, short_side_px: int) -> tuple[int, int]:
    """Return (width, height) with even sides, such as (170, 96) for `16:9` at 96."""
    try:
        ratio = Fraction(*map(int, aspect.split(":")))
        wide = ratio >= 1
        long_side = even_side(short_side_px * (ratio if wide else 1 / ratio))
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ValueError(f"aspects has {aspect!r}: write it as width:height, such as 16:9") from error
    short_side = even_side(short_side_px)
    return (long_side, short_side) if wide else (short_side, long_side)


def render_file(out_dir: Path, config: RawConfig, index: int) -> dict[str, Any]:
    """Write file `index` and return its line of truth."""
    rng = Random(f"worlds/raw/{config.seed}/{index}")
    width, height = frame_size(rng.choice(config.aspects), config.short_side_px)
    fps = rng.choice(config.fps)
    still = rng.random() < config.still_rate
    if still:
        worlds = [_shot(rng, config, width=width, height=height, fps=fps, num_frames=1, avoid=set())]
        path = out_dir / f"raw-{index:05d}.png"
        picture_HWC = cv2.cvtColor(render(worlds[0])[0], cv2.COLOR_RGB2BGR)
        path.write_bytes(cv2.imencode(".png", picture_HWC)[1].tobytes())
    else:
        worlds = plan_shots(rng, config, width=width, height=height, fps=fps)
        path = out_dir / f"raw-{index:05d}.mp4"
        with Mp4Writer(path, height=height, width=width, fps=fps, crf=config.crf) as writer:
            for world in worlds:
                for frame_HWC in render(world):
                    writer.write(frame_HWC, writer.num_frames)
    time_base = probe(path).time_base
    return {
        "file": path.name,
        "kind": "image" if still else "video",
        "width": width,
        "height": height,
        "fps": str(exact_fps(fps)),
        "time_base": str(time_base),
        "num_frames": sum(world.num_frames for world in worlds),
        "shots": list(_spans(worlds, exact_fps(fps), time_base, rng)),
    }


def plan_shots(rng: Random, config: RawConfig, *, width: int, height: int, fps: float) -> list[World]:
    """Draw the shots of one video; neighbours have different backgrounds."""
    num_shots = rng.randint(*config.shots_per_video)
    slates = [False] + [rng.random() < config.slate_rate for _ in range(num_shots - 1)] + [False]
    worlds: list[World] = []
    for index in range(num_shots):
        if slates[index]:
            num_frames = max(1, round(rng.uniform(*config.slate_seconds) * fps))
            worlds.append(_slate(width=width, height=height, fps=fps, num_frames=num_frames))
        avoid = {world.background for world in worlds[-1:]}
        avoid |= {SLATE_BACKGROUND} if slates[index + 1] else set()
        num_frames = max(2, round(rng.uniform(*config.shot_seconds) * fps))
        worlds.append(
            _shot(rng, config, width=width, height=height, fps=fps, num_frames=num_frames, avoid=avoid)
        )
    return worlds


def _shot(
    rng: Random, config: RawConfig, *, width: int, height: int, fps: float, num_frames: int, avoid: set[str]
) -> World:
    return sample_world(
        rng.getrandbits(48),
        width=width,
        height=height,
        fps=fps,
        num_frames=num_frames,
        num_things=2 if rng.random() < config.two_things_share else 1,
        distinct_from=avoid,
        motions=config.motions,
        speeds=config.speeds,
    )


def _slate(*, width: int, height: int, fps: float, num_frames: int) -> World:
    return World(
        seed=0,
        things=(),
        background=SLATE_BACKGROUND,
        width=width,
        height=height,
        fps=fps,
        num_frames=num_frames,
    )


def _spans(worlds: list[World], fps: Fraction, time_base: Fraction, rng: Random) -> Iterator[dict[str, Any]]:
    """Yield each shot with where it begins and ends (the end is the first frame of the next)."""
    start = 0
    for world in worlds:
        end, seed = start + world.num_frames, rng.getrandbits(48)
        yield {
            "start_frame": start,
            "end_frame": end,
            "start_pts": round(start / fps / time_base),
            "end_pts": round(end / fps / time_base),
            "start_s": float(start / fps),
            "end_s": float(end / fps),
            "slate": not world.things,
            "short": short_caption(world, seed),
            "dense": dense_caption(world, seed) if world.things else None,
            "world": world.to_json(),
        }
        start = end


def _summary(lines: list[dict[str, Any]]) -> RawSummary:
    videos = [line for line in lines if line["kind"] == "video"]
    shots = [shot for line in videos for shot in line["shots"]]
    return RawSummary(
        num_videos=len(videos),
        num_stills=len(lines) - len(videos),
        num_shots=sum(not shot["slate"] for shot in shots),
        num_slates=sum(shot["slate"] for shot in shots),
        num_frames=sum(line["num_frames"] for line in lines),
        seconds=sum(line["shots"][-1]["end_s"] for line in videos),
    )


@contextmanager
def _mapper(num_workers: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """Give a `map` that keeps the order, over processes where there is more than one."""
    if num_workers <= 1:
        yield map
        return
    with ProcessPoolExecutor(num_workers) as pool:
        yield partial(pool.map, chunksize=4)
