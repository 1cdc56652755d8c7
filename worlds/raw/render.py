"""Write raw videos of simulated worlds, as a camera crew or a crawl of the web would hand them over, and the
truth about them elsewhere.

`truth.jsonl` has one line a file, described in `worlds.raw.truth`: its name, size, frame rate, time base, and
for each shot its span (frames, pts, seconds), its world, and a short and a dense caption. A slate is a shot
whose world holds nothing. Then the transitions between the shots, what was put on the picture (`defects`), of
which file this one is a copy, and how it was damaged.

By default videos are H.264 in MP4 with hard cuts and nothing else; `wild` turns everything on. All that the
default leaves out is drawn from random numbers of its own, so that turning one thing on does not change the
worlds.
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
from worlds.raw.defects import Defects, draw_bars, draw_subtitles, draw_watermark
from worlds.raw.editing import Edit, draw_flash, draw_transition, edited_frames
from worlds.raw.scene import Place, Scene, draw_scene, slate
from worlds.raw.timeline import Timeline, steady, uneven
from worlds.raw.truth import Line, pts_of, tell_shots, tell_transitions
from worlds.raw.writing import Form, draw_form, write_picture, write_video

TRUTH_FILE = "truth.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class RawSummary:
    """What was written."""

    num_videos: int
    """Videos and stills that are no copies."""
    num_stills: int
    num_copies: int
    num_damaged: int
    num_shots: int
    """Shots of those videos, slates not counted."""
    num_slates: int
    num_frames: int
    seconds: float
    """Playing time of those videos."""


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
    roles = [role(config, index) for index in range(config.num_videos)]
    lines: list[Line] = []
    with _mapper(config.num_workers) as map_files:
        for write in (render_file, copy_file, damaged_file):  # copies need their originals
            given = () if write is render_file else ([line for line in lines if line["copy_of"] is None],)
            indices = [index for index, writer in enumerate(roles) if writer is write]
            for line in map_files(partial(write, Path(out_dir), config, *given), indices):
                lines.append(line)
                on_file(len(lines))
    lines.sort(key=lambda line: line["file"])
    unfinished = truth_file.with_suffix(".part")
    unfinished.write_text("".join(json.dumps(line) + "\n" for line in lines))
    os.replace(unfinished, truth_file)
    return _summary(lines)


def role(config: RawConfig, index: int) -> Callable[..., Line]:
    """Return what writes file `index`: it is rendered, or a copy of one that is; the first is rendered."""
    chance = Random(f"worlds/raw/{config.seed}/{index}/role").random()
    if index and chance < config.damage_rate:
        return damaged_file
    return copy_file if index and chance < config.damage_rate + config.copy_rate else render_file


def truth_path(out_dir: str | Path, config: RawConfig) -> Path:
    """Return where the truth about `out_dir` goes."""
    folder = Path(config.truth_dir) if config.truth_dir else Path(f"{Path(out_dir)}-truth")
    return folder / TRUTH_FILE


def check(config: RawConfig) -> None:
    """Raise ValueError for a configuration that cannot be rendered, naming the field."""
    for name in ("shots_per_video", "shot_seconds", "slate_seconds", "transition_seconds", "whip_seconds"):
        low, high = getattr(config, name)
        if not 0 < low <= high:
            raise ValueError(f"{name} is ({low}, {high}): give the smallest, more than 0, then the largest")
    shares = ("two_objects_prob", "slate_rate", "still_rate", "flash_rate", "uneven_rate", "b_frames_rate")
    bars = ("letterbox_rate", "pillarbox_rate")
    for name in (*shares, *bars, "watermark_rate", "subtitle_rate", "copy_rate", "damage_rate"):
        if not 0 <= getattr(config, name) <= 1:
            raise ValueError(f"{name} is {getattr(config, name)}: give a share from 0 to 1")
    for one, other in (bars, ("copy_rate", "damage_rate")):
        if getattr(config, one) + getattr(config, other) > 1:
            raise ValueError(f"{one} and {other} are more than 1 together: a file can be only one of them")
    named = {"families": FAMILY_NAMES, "styles": STYLES}
    named |= {"transitions": TRANSITIONS, "copies": COPIES, "damages": DAMAGES}
    for name, known in named.items():
        given = getattr(config, name)
        if not given or not set(given) <= set(known):
            raise ValueError(f"{name} is {', '.join(given) or 'empty'}: use some of {', '.join(known)}")
    if config.num_videos < 1 or config.short_side_px < 16 or not config.fps or min(config.fps) <= 0:
        raise ValueError("give num_videos of 1 or more, short_side_px of 16 or more, and an fps above 0")
    for aspect in config.aspects:
        frame_size(aspect, config.short_side_px)
    for form in config.formats:
        _, codec = split_format(form)
        encoder_name(codec)
        if config.short_side_px < MIN_SIDE_PX.get(codec, 16):
            raise ValueError(f"short_side_px is {config.short_side_px}: too small for {form} in formats")
    if not any(stores_timestamps(split_format(form)[0]) or not config.uneven_rate for form in config.formats):
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
    look_rng = Random(f"worlds/raw/{config.seed}/{index}/looks")
    size_px = frame_size(rng.choice(config.aspects), config.short_side_px)
    fps = rng.choice(config.fps)
    still = rng.random() < config.still_rate
    bars = draw_bars(edit_rng, config, size_px)
    width, height = Defects(size_px=size_px, bars=bars).picture_px[2:]
    place = Place(width=width, height=height, fps=fps)
    if still:
        edit = Edit(
            scenes=(draw_scene(rng, look_rng, config, place, alone=1),), transitions=(), flashes=(None,)
        )
    else:
        edit = plan_shots(rng, edit_rng, look_rng, config, place)
    timeline = draw_timeline(edit_rng, config, edit, exact_fps(fps))
    num_frames = len(timeline.times_s)
    defects = Defects(
        size_px=size_px,
        bars=bars,
        watermark=draw_watermark(edit_rng, config, (0, 0, *size_px) if bars is None else bars.picture_px),
        subtitles=draw_subtitles(edit_rng, config, num_frames, fps),
    )
    frames = _finished_frames(edit, timeline, defects)
    if still:
        form = Form(container="png", codec="png", b_frames=False)
        path = out_dir / f"raw-{index:05d}.png"
        write_picture(path, next(frames))
    else:
        form = draw_form(edit_rng, config, timeline)
        path = out_dir / f"raw-{index:05d}.{form.container}"
        write_video(path, frames, timeline, form, size_px=size_px, crf=config.crf)
    time_base = probe(path).time_base
    return {
        "file": path.name,
        "kind": "image" if still else "video",
        "width": size_px[0],
        "height": size_px[1],
        "fps": str(exact_fps(fps)),
        "time_base": str(time_base),
        "num_frames": num_frames,
        "shots": tell_shots(edit, timeline, time_base, [rng.getrandbits(48) for _ in edit.scenes]),
        "transitions": tell_transitions(edit, timeline, time_base),
        **asdict(form),
        "pts": pts_of(timeline, time_base),
        "picture_px": list(defects.picture_px),
        "defects": defects.told(),
        "copy_of": None,
        "copy": None,
        "damage": None,
    }


def plan_shots(rng: Random, edit_rng: Random, look_rng: Random, config: RawConfig, place: Place) -> Edit:
    """Draw the shots of one video and what is between them; neighbours look different."""
    num_shots = rng.randint(*config.shots_per_video)
    slates = [False] + [rng.random() < config.slate_rate for _ in range(num_shots - 1)]
    is_slate = [piece for slate in slates for piece in ((True, False) if slate else (False,))] + [False]
    transitions = [draw_transition(edit_rng, config, place.fps) for _ in is_slate[2:]]
    lengths = [0, *(transition.num_frames for transition in transitions), 0]
    scenes: list[Scene] = []
    for piece, slated in enumerate(is_slate[:-1]):
        span_s = config.slate_seconds if slated else config.shot_seconds
        alone = max(1 if slated else 2, round(rng.uniform(*span_s) * place.fps))
        overlaps = lengths[piece], lengths[piece + 1]
        neighbours = scenes[-1:] + ([slate(place, 1)] if is_slate[piece + 1] else [])
        scenes.append(
            slate(place, alone + sum(overlaps))
            if slated
            else draw_scene(
                rng, look_rng, config, place, alone=alone, overlaps=overlaps, neighbours=neighbours
            )
        )
    edit = Edit(scenes=tuple(scenes), transitions=tuple(transitions), flashes=(None,) * len(scenes))
    flashes = [draw_flash(edit_rng, config, scene, edit.overlaps(n)) for n, scene in enumerate(scenes)]
    return replace(edit, flashes=tuple(flashes))


def draw_timeline(rng: Random, config: RawConfig, edit: Edit, fps: Fraction) -> Timeline:
    """Draw whether the frame rate of a file is variable, and when its frames are shown."""
    chance = rng.random()
    if edit.num_frames == 1 or chance >= config.uneven_rate:
        return steady(edit.num_frames, fps)
    starts = {frame for span in [*edit.spans(), *edit.flash_spans()] for frame in span or ()}
    return uneven(rng, edit.num_frames, fps, starts)


def _finished_frames(edit: Edit, timeline: Timeline, defects: Defects) -> Iterator[np.ndarray]:
    """Yield the frames of the file: those of the edit that it keeps, with all that is put on them."""
    kept = range(edit.num_frames) if timeline.kept is None else timeline.kept
    remaining = iter(enumerate(kept))
    number, wanted = next(remaining)
    for frame, picture_HWC in enumerate(edited_frames(edit)):
        if frame == wanted:
            yield defects.apply(picture_HWC, number)
            number, wanted = next(remaining, (-1, -1))


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
    """Give a `map` that keeps the order, over processes where there is more than one."""
    if num_workers <= 1:
        yield map
        return
    with ProcessPoolExecutor(num_workers) as pool:
        yield partial(pool.map, chunksize=4)
