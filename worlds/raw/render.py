"""Render raw videos of simulated worlds, and a truth file apart from them.

`truth.jsonl` has one line per file (see `worlds.raw.truth`): name, size, frame rate and time base; span,
world and captions of each shot; transitions, overlays (`defects`), and the original and damage of copies. A
slate is a shot with an empty world.

By default videos are H.264 in MP4 with hard cuts; `wild` enables everything. Each optional variation has its
own random stream, so enabling one does not change the worlds.
"""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from video.encode import even_side, exact_fps
from video.formats import MIN_SIDE_PX, encoder_name, split_format, stores_timestamps
from video.probe import probe
from worlds.palette import FAMILY_NAMES, STYLES
from worlds.raw.config import COPIES, DAMAGES, TRANSITIONS, RawConfig
from worlds.raw.copies import copy_file, damaged_file
from worlds.raw.defects import Defects, sample_bars, sample_subtitles, sample_watermark
from worlds.raw.editing import Edit, render_edit, sample_flash, sample_transition
from worlds.raw.scene import FrameSpec, Scene, sample_scene, slate
from worlds.raw.timeline import Timeline, steady, uneven
from worlds.raw.truth import Line, pts_of, shot_lines, transition_lines
from worlds.raw.writing import FileFormat, sample_format, write_picture, write_video

TRUTH_FILE = "truth.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class RawSummary:
    """Counts of what was written."""

    num_videos: int
    """Videos and stills, without copies."""
    num_stills: int
    num_copies: int
    num_damaged: int
    num_shots: int
    """Shots of the videos, without slates."""
    num_slates: int
    num_frames: int
    seconds: float
    """Total duration of the videos."""


def render_raw(
    out_dir: str | Path, config: RawConfig, on_file: Callable[[int], None] = lambda done: None
) -> RawSummary:
    """Render raw videos into `out_dir` and their truth into `truth_path(out_dir, config)`.

    Args:
        on_file: called after each file with the number of files done.

    Raises:
        FileExistsError: if either folder is not empty.
    """
    check(config)
    truth_file = truth_path(out_dir, config)
    for folder in (Path(out_dir), truth_file.parent):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise FileExistsError(f"{folder} already holds something: name an empty or a new folder")
        folder.mkdir(parents=True, exist_ok=True)
    writers = [writer_of(config, index) for index in range(config.num_videos)]
    lines: list[Line] = []
    with _mapper(config.num_workers) as map_files:
        for write in (render_file, copy_file, damaged_file):  # copies need their originals
            originals = () if write is render_file else ([line for line in lines if line["copy_of"] is None],)
            indices = [index for index, writer in enumerate(writers) if writer is write]
            for line in map_files(partial(write, Path(out_dir), config, *originals), indices):
                lines.append(line)
                on_file(len(lines))
    lines.sort(key=lambda line: line["file"])
    unfinished = truth_file.with_suffix(".part")
    unfinished.write_text("".join(json.dumps(line) + "\n" for line in lines))
    os.replace(unfinished, truth_file)
    return _summary(lines)


def writer_of(config: RawConfig, index: int) -> Callable[..., Line]:
    """Return the function that writes file `index`; the first file is always rendered."""
    chance = Random(f"worlds/raw/{config.seed}/{index}/role").random()
    if index and chance < config.damage_rate:
        return damaged_file
    return copy_file if index and chance < config.damage_rate + config.copy_rate else render_file


def truth_path(out_dir: str | Path, config: RawConfig) -> Path:
    """Return the path of the truth file of `out_dir`."""
    folder = Path(config.truth_dir) if config.truth_dir else Path(f"{Path(out_dir)}-truth")
    return folder / TRUTH_FILE


