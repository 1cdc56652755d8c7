"""Every codec in every container that PyAV here can write."""

import functools
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import av
import av.error
import numpy as np
from av.codec import Codec
from av.format import ContainerFormat, Flags
from av.video.reformatter import Colorspace
from golden_media import NUM_FRAMES, SIZE, encode, picture

SIZES = (SIZE, (48, 48), (144, 176), (576, 720), (1080, 1920))
"""(height, width), tried in turn: some codecs take only sizes of their own."""
NOT_FILES = (
    *("alsa", "oss", "fbdev", "video4linux2,v4l2"),  # devices
    *("rtp", "rtp_mpegts", "rtsp", "sap", "whip"),  # networks
    *("tee", "fifo", "hls", "hds", "dash", "smoothstreaming", "segment"),  # many files
    *("stream_segment,ssegment", "webm_chunk", "webm_dash_manifest", "image2", "ismv"),
    *("null", "crc", "hash", "md5", "framecrc", "framehash", "framemd5", "streamhash"),  # digests
    *("uncodedframecrc", "ffmetadata", "mkvtimestamp_v2", "data"),
)
NOT_CODECS = ("wrapped_avframe", "vnull")
"""They pass memory addresses on, or nothing."""
HARDWARE = ("_amf", "_nvenc", "_qsv", "_v4l2m2m")
OPENING_CONTAINERS = ("nut", "matroska", "mov", "avi", "image2pipe", "apng", "rm", "roq", "fits")
PIXEL_FORMATS = ("yuv420p", "rgb24", "yuvj420p", "yuv422p", "bgr24", "gbrpf32le", "rgba", "bgra")
"""Those to prefer."""
REFUSALS = (av.error.FFmpegError, ValueError, TypeError, NotImplementedError, OverflowError, RuntimeError)
OPTIONS = {
    "libsvtav1": {"preset": "12"},
    "libx264": {"preset": "ultrafast", "bf": "2"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "10"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "1M"},
    "gif": {"loop": "0"},
    "dirac": {"strict": "experimental"},
    "dnxhd": {"profile": "dnxhr_sq"},
    "vc2": {"strict": "experimental"},
}


@dataclass(frozen=True, slots=True)
class Encoder:
    """A codec that could be opened, and how."""

    name: str
    pixel_format: str
    size: tuple[int, int]


@functools.cache
def encoders() -> tuple[tuple[Encoder, ...], tuple[str, ...]]:
    """Return the video encoders that open here, and the names of those that refuse every size."""
    names = {codec.name for codec in map(_writer, sorted(av.codecs_available)) if codec is not None}
    opened = {name: _open(name) for name in sorted(names - {*NOT_CODECS})}
    refused = tuple(name for name, encoder in opened.items() if encoder is None)
    return tuple(encoder for encoder in opened.values() if encoder), refused


@functools.cache
def containers() -> tuple[str, ...]:
    """Return the names of the containers that are one file."""
    found = []
    for name in sorted(av.formats_available):
        try:
            format = ContainerFormat(name, "w")
        except ValueError:
            continue
        if name not in NOT_FILES and Flags.no_file not in Flags(format.flags):
            found.append(name)
    return tuple(found)


def files(counts: Counter[str], quick: bool = False) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of each file; count what was refused.

    Args:
        quick: only the first three containers of a codec, beside MP4, Matroska and AVI.
    """
    for encoder in encoders()[0]:
        taken = 0
        for container in sorted(
            containers(), key=lambda name: (name not in ("mp4", "matroska", "avi"), name)
        ):
            if quick and taken >= 4:
                break
            content = write(encoder, container)
            counts["refused" if content is None else "written"] += 1
            if content is not None:
                taken += 1
                yield f"{encoder.name}.{container.split(',')[0]}", content


def write(encoder: Encoder, container: str) -> bytes | None:
    """Return the numbered pictures in this codec and container; None if FFmpeg refuses."""
    pictures = [picture(number, *encoder.size) for number in range(NUM_FRAMES)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _encode(encoder.name, container, encoder.pixel_format, pictures) or None
    except REFUSALS:
        return None


def _writer(name: str) -> Codec | None:
    try:
        codec = Codec(name, "w")
    except (ValueError, av.error.FFmpegError):
        return None
    return codec if codec.type == "video" else None


def _open(name: str) -> Encoder | None:
    formats = [format.name for format in Codec(name, "w").video_formats or ()]
    wanted = [format for format in PIXEL_FORMATS if format in formats]
    for size in SIZES[:1] if name.endswith(HARDWARE) else SIZES:
        for pixel_format in dict.fromkeys([*wanted, *(formats or ["yuv420p"])]):
            pictures = [picture(0, *size)] * 2
            for container in OPENING_CONTAINERS:
                try:
                    if _encode(name, container, pixel_format, pictures):
                        return Encoder(name, pixel_format, size)
                except REFUSALS:
                    continue
    return None


def _encode(name: str, container: str, pixel_format: str, pictures: list[np.ndarray]) -> bytes:
    return encode(
        name,
        container,
        pictures=pictures,
        pixel_format=pixel_format,
        options=OPTIONS.get(name, {}),
        full_range=pixel_format.startswith("yuvj"),
        tag=False,
        matrix=Colorspace.ITU709 if name == "dnxhd" else Colorspace.ITU601,
    )
