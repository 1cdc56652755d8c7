"""A request for one video, and the verb that it stands for. Imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from manifests.ranges import NonNegativeInt, PositiveFloat, PositiveInt, Range, UnitFloat, check_ranges

Verb = Literal["text", "animate", "extend", "connect", "loop", "edit", "from_draft"]
Direction = Literal["forward", "backward"]
Picture = str | Path | np.ndarray
"""A file, or an image as HWC or a video as THWC in uint8 RGB."""
Start = Annotated[float, Range(above=0)]
DEFAULT_SECONDS = 2.0
DEFAULT_DRAFT_STRENGTH = 0.6
"""How far `--from-draft` replaces the draft: the larger video keeps its layout and path."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Request:
    """What one video shows, and what it is made from."""

    prompt: str
    """Text prompt."""
    prompt_at: tuple[tuple[Start, str], ...] = ()
    """Further prompts, each with the second from which it holds."""
    negative_prompt: str = ""
    """What the video should not show."""
    image: tuple[Picture, ...] = ()
    """Images that the video holds."""
    at_frame: tuple[int, ...] = ()
    """The frame of each image; negative numbers count from the end. The default for one image is 0."""
    video: Picture | None = None
    """A video to extend, to edit or to loop."""
    strength: UnitFloat | None = None
    """How far `video` or the draft is replaced: 0 keeps it, 1 leaves the prompt alone."""
    extend: Direction | None = None
    """Go on after the end of `video`, or before its start."""
    connect: tuple[Picture, Picture] | None = None
    """Two videos to join."""
    loop: bool = False
    """Make a video whose end joins its start."""
    from_draft: Picture | None = None
    """A draft to make larger."""
    draft: bool = False
    """Make a small and cheap version first."""
    size: tuple[int, int] | None = None
    """Width and height in pixels."""
    seconds: PositiveFloat | None = None
    """Duration in seconds; of the new part where a video is extended or two are joined."""
    frames: PositiveInt | None = None
    """Duration in frames; overrides `seconds`."""
    seed: NonNegativeInt = 0
    """Seed of the noise."""

    __post_init__ = check_ranges


def verb_of(request: Request) -> Verb:
    """Return the verb of a request. Raises ValueError for options that do not go together."""
    sources = _sources(request)
    if len(sources) > 1:
        raise ValueError(f"{' and '.join(sources)} do not go together: use one of them")
    _check_prompts(request)
    verb = _verb(request)
    _check_images(request)
    _check_strength(request, verb)
    if request.draft and verb not in ("text", "animate"):
        raise ValueError(
            "--draft is for new videos, of a prompt or images: leave it out, or leave out the video"
        )
    if verb in ("edit", "from_draft") and (request.frames or request.seconds):
        raise ValueError("the result is as long as the given video: leave out --seconds and --frames")
    return verb


def _sources(request: Request) -> list[str]:
    given = {
        "--image": bool(request.image),
        "--video": request.video is not None,
        "--connect": request.connect is not None,
        "--from-draft": request.from_draft is not None,
        "--loop": request.loop and request.video is None,
    }
    return [name for name, is_given in given.items() if is_given]


def _verb(request: Request) -> Verb:
    if request.extend and request.video is None:
        raise ValueError(f"--extend {request.extend} needs the --video to extend")
    if request.video is not None:
        ways = {
            "--extend": request.extend,
            "--strength": request.strength is not None,
            "--loop": request.loop,
        }
        chosen = [name for name, is_given in ways.items() if is_given]
        if len(chosen) != 1:
            problem = f"not {' and '.join(chosen)}" if chosen else "or it has no effect"
            raise ValueError(f"--video needs one of --extend, --strength and --loop, {problem}")
        return "extend" if request.extend else "loop" if request.loop else "edit"
    if request.connect is not None:
        return "connect"
    if request.from_draft is not None:
        return "from_draft"
    if request.loop:
        return "loop"
    return "animate" if request.image else "text"


def _check_prompts(request: Request) -> None:
    if not request.prompt.strip():
        raise ValueError("the prompt is empty: say what the video shows, such as `a red circle moves left`")
    starts = [start for start, _ in request.prompt_at]
    if starts != sorted({*starts}):
        raise ValueError(f"--prompt-at {', '.join(f'{start:g}' for start in starts)}: the times must ascend")
    if any(not text.strip() for _, text in request.prompt_at):
        raise ValueError("--prompt-at: a prompt is empty: say what the video shows from then on")


def _check_images(request: Request) -> None:
    images, places = len(request.image), len(request.at_frame)
    if places and not images:
        raise ValueError("--at-frame is the place of an --image: add the image, or leave it out")
    if images > 1 and not places:
        raise ValueError(f"{images} images need as many --at-frame, in their order")
    if places and places != images:
        raise ValueError(f"{images} --image and {places} --at-frame: give one place for each image, in order")


def _check_strength(request: Request, verb: Verb) -> None:
    if request.strength is not None and verb not in ("edit", "from_draft"):
        raise ValueError(
            "--strength is how far a --video or a --from-draft is replaced: add one, or leave it out"
        )
