"""From a request to the conditions of the sampler.

Legend: T frames, H height, W width, C channels (RGB, uint8).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kinora.generation.inputs import MediaReader
from kinora.generation.request import DEFAULT_DRAFT_STRENGTH, Picture, Request, Verb, verb_of
from kinora.generation.shapes import (
    Size,
    describe_untrained,
    draft_size,
    nearest_size,
    num_frames,
    trained_sizes,
)
from trainer.config import FEW_STEPS, SampleConfig
from trainer.sample.conditions import Conditions
from trainer.sample.model import TextToVideo
from trainer.sample.verbs import animate, connect, edit, extend, from_draft, loop, text_to_video
from trainer.vocabulary import unknown_words

DRAFT_STEPS = 4
"""A draft that cannot be smaller takes one step of so many."""
_SHOWN_WORDS = 5


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Prepared:
    """A request with its inputs read, ready for the sampler."""

    request: Request
    verb: Verb
    size: Size
    frames: int
    """Length of the result."""
    conditions: Conditions
    config: SampleConfig
    notes: tuple[str, ...]
    """What a person should know: what was cropped, cut off, or never trained."""


def prepare(model: TextToVideo, request: Request, config: SampleConfig, reader: MediaReader) -> Prepared:
    """Read the inputs of a request and return its conditions.

    Raises ValueError for options that do not go together, inputs that cannot be read, and shapes that cannot
    be made.
    """
    verb = verb_of(request)
    size, config, notes = choose_shape(model, request, config, reader)
    videos, more = _read(request, verb, size, model, reader)
    conditions = to_conditions(model, request, verb, size, videos)
    frames = conditions.num_frames(model.vae.config.time_factor)
    is_one_clip = verb in ("text", "animate")
    return Prepared(
        request=request,
        verb=verb,
        size=size,
        frames=frames,
        conditions=conditions,
        config=config,
        notes=(*notes, *more, *_describe(model, request, frames if is_one_clip else None, size)),
    )


def choose_shape(
    model: TextToVideo, request: Request, config: SampleConfig, reader: MediaReader
) -> tuple[Size, SampleConfig, tuple[str, ...]]:
    """Return the size of the result, how it is sampled, and notes. Reads only the heads of the inputs."""
    size, notes = _size(model, request, reader)
    return (*_draft(model, size, config), notes) if request.draft else (size, config, notes)


def to_conditions(
    model: TextToVideo, request: Request, verb: Verb, size: Size, videos: Sequence[np.ndarray]
) -> Conditions:
    """Return the conditions of a request.

    Args:
        videos: frames_THWC of its inputs in their order, at the model's rate and the size of the result.
    """
    prompt = [(0, request.prompt)]
    prompt += [(round(start_s * model.fps), text) for start_s, text in request.prompt_at]
    shared: dict[str, Any] = {"seed": request.seed, "negative_prompt": request.negative_prompt}
    new_frames = num_frames(request, verb, model.fps, model.vae.config.time_factor)
    pixels = {"height": size.height, "width": size.width}
    if verb == "animate":
        places = [_place(frame, new_frames) for frame in request.at_frame or (0,)]
        images = [(place, frames_THWC[0]) for place, frames_THWC in zip(places, videos, strict=True)]
        return animate(model, images, prompt, num_frames=new_frames, **shared)
    if verb == "extend":
        direction = request.extend or "forward"
        return extend(model, videos[0], prompt, new_frames=new_frames, direction=direction, **shared)
    if verb == "connect":
        return connect(model, videos[0], videos[1], prompt, new_frames=new_frames, **shared)
    if verb == "loop":
        given_THWC = videos[0] if videos else None
        length = new_frames + (0 if given_THWC is None else len(given_THWC))
        return loop(model, prompt, num_frames=length, video_THWC=given_THWC, **pixels, **shared)
    if verb == "edit":
        return edit(model, videos[0], prompt, strength=request.strength or 0.0, **shared)
    if verb == "from_draft":
        strength = DEFAULT_DRAFT_STRENGTH if request.strength is None else request.strength
        return from_draft(model, videos[0], prompt, strength=strength, **pixels, **shared)
    return text_to_video(model, prompt, num_frames=new_frames, **pixels, **shared)


def _place(frame: int, num_frames: int) -> int:
    """Return the frame that a place names; a negative one counts from the end."""
    place = frame + num_frames if frame < 0 else frame
    if not 0 <= place < num_frames:
        raise ValueError(f"--at-frame {frame}: the video has frames 0 to {num_frames - 1}")
    return place


def _inputs(request: Request) -> list[tuple[str, Picture]]:
    """Return the flag and the file of each input, in their order."""
    pairs = [("--connect", picture) for picture in request.connect or ()]
    single = (("--video", request.video), ("--from-draft", request.from_draft))
    return [
        *(("--image", image) for image in request.image),
        *pairs,
        *((flag, picture) for flag, picture in single if picture is not None),
    ]


def _size(model: TextToVideo, request: Request, reader: MediaReader) -> tuple[Size, tuple[str, ...]]:
    """Return the size that was asked for, else the trained one most like the first input."""
    given = [reader.size(picture, flag) for flag, picture in _inputs(request)]
    if request.size is not None:
        size = Size(*request.size)
    else:
        like = given[0] if given else Size(1, 1)
        size = nearest_size(like, trained_sizes(model.buckets))
    if len({*given}) > 1:
        return size, (f"the inputs are {', '.join(map(str, given))}: all are fitted to {size}",)
    return size, ()


def _draft(model: TextToVideo, size: Size, config: SampleConfig) -> tuple[Size, SampleConfig]:
    """Return a size of half the sides; where the model knows none so small, fewer steps instead."""
    side = model.vae.config.space_factor * model.dit.config.patch
    smaller = draft_size(size, side, trained_sizes(model.buckets))
    if smaller is None:
        steps = max(1, config.steps // DRAFT_STEPS)
        return size, replace(config, steps=steps, shift=FEW_STEPS.shift, spacing=FEW_STEPS.spacing)
    return smaller, config


def _read(
    request: Request, verb: Verb, size: Size, model: TextToVideo, reader: MediaReader
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Return frames_THWC of each input at the model's rate, and what was done to them."""
    videos, notes = [], list[str]()
    for flag, picture in _inputs(request):
        if flag == "--image":
            fitted = reader.image(picture, size, flag)
        else:
            fitted = reader.video(picture, size, model.fps, flag)
        videos.append(fitted.frames_THWC)
        notes += fitted.notes
    if verb == "loop" and videos:
        videos[0], more = _whole_groups(videos[0], model.vae.config.time_factor)
        notes += more
    return videos, tuple(notes)


