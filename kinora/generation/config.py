"""What a video is made from, as the command line and lines of a prompts file say. Imports nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from kinora.generation.request import Direction, Request, Start
from kinora.generation.shapes import parse_size
from manifests.ranges import NonNegativeInt, PositiveFloat, PositiveInt, UnitFloat, check_ranges

WORDS: Mapping[str, int] = {"image": 1, "at_frame": 1, "connect": 2, "prompt_at": 2}
"""Words of the flags that take several, or may be given several times."""
FILES = ("image", "video", "connect", "from_draft")
"""Fields that name files."""


@dataclass(frozen=True, kw_only=True)
class RequestConfig:
    """One video. No slots: the command's configuration has another base with slots."""

    prompt: str = ""
    """Text prompt; with --from-draft, that of the draft by default."""
    prompt_at: tuple[tuple[Start, str], ...] = ()
    """`--prompt-at SECONDS TEXT`, several times: the prompt from that time on."""
    negative_prompt: str = ""
    """What the video should not show."""
    image: tuple[str, ...] = ()
    """`--image FILE`, several times: images that the video shows."""
    at_frame: tuple[int, ...] = ()
    """`--at-frame N`, once for each image, in order: its frame. Negative numbers count from the end; a single
    image is frame 0 by default."""
    video: str | None = None
    """A video to extend (--extend), to edit (--strength) or to loop (--loop)."""
    strength: UnitFloat | None = None
    """How far --video or the draft is replaced: 0 keeps it, 1 leaves the prompt alone; 0.6 for a draft."""
    extend: Direction | None = None
    """`forward` goes on after the end of --video, `backward` leads up to its start; by --seconds."""
    connect: tuple[str, str] | None = None
    """`--connect A B`: two videos to join by a new part of --seconds."""
    loop: bool = False
    """Make a video whose end joins its start; with --video, lead from its end back to its start."""
    from_draft: str | None = None
    """A draft of --draft to make larger, with its prompt and seed."""
    draft: bool = False
    """Make a cheap version: half as wide and high, or, where the model knows nothing so small, with a quarter
    of the steps."""
    size: str | None = None
    """Width x height in pixels, multiples of 16. By default the size of the training that is most like the
    input's, or, without input, like a square."""
    seconds: PositiveFloat | None = None
    """Duration in seconds (2); of the new part, where videos are given."""
    frames: PositiveInt | None = None
    """Duration in frames; overrides --seconds. 1 generates an image."""
    seed: NonNegativeInt | None = None
    """Random seed of the noise: 0, or that of the draft, by default."""

    __post_init__ = check_ranges


def to_request(config: RequestConfig, *, seed: int, folder: Path = Path()) -> Request:
    """Return the request of a configuration; relative files lie in `folder`. Raises ValueError for a size."""
    values: dict[str, Any] = {field.name: getattr(config, field.name) for field in fields(RequestConfig)}
    for name in FILES:
        value = values[name]
        if isinstance(value, str):
            values[name] = _within(folder, value)
        elif value is not None:
            values[name] = tuple(_within(folder, file) for file in value)
    size = None if config.size is None else parse_size(config.size)
    return Request(**values | {"size": size, "seed": seed})


def _within(folder: Path, file: str) -> str:
    return file if file.startswith("file://") else str(folder / file)