def check(config: RawConfig) -> None:
    """Raise ValueError for an invalid field of the configuration."""
    for name in ("shots_per_video", "shot_seconds", "slate_seconds", "transition_seconds", "whip_seconds"):
        low, high = getattr(config, name)
        if not 0 < low <= high:
            raise ValueError(f"{name} is ({low}, {high}): give the smallest, more than 0, then the largest")
    shares = ("two_objects_prob", "slate_rate", "still_rate", "flash_rate", "uneven_rate", "b_frames_rate")
    bars = ("letterbox_rate", "pillarbox_rate")
    for name in (*shares, *bars, "watermark_rate", "subtitle_rate", "copy_rate", "damage_rate"):
        if not 0 <= getattr(config, name) <= 1:
            raise ValueError(f"{name} is {getattr(config, name)}: give a share from 0 to 1")
    for first, second in (bars, ("copy_rate", "damage_rate")):
        if getattr(config, first) + getattr(config, second) > 1:
            raise ValueError(f"{first} and {second} are more than 1 together: a file can be only one of them")
    named = {"families": FAMILY_NAMES, "styles": STYLES}
    named |= {"transitions": TRANSITIONS, "copies": COPIES, "damages": DAMAGES}
    for name, known in named.items():
        values = getattr(config, name)
        if not values or not set(values) <= set(known):
            raise ValueError(f"{name} is {', '.join(values) or 'empty'}: use some of {', '.join(known)}")
    if config.num_videos < 1 or config.short_side_px < 16 or not config.fps or min(config.fps) <= 0:
        raise ValueError("give num_videos of 1 or more, short_side_px of 16 or more, and an fps above 0")
    for aspect in config.aspects:
        frame_size(aspect, config.short_side_px)
    for name in config.formats:
        _, codec = split_format(name)
        encoder_name(codec)
        if config.short_side_px < MIN_SIDE_PX.get(codec, 16):
            raise ValueError(f"short_side_px is {config.short_side_px}: too small for {name} in formats")
    if not any(
        stores_timestamps(split_format(file_format)[0]) or not config.uneven_rate
        for file_format in config.formats
    ):
        raise ValueError("formats is empty or all AVI, which has no variable frame rate: add mp4/h264")


def frame_size(aspect: str, short_side_px: int) -> tuple[int, int]:
    """Return (width, height) with even sides, such as (170, 96) for `16:9` at 96."""
    try:
        across, down = map(Fraction, aspect.split(":"))
        ratio = across / down
        if ratio <= 0:
            raise ValueError("not above 0")
        wide = ratio >= 1
        long_side = even_side(short_side_px * (ratio if wide else 1 / ratio))
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ValueError(f"aspects has {aspect!r}: write it as width:height, such as 16:9") from error
    short_side = even_side(short_side_px)
    return (long_side, short_side) if wide else (short_side, long_side)


def render_file(out_dir: Path, config: RawConfig, index: int) -> Line:
    """Write file `index` and return its line of truth."""
    rng = Random(f"worlds/raw/{config.seed}/{index}")
    edit_rng = Random(f"worlds/raw/{config.seed}/{index}/editing")
    style_rng = Random(f"worlds/raw/{config.seed}/{index}/looks")
    size_px = frame_size(rng.choice(config.aspects), config.short_side_px)
    fps = rng.choice(config.fps)
    still = rng.random() < config.still_rate
    bars = sample_bars(edit_rng, config, size_px)
    width, height = Defects(size_px=size_px, bars=bars).picture_px[2:]
    frame_spec = FrameSpec(width=width, height=height, fps=fps)
    if still:
        edit = Edit(
            scenes=(sample_scene(rng, style_rng, config, frame_spec, alone=1),),
            transitions=(),
            flashes=(None,),
        )
    else:
        edit = sample_edit(rng, edit_rng, style_rng, config, frame_spec)
    timeline = sample_timeline(edit_rng, config, edit, exact_fps(fps))
    num_frames = len(timeline.times_s)
    defects = Defects(
        size_px=size_px,
        bars=bars,
        watermark=sample_watermark(edit_rng, config, (0, 0, *size_px) if bars is None else bars.picture_px),
        subtitles=sample_subtitles(edit_rng, config, num_frames, fps),
    )
    frames = _finished_frames(edit, timeline, defects)
    if still:
        file_format = FileFormat(container="png", codec="png", b_frames=False)
        path = out_dir / f"raw-{index:05d}.png"
        write_picture(path, next(frames))
    else:
        file_format = sample_format(edit_rng, config, timeline)
        path = out_dir / f"raw-{index:05d}.{file_format.container}"
        write_video(path, frames, timeline, file_format, size_px=size_px, crf=config.crf)
    time_base = probe(path).time_base
    return {
        "file": path.name,
        "kind": "image" if still else "video",
        "width": size_px[0],
        "height": size_px[1],
        "fps": str(exact_fps(fps)),
        "time_base": str(time_base),
        "num_frames": num_frames,
        "shots": shot_lines(edit, timeline, time_base, [rng.getrandbits(48) for _ in edit.scenes]),
        "transitions": transition_lines(edit, timeline, time_base),
        **asdict(file_format),
        "pts": pts_of(timeline, time_base),
        "picture_px": list(defects.picture_px),
        "defects": defects.to_json(),
        "copy_of": None,
        "copy": None,
        "damage": None,
    }


