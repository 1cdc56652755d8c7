"""Write the files of raw videos in any container and codec.

Legend: H height, W width, C channels (RGB, uint8).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import cv2
import numpy as np

from video.encode import VideoWriter
from video.formats import B_FRAME_CODECS, split_format, stores_timestamps
from worlds.raw.config import RawConfig
from worlds.raw.timeline import TICK, Timeline


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFormat:
    """Container, codec and B-frames of a file."""

    container: str
    codec: str
    b_frames: bool


def sample_format(rng: Random, config: RawConfig, timeline: Timeline) -> FileFormat:
    """Sample container, codec and B-frames; AVI is excluded for variable frame rates."""
    formats = [name for name in config.formats if timeline.steady or stores_timestamps(split_format(name)[0])]
    container, codec = split_format(rng.choice(formats))
    b_frames = (
        rng.random() < config.b_frames_rate and codec in B_FRAME_CODECS and stores_timestamps(container)
    )
    return FileFormat(container=container, codec=codec, b_frames=b_frames)


def write_video(
    path: Path,
    frames: Iterable[np.ndarray],
    timeline: Timeline,
    file_format: FileFormat,
    *,
    size_px: tuple[int, int],
    crf: int,
) -> None:
    """Write each frame_HWC at its timestamp.

    Args:
        size_px: (width, height) of the frames.
    """
    with VideoWriter(
        path,
        height=size_px[1],
        width=size_px[0],
        fps=timeline.fps,
        time_base=None if timeline.steady else TICK,
        crf=crf,
        container=file_format.container,
        codec=file_format.codec,
        max_b_frames=2 if file_format.b_frames else 0,
    ) as writer:
        for frame_HWC, time_s in zip(frames, timeline.times_s, strict=True):
            writer.write(frame_HWC, round(time_s / writer.time_base))


def write_picture(path: Path, rgb_HWC: np.ndarray) -> None:
    """Write one frame as PNG or JPEG, depending on the suffix."""
    path.write_bytes(cv2.imencode(path.suffix, cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2BGR))[1].tobytes())
