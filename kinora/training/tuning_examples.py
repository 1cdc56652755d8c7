"""Captions to fine-tune a vision-language model on: those of a dataset, or of simulated worlds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

import numpy as np

from captioner.prompts import Prompt, load_prompt
from captioner.protocol import CaptionRequest
from captioner.train.lora import CaptionTarget
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.ranges import PositiveInt, check_ranges
from manifests.records import LENGTH_COLUMNS
from manifests.row_reads import read_rows
from manifests.shown_frames import frame_step
from pipeline.media.read import read_media
from video.frames import read_frames
from video.resize import fit_long_side
from worlds import families

Length = Literal["short", "medium", "dense"]
SIDES = ((96, 96), (128, 128), (128, 72), (72, 128))
"""Width and height of worlds."""
_WORLD_FPS, _WORLD_FRAMES = 8.0, 24
_MEDIA = ("media_id", "clip_id", "path", "offset", "length", "num_frames", "height", "width")


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneData:
    """Where the captions come from: a dataset or worlds."""

    dataset: str = ""
    """Dataset whose OK captions are learned: a folder or s3://bucket/prefix."""
    captions: str = ""
    """Caption version. Default: the caption that counts of each clip."""
    worlds: tuple[str, ...] = ()
    """Families of simulated worlds, instead of a dataset."""
    lengths: tuple[Length, ...] = ("dense", "short")
    """Lengths that are learned, each under its built-in prompt; a clip that lacks one is left out of it."""
    max_frames: PositiveInt = 48
    """Maximum number of frames decoded per clip, evenly spaced, of which the model is shown some."""
    max_side_px: PositiveInt = 512
    """Maximum long side of these frames, in pixels."""

    __post_init__ = check_ranges


Sample = Callable[[int], Sequence[CaptionTarget]]


def tuning_examples(data: TuneData, batch_size: int, seed: int) -> Sample:
    """Return what samples the examples of a step, deterministically in seed and step.

    Raises ValueError if neither or both of dataset and worlds are set, or there is nothing to learn.
    """
    if bool(data.dataset) == bool(data.worlds):
        raise ValueError("set --data.dataset to a dataset, or --data.worlds to families, and not both")
    if unknown := sorted({*data.worlds} - {*families.FAMILIES}):
        raise ValueError(f"data.worlds: no family {unknown[0]}; there are {', '.join(families.FAMILIES)}")
    if data.worlds and "medium" in data.lengths:
        raise ValueError("data.lengths: worlds have a short and a dense caption; leave out medium")
    prompts: dict[str, Prompt] = {name: load_prompt(name, stills=True) for name in data.lengths}
    example = _of_worlds(data, prompts) if data.worlds else _of_dataset(data, prompts)

    def sample(step: int) -> list[CaptionTarget]:
        return [example(Random(f"tuning/{seed}/{step}/{number}")) for number in range(batch_size)]

    return sample


def _of_worlds(data: TuneData, prompts: dict[str, Prompt]) -> Callable[[Random], CaptionTarget]:
    def example(rng: Random) -> CaptionTarget:
        width, height = rng.choice(SIDES)
        size = {"width": width, "height": height, "fps": _WORLD_FPS, "num_frames": _WORLD_FRAMES}
        world = families.sample(rng.choice(data.worlds), rng.getrandbits(31), **size)
        length = rng.choice(data.lengths)
        write = families.short_caption if length == "short" else families.dense_caption
        times = tuple(k / _WORLD_FPS for k in range(_WORLD_FRAMES))
        text = write(world, rng.getrandbits(31))
        return _target("world", families.render(world), times, prompts[length], text)

    return example


def _of_dataset(data: TuneData, prompts: dict[str, Prompt]) -> Callable[[Random], CaptionTarget]:
    dataset = Dataset.open(data.dataset)
    view = LiveView(dataset)
    columns = ["media_id", "outcome", *(LENGTH_COLUMNS[name] for name in data.lengths)]
    version = data.captions or None
    known = {*view.read("caption_attempts", ["version"])["version"].to_pylist()}
    if version and version not in known:
        raise ValueError(f"data.captions: no version {version}; there are {', '.join(sorted(known))}")
    captions = view.read("captions", columns, version=version).to_pylist()
    media = view.read("media", ["media_id"])["media_id"].to_pylist()
    row_of = dict(zip(media, view.row_indices("media").tolist(), strict=True))
    pairs = [
        (caption["media_id"], length, caption[LENGTH_COLUMNS[length]])
        for caption in captions
        for length in data.lengths
        if caption["outcome"] == "ok" and caption[LENGTH_COLUMNS[length]] and caption["media_id"] in row_of
    ]
    if not pairs:
        raise ValueError(f"{data.dataset}: no OK caption of the lengths {', '.join(data.lengths)}")

    def example(rng: Random) -> CaptionTarget:
        media_id, length, text = rng.choice(pairs)
        [row] = read_rows(dataset, "media", _MEDIA, np.array([row_of[media_id]])).to_pylist()
        size = fit_long_side((row["height"], row["width"]), data.max_side_px)
        content, every = read_media(dataset.storage, row), frame_step(row["num_frames"], data.max_frames)
        frames = list(read_frames(content, size_px=size, every=every, interpolation="AREA"))
        times = tuple(frame.time_s - frames[0].time_s for frame in frames)
        return _target(media_id, np.stack([frame.rgb_HWC for frame in frames]), times, prompts[length], text)

    return example


def _target(
    name: str, frames_THWC: np.ndarray, times_s: tuple[float, ...], prompt: Prompt, text: str
) -> CaptionTarget:
    asked = prompt.for_frames(len(times_s))
    request = CaptionRequest(
        clip_id=name, media_id=name, frames_THWC=frames_THWC, times_s=times_s, prompt=asked
    )
    return CaptionTarget(request=request, text=text)
