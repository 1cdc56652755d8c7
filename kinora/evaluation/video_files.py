"""Read frames of many video files: from a folder, or a list of paths.

Legend: T frames, H height, W width, C channels (RGB).
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np

from manifests.text_files import read_utf8
from pipeline.config import ListConfig
from video.chosen_frames import read_chosen
from video.config import SandboxConfig
from video.errors import VideoError
from video.sandbox import Sandbox

Pick = Literal["first", "spread"]
_ENDINGS = {f".{each}" for each in (*ListConfig().video_extensions, "gif")}
_LIST = ".txt"


class Clip(NamedTuple):
    """Frames of a video."""

    frames_THWC: np.ndarray
    span_s: float
    """From the first of them to the last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FramePlan:
    """Which frames of a video."""

    frames: int
    pick: Pick = "first"
    """`first`: those at the start; `spread`: evenly over the whole video."""
    fps: float | None = None
    """Rate of `first`; by default every frame."""

    def choose(self, times_T: np.ndarray) -> list[int]:
        """Return the indices of the frames. Raises TooShort for a video with too few."""
        if self.pick == "spread" or self.fps is None:
            if len(times_T) < self.frames:
                raise TooShort(f"{len(times_T)} frames are fewer than {self.frames}")
            last = len(times_T) - 1 if self.pick == "spread" else self.frames - 1
            return np.linspace(0, last, self.frames).round().astype(int).tolist()
        wanted_s = np.arange(self.frames) / self.fps
        if times_T[-1] + 0.5 / self.fps < wanted_s[-1]:
            raise TooShort(
                f"{times_T[-1]:.2f} s are shorter than {self.frames} frames at {self.fps:g} a second"
            )
        return [int(np.abs(times_T - time).argmin()) for time in wanted_s]


class TooShort(Exception):
    """A video has fewer frames than are wanted."""


class ClipReader:
    """Reads videos in one child process. A context manager."""

    def __init__(self, plan: FramePlan) -> None:
        self._plan, self._sandbox = plan, Sandbox(SandboxConfig())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sandbox.close()

    def read(self, path: str) -> Clip:
        """Return the frames of a file. Raises ValueError, which says why, for one that has none to give."""
        try:
            return self._sandbox.call(partial(_read, path, self._plan), path)
        except VideoError as error:
            raise ValueError(f"{error.problem} ({error.code})") from error
        except TooShort as error:
            raise ValueError(str(error)) from error


def list_videos(source: str, flag: str, limit: int = 0) -> list[str]:
    """Return the videos of a folder, at any depth, or of a .txt file with a path a line; sorted.

    Args:
        limit: take at most this many, evenly spaced; 0 for all.

    Raises FileNotFoundError or ValueError for a place without videos.
    """
    path = Path(source)
    if path.suffix.lower() == _LIST and path.is_file():
        lines = [line.strip() for line in read_utf8(path).splitlines()]
        files = [str(path.parent / line) for line in lines if line]
    elif path.is_dir():
        files = sorted(str(file) for file in path.rglob("*") if file.suffix.lower() in _ENDINGS)
    else:
        raise FileNotFoundError(
            f"{flag} {source}: no such folder; name one with videos, or a {_LIST} list of them"
        )
    if not files:
        raise ValueError(f"{flag} {source}: holds no videos")
    if 0 < limit < len(files):
        return [files[n] for n in np.linspace(0, len(files) - 1, limit).round().astype(int)]
    return files


def _read(path: str, plan: FramePlan) -> Clip:
    chosen_s: list[float] = []

    def choose(times_T: np.ndarray) -> list[int]:
        indices = plan.choose(times_T)
        chosen_s[:] = [float(times_T[index]) for index in indices]
        return indices

    frames_THWC = read_chosen(path, choose)
    return Clip(frames_THWC, chosen_s[-1] - chosen_s[0])