def _whole_groups(video_THWC: np.ndarray, factor: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Leave out the last frames that fill no latent frame: a loop is made of whole ones."""
    extra = len(video_THWC) % factor
    if len(video_THWC) < factor:
        raise ValueError(f"--video: too few frames to loop ({len(video_THWC)}): give {factor} or more")
    left_out = f"--video: its last {extra} of {len(video_THWC)} frames are left out"
    notes = (f"{left_out}: a loop takes a multiple of {factor}",) if extra else ()
    return video_THWC[: len(video_THWC) - extra], notes


def _describe(model: TextToVideo, request: Request, frames: int | None, size: Size) -> list[str]:
    """Return what the model cannot know of a request; None leaves its length out."""
    notes = [describe_untrained(frames, size.height, size.width, model.buckets)]
    texts = {"the prompt": request.prompt, "--negative-prompt": request.negative_prompt}
    texts |= {f"--prompt-at {start:g}": text for start, text in request.prompt_at}
    for (name, text), is_cut in zip(texts.items(), model.text.truncates([*texts.values()]), strict=True):
        if is_cut:
            notes.append(
                f"{name} has {len(text.split())} words, too many for the text encoder: what comes after "
                f"{model.text.max_length} tokens has no effect"
            )
        if unknown := unknown_words(text, model.vocabulary):
            shown = ", ".join(f"`{word}`" for word in unknown[:_SHOWN_WORDS])
            more = f" and {len(unknown) - _SHOWN_WORDS} more" if len(unknown) > _SHOWN_WORDS else ""
            notes.append(f"{name}: no caption of the training has the words {shown}{more}")
    return [note for note in notes if note]
