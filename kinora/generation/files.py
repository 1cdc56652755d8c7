"""Write results: beside their place and renamed when whole, never over another file.

Legend: T frames, H height, W width, C channels (RGB, uint8).
"""

import errno
import os
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile, mkstemp

import cv2
import numpy as np

from video.encode import VideoWriter
from video.formats import CONTAINER_CODECS
from video.gif import encode_gif
from video.tags import with_jpeg_tags, with_png_tags

VIDEOS, IMAGES = ("mp4", "webm", "mov", "mkv", "gif"), ("png", "jpg", "jpeg")
"""Endings of the files that can be written."""
JPEG_QUALITY = 95
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def ending_of(path: Path) -> str:
    return path.suffix.removeprefix(".").lower()


def check_ending(path: Path, frames: int | None = None) -> None:
    """Raise ValueError for an ending that cannot be written, and for an image of several frames."""
    ending = ending_of(path)
    if ending not in (*VIDEOS, *IMAGES):
        raise ValueError(
            f"{path}: the ending says how to write it: use .{', .'.join(VIDEOS)}, or .{', .'.join(IMAGES)} "
            "with --frames 1"
        )
    if ending in IMAGES and frames != 1:
        raise ValueError(f"{path}: holds one frame; add --frames 1, or name a video such as {path.stem}.mp4")


def check_place(path: Path) -> None:
    """Raise ValueError for a file that exists, OSError for a folder that cannot be written."""
    check_absent(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        TemporaryFile(dir=path.parent).close()
    except OSError as error:
        error.filename = str(path)  # the name that its user knows
        raise


def check_absent(path: Path) -> None:
    """Raise ValueError for a file that exists."""
    if path.exists():
        raise ValueError(f"{path}: already exists; choose another --out")


@contextmanager
def new_file(path: Path) -> Generator[Path]:
    """Yield an empty file beside `path`, which gets that name when the block ends without an error.

    Raises OSError where it cannot be written, ValueError for a file that exists by then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = new_partial(path)
    try:
        yield partial
        partial.chmod(0o666 & ~_umask())
        _rename_to_new(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def new_partial(path: Path) -> Path:
    """Return an empty file beside `path`, hidden and with a name of its own."""
    handle, name = mkstemp(prefix=f".{path.name[:80]}.", suffix=".partial", dir=path.parent)
    os.close(handle)
    return Path(name)


def write_media(
    chunks: Iterable[np.ndarray], fps: float, ending: str, path: Path, tags: Mapping[str, str]
) -> int:
    """Write chunks of frames_THWC in the format of an ending of VIDEOS or IMAGES, and return their number."""
    chunks = iter(chunks)
    first_THWC = next(chunks)
    rest = chain([first_THWC], chunks)
    if ending in IMAGES:
        path.write_bytes(_image(first_THWC[0], ending, tags))
        return 1
    if ending == "gif":  # its palette is that of all frames
        frames_THWC = np.concatenate([*rest])
        encode_gif(frames_THWC, fps, path, tags=tags)
        return len(frames_THWC)
    height, width = first_THWC.shape[1:3]
    codec = CONTAINER_CODECS[ending][0]
    with VideoWriter(
        path, height=height, width=width, fps=fps, container=ending, codec=codec, tags=tags
    ) as writer:
        for frame_HWC in chain.from_iterable(rest):
            writer.write(frame_HWC, writer.num_frames)
    return writer.num_frames


def _image(image_HWC: np.ndarray, ending: str, tags: Mapping[str, str]) -> bytes:
    is_png = ending == "png"
    quality = [] if is_png else [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    content = cv2.imencode(f".{ending}", cv2.cvtColor(image_HWC, cv2.COLOR_RGB2BGR), quality)[1].tobytes()
    return with_png_tags(content, tags) if is_png else with_jpeg_tags(content, tags)


def _rename_to_new(partial: Path, path: Path) -> None:
    try:
        os.link(partial, path)  # unlike a rename, it never replaces a file
    except FileExistsError:
        check_absent(path)
        raise
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        check_absent(path)
        partial.rename(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
