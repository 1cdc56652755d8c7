"""Read the images and videos of a request in the decode sandbox, fitted to the size of the result.

Legend: T frames, H height, W width, C channels (RGB, uint8).
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from av.video.format import VideoFormat

from kinora.generation.request import Picture
from kinora.generation.shapes import Size
from manifests.buckets import crop_fraction
from manifests.records import Bucket
from video.chosen_frames import read_chosen
from video.config import SandboxConfig
from video.container import display_name, local_path
from video.errors import VideoError
from video.frames import read_frames
from video.probe import Probe, probe
from video.resize import resize_and_crop
from video.sandbox import Sandbox

T = TypeVar("T")

MAX_INPUT_MB = 512
"""Most memory for the pixels of one given video, after it is fitted to the size of the result."""
_NOTED_CROP = 0.02
"""Smallest part of a picture whose loss is reported."""
_NOTED_RATE = 0.05
"""Smallest difference of rates that is reported: a GIF of 8 frames a second states 8.33."""
_REMEDIES = {
    "VANISHED": "check the path",
    "UNREADABLE": "give a plain file that you may read",
    "TRUNCATED": "copy or download it again, and check that it opens elsewhere",
    "TIMED_OUT": "encode it anew, or cut out the part that is needed",
    "OUT_OF_MEMORY": "scale it down",
    "CRASHED": "encode it anew",
}
_OTHER_REMEDY = "give an image or a video that plays"


class Fitted(NamedTuple):
    """The pixels of an input, and what was done to them."""

    frames_THWC: np.ndarray
    notes: tuple[str, ...]


class _TooLong(Exception):
    """A video holds more frames than may be read; `args` are its frames and its seconds."""


class MediaReader:
    """Reads inputs in one child process, which starts on first use. A context manager."""

    def __init__(self, config: SandboxConfig | None = None) -> None:
        self._sandbox = Sandbox(config or SandboxConfig())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sandbox.close()

    def size(self, picture: Picture, flag: str) -> Size:
        """Return the size at which an input is shown. Raises ValueError for one that cannot be read."""
        if isinstance(picture, np.ndarray):
            height, width = _as_frames(picture, flag).shape[1:3]
            return Size(width, height)
        found = self.probe(picture, flag)
        return Size(found.width, found.height)

    def image(self, picture: Picture, size: Size, flag: str) -> Fitted:
        """Return the first frame (T is 1). Raises ValueError for an input that cannot be read."""
        if isinstance(picture, np.ndarray):
            frames_THWC = _as_frames(picture, flag)
            return _fit(frames_THWC[:1], size, flag)
        found = self.probe(picture, flag)
        task = partial(_read_image, str(picture), size, to_the_end=found.kind == "image")
        frames_THWC = self._call(task, picture, flag)
        moves = ("it moves: its first frame is used",) if found.kind == "video" else ()
        return Fitted(frames_THWC, _named(picture, flag, (*moves, *_describe(found, size))))

    def video(self, picture: Picture, size: Size, fps: float, flag: str) -> Fitted:
        """Return the frames nearest to each 1 / fps. An array is taken to have that rate already.

        Raises ValueError for an input that cannot be read, or is too long.
        """
        max_frames = MAX_INPUT_MB * 2**20 // (3 * size.width * size.height)
        if isinstance(picture, np.ndarray):
            return _fit(_as_frames(picture, flag), size, flag)
        found = self.probe(picture, flag)
        task = partial(_read_video, str(picture), size, fps, max_frames)
        try:
            frames_THWC = self._call(task, picture, flag)
        except _TooLong as error:
            frames, seconds = error.args
            raise ValueError(
                f"{flag} {display_name(picture)}: {seconds:.0f} s are too long: {frames} frames of {size} "
                f"are over {MAX_INPUT_MB} MiB; cut out {max_frames / fps:.0f} s, or make --size smaller"
            ) from None
        rate = float(found.fps)
        notes = _describe(found, size)
        if len(frames_THWC) == 1:
            notes = (*notes, "it holds one frame")
        elif rate and abs(rate / fps - 1) > _NOTED_RATE:
            notes = (*notes, f"its {rate:.4g} frames a second become the model's {fps:g}")
        return Fitted(frames_THWC, _named(picture, flag, notes))

    def probe(self, picture: str | Path, flag: str) -> Probe:
        """Return the properties of a file. Raises ValueError for one that cannot be read."""
        return self._call(partial(probe, str(picture)), picture, flag)

    def _call(self, task: Callable[[], T], picture: Any, flag: str) -> T:
        try:
            return self._sandbox.call(task, str(local_path(picture)))
        except VideoError as error:
            remedy = _REMEDIES.get(error.code, _OTHER_REMEDY)
            raise ValueError(f"{flag} {error.path}: {error.problem} ({error.code}); {remedy}") from error


def _read_image(path: str, size: Size, *, to_the_end: bool) -> np.ndarray:
    frames = read_frames(path)
    frame = next(frames)
    if to_the_end:  # a truncated file raises
        for _ in frames:
            pass
    return resize_and_crop(frame.rgb_HWC[None], size.height, size.width)


def _read_video(path: str, size: Size, fps: float, max_frames: int) -> np.ndarray:
    return read_chosen(
        path,
        partial(_choose, fps=fps, max_frames=max_frames),
        transform=lambda rgb_HWC: resize_and_crop(rgb_HWC[None], size.height, size.width)[0],
    )


def _choose(times_T: np.ndarray, *, fps: float, max_frames: int) -> list[int]:
    """Return the frame that is nearest to each k / fps, until the last frame ends."""
    last_s = float(np.median(np.diff(times_T))) if len(times_T) > 1 else 1 / fps
    seconds = float(times_T[-1]) + last_s
    count = max(1, round(seconds * fps))
    if count > max_frames:
        raise _TooLong(count, seconds)
    after = np.searchsorted(times_T, wanted := np.arange(count) / fps).clip(1, max(1, len(times_T) - 1))
    if len(times_T) == 1:
        return [0] * count
    nearer_before = wanted - times_T[after - 1] <= times_T[after] - wanted
    return (after - nearer_before).tolist()


def _as_frames(array: np.ndarray, flag: str) -> np.ndarray:
    """Return an image or a video as frames_THWC."""
    frames_THWC = array[None] if array.ndim == 3 else array
    if array.dtype != np.uint8 or frames_THWC.ndim != 4 or frames_THWC.shape[-1] != 3 or not frames_THWC.size:
        raise ValueError(
            f"{flag}: an array of shape {array.shape} and type {array.dtype} is no image: give uint8 RGB as "
            "(height, width, 3), or a video as (frames, height, width, 3)"
        )
    return frames_THWC


def _fit(frames_THWC: np.ndarray, size: Size, flag: str) -> Fitted:
    height, width = frames_THWC.shape[1:3]
    notes = tuple(f"{flag}: {note}" for note in _describe_crop(Size(width, height), size))
    return Fitted(resize_and_crop(frames_THWC, size.height, size.width), notes)


def _describe(found: Probe, size: Size) -> tuple[str, ...]:
    components = VideoFormat(found.pixel_format).components
    has_alpha = found.container != "gif" and any(component.is_alpha for component in components)
    alpha = ("transparent parts are shown over white",) if has_alpha else ()
    return (*_describe_crop(Size(found.width, found.height), size), *alpha)


def _describe_crop(given: Size, size: Size) -> tuple[str, ...]:
    bucket = Bucket(num_frames=1, height=size.height, width=size.width)
    lost = crop_fraction(given.height, given.width, bucket)
    return (f"{lost:.0%} of {given} is cropped away to fit {size}",) if lost > _NOTED_CROP else ()


def _named(picture: Any, flag: str, notes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{flag} {display_name(picture)}: {note}" for note in notes)
