"""Make spliced videos with known transitions, from worlds and from real clips."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from kinora.demo.clips import extract, fetch
from video.encode import encode_mp4
from video.frames import read_frames
from worlds.raw.config import RawConfig, wild
from worlds.raw.editing import Transition, mix
from worlds.raw.render import render_raw, truth_path

REAL_SHOTS = {
    "bikes.mp4": ((0, 30), (30, 76), (76, 137), (137, 187), (187, 242)),
    "cityCC0.mpg": ((0, 116), (116, 190)),
    "carphone_pristine.mp4": ((0, 120),),
}
"""Frames [first, end) of each shot of the real clips, annotated by hand; not used for training."""
SIZE_PX = (180, 320)


@dataclass(frozen=True, kw_only=True, slots=True)
class SplicedVideo:
    """One file and its transitions."""

    path: Path
    transitions: tuple[tuple[str, int, int], ...]
    """(kind, first frame, frame after the last); a hard cut starts and ends at the new shot's first frame."""
    kind: str
    """`worlds`, `real`, or a class of `shot_classes`."""


def of_worlds(folder: Path, count: int, seed: int) -> Iterator[SplicedVideo]:
    """Render raw videos of all families, styles and frame rates, with every kind of transition.

    AV1 is excluded: OpenCV, which PySceneDetect decodes with, cannot read it.
    """
    everything = wild(RawConfig(num_videos=count, seed=seed, still_rate=0.0, flash_rate=0.2))
    formats = tuple(name for name in everything.formats if not name.endswith("/av1"))
    config = replace(everything, formats=formats, copy_rate=0.0, damage_rate=0.0)
    render_raw(folder / "worlds", config)
    for text in truth_path(folder / "worlds", config).read_text().splitlines():
        line = json.loads(text)
        transitions = tuple((t["kind"], t["start_frame"], t["end_frame"]) for t in line["transitions"])
        yield SplicedVideo(path=folder / "worlds" / line["file"], transitions=transitions, kind="worlds")


def of_real_clips(folder: Path, count: int, seed: int, cache: Path) -> Iterator[SplicedVideo]:
    """Join real shots by cuts, dissolves and fades, and encode them as H.264."""
    folder.mkdir(parents=True, exist_ok=True)
    shots = real_shots(cache, folder)
    rng = np.random.default_rng(seed)
    for number in range(count):
        frames, transitions = _splice(rng, shots)
        path = folder / f"{number}.mp4"
        encode_mp4(iter(frames), Fraction(25), path, crf=23)
        yield SplicedVideo(path=path, transitions=tuple(transitions), kind="real")


def real_shots(cache: Path, folder: Path) -> list[np.ndarray]:
    """Return the frames of each shot of the real clips; these are extracted into `folder`."""
    fetch(cache)
    shots: list[np.ndarray] = []
    for path in extract(cache, folder / "clips"):
        if path.name in REAL_SHOTS:
            frames = np.stack([frame.rgb_HWC for frame in read_frames(str(path), size_px=SIZE_PX)])
            shots += [frames[a:b] for a, b in REAL_SHOTS[path.name]]
    return shots


def _splice(
    rng: np.random.Generator, shots: list[np.ndarray]
) -> tuple[np.ndarray, list[tuple[str, int, int]]]:
    """Join a random sequence of distinct shots; return its frames and transitions."""
    order = rng.permutation(len(shots))[: int(rng.integers(3, 6))]
    pieces, transitions, end = [], [], 0
    for number, index in enumerate(order):
        shot = shots[index]
        kind = str(rng.choice(["cut", "dissolve", "fade_black", "fade_white"])) if number else "first"
        length = int(rng.integers(10, 24)) | 1
        overlaps = kind not in ("first", "cut") and min(len(pieces[-1]), len(shot)) > length + 12
        if number and overlaps:
            old, new = pieces[-1][-length:], shot[:length]
            pieces[-1] = pieces[-1][:-length]
            end -= length
            transitions.append((kind, end, end + length))
            mixed = np.stack(list(mix(Transition(kind=kind, num_frames=length), old, new)))
            pieces += [mixed, shot[length:]]
        else:
            transitions += [("cut", end, end)] if number else []
            pieces.append(shot)
        end = sum(map(len, pieces))
    return np.concatenate(pieces), transitions