def sample_edit(
    rng: Random, edit_rng: Random, style_rng: Random, config: RawConfig, frame_spec: FrameSpec
) -> Edit:
    """Sample the shots and transitions of one video; adjacent shots look different."""
    num_shots = rng.randint(*config.shots_per_video)
    slates = [False] + [rng.random() < config.slate_rate for _ in range(num_shots - 1)]
    is_slate = [piece for slate in slates for piece in ((True, False) if slate else (False,))] + [False]
    transitions = [sample_transition(edit_rng, config, frame_spec.fps) for _ in is_slate[2:]]
    lengths = [0, *(transition.num_frames for transition in transitions), 0]
    scenes: list[Scene] = []
    for piece, slated in enumerate(is_slate[:-1]):
        span_s = config.slate_seconds if slated else config.shot_seconds
        alone = max(1 if slated else 2, round(rng.uniform(*span_s) * frame_spec.fps))
        overlaps = lengths[piece], lengths[piece + 1]
        neighbours = scenes[-1:] + ([slate(frame_spec, 1)] if is_slate[piece + 1] else [])
        scenes.append(
            slate(frame_spec, alone + sum(overlaps))
            if slated
            else sample_scene(
                rng, style_rng, config, frame_spec, alone=alone, overlaps=overlaps, neighbours=neighbours
            )
        )
    edit = Edit(scenes=tuple(scenes), transitions=tuple(transitions), flashes=(None,) * len(scenes))
    flashes = [sample_flash(edit_rng, config, scene, edit.overlaps(n)) for n, scene in enumerate(scenes)]
    return replace(edit, flashes=tuple(flashes))


def sample_timeline(rng: Random, config: RawConfig, edit: Edit, fps: Fraction) -> Timeline:
    """Sample a constant-rate or variable-rate timeline."""
    chance = rng.random()
    if edit.num_frames == 1 or chance >= config.uneven_rate:
        return steady(edit.num_frames, fps)
    starts = {frame for span in [*edit.spans(), *edit.flash_spans()] for frame in span or ()}
    return uneven(rng, edit.num_frames, fps, starts)


def _finished_frames(edit: Edit, timeline: Timeline, defects: Defects) -> Iterator[np.ndarray]:
    """Yield the kept frames of the edit with their overlays."""
    kept = range(edit.num_frames) if timeline.kept is None else timeline.kept
    remaining = iter(enumerate(kept))
    number, next_frame = next(remaining)
    for frame, picture_HWC in enumerate(render_edit(edit)):
        if frame == next_frame:
            yield defects.apply(picture_HWC, number)
            number, next_frame = next(remaining, (-1, -1))


def _summary(lines: list[Line]) -> RawSummary:
    originals = [line for line in lines if line["copy_of"] is None]
    videos = [line for line in originals if line["kind"] == "video"]
    shots = [shot for line in videos for shot in line["shots"]]
    return RawSummary(
        num_videos=len(videos),
        num_stills=len(originals) - len(videos),
        num_copies=sum(line["copy"] is not None for line in lines),
        num_damaged=sum(line["damage"] is not None for line in lines),
        num_shots=sum(not shot["slate"] for shot in shots),
        num_slates=sum(shot["slate"] for shot in shots),
        num_frames=sum(line["num_frames"] for line in originals),
        seconds=sum(line["shots"][-1]["end_s"] for line in videos),
    )


@contextmanager
def _mapper(num_workers: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """Yield an order-preserving `map`, over processes if there are several."""
    if num_workers <= 1:
        yield map
        return
    with ProcessPoolExecutor(num_workers) as pool:
        yield partial(pool.map, chunksize=4)
