"""Which containers and codecs can be written, which of them go together, and how each encoder is set up."""

import os

import av
from av.codec import Codec
from av.codec.codec import UnknownCodecError

MUXERS = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm", "avi": "avi"}
"""FFmpeg's name for each container; the name of a container is also the suffix of its files."""
ENCODERS = {
    "h264": "libx264",
    "hevc": "libx265",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
    "mpeg4": "mpeg4",
}
"""The encoder of each codec."""
CONTAINER_CODECS = {
    "mp4": ("h264", "hevc", "vp9", "av1", "mpeg4"),
    "mov": ("h264", "hevc", "mpeg4"),
    "mkv": ("h264", "hevc", "vp9", "av1", "mpeg4"),
    "webm": ("vp9", "av1"),
    "avi": ("h264", "mpeg4"),
}
"""The codecs that each container may hold."""
FORMATS = tuple(f"{container}/{codec}" for container, codecs in CONTAINER_CODECS.items() for codec in codecs)
"""All legal pairs, such as `mkv/hevc`."""
B_FRAME_CODECS = ("h264", "hevc", "mpeg4")
"""Codecs whose encoders take a number of B-frames (VP9 and AV1 reorder frames in their own way)."""
MIN_SIDE_PX = {"hevc": 64}
"""Pixels that an encoder needs each way. x265 ended the process (`corrupted size vs. prev_size`) on pictures
of 48x20 to 48x34."""
REPRODUCIBLE_X264: dict[str, str] = {"x264-params": "cpu-independent=1"}
"""Without it, 24 files of 750 whose sides were no multiples of 16 differed by some bytes from run to run."""
REPRODUCIBLE_X265: dict[str, str] = {
    "x265-params": "log-level=error:pools=none:frame-threads=1:aq-mode=0:no-cutree=1"
}
"""With adaptive quantisers or cutree, 3 of 168 small videos differed from run to run; without them, none of
1,800."""
SVT_PRESET = "10"
"""Of SVT-AV1. With 12, a video of 884 frames of 144x256 could not be decoded beyond frame
594 by dav1d; with 10 and with 8 it could."""
FF_QP2LAMBDA = 118
"""FFmpeg's unit of a fixed quantiser."""


def split_format(name: str) -> tuple[str, str]:
    """Split `mkv/hevc` into container and codec. Raises ValueError for a pair that is not legal."""
    if name not in FORMATS:
        raise ValueError(f"format {name!r} cannot be written: use one of {', '.join(FORMATS)}")
    container, _, codec = name.partition("/")
    return container, codec


def stores_timestamps(container: str) -> bool:
    """Return whether a container stores the time of each frame; AVI counts frames at one steady rate."""
    return container != "avi"


def encoder_name(codec: str) -> str:
    """Return the name of the encoder of `codec`. Raises ValueError if this build of FFmpeg has none."""
    name = ENCODERS[codec]
    try:
        Codec(name, "w")
    except UnknownCodecError as error:
        raise ValueError(
            f"{codec} cannot be written: this PyAV {av.__version__} comes without the encoder {name}; "
            "install the wheel `av` from PyPI, which has it, or use another codec"
        ) from error
    if name == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")  # errors only; it has no other switch
    return name


def encoder_options(codec: str, crf: int, preset: str) -> dict[str, str]:
    """Return an encoder's options: one thread, and the same bytes from run to run. On a busy machine one file
    of HEVC or AV1 was seen to differ all the same.

    Args:
        crf: constant quality on the scale of x264, 0 (lossless or best) to 51, translated for the others.
        preset: of x264 and x265; the other encoders run near their quickest.
    """
    if codec == "h264":
        return {"crf": str(crf), "preset": preset, "a53cc": "0", **REPRODUCIBLE_X264}  # no captions carried
    if codec == "hevc":
        return {"crf": str(crf), "preset": preset, **REPRODUCIBLE_X265}
    if codec == "vp9":
        return {"crf": str(crf * 63 // 51), "b": "0", "deadline": "realtime", "cpu-used": "8"}
    if codec == "av1":
        return {"crf": str(max(1, crf * 63 // 51)), "preset": SVT_PRESET, "svtav1-params": "lp=1"}
    scale = min(31, max(1, round(crf / 5)))
    return {"flags": "+qscale", "global_quality": str(scale * FF_QP2LAMBDA)}


def codec_tag(container: str, codec: str) -> str | None:
    """Return the four letters by which a file calls its codec, where FFmpeg's choice is played by fewer."""
    return "hvc1" if codec == "hevc" and container in ("mp4", "mov") else None


def stores_color_matrix(container: str, codec: str) -> bool:
    """Return whether a file can say by which matrix its colours were made; readers take BT.601 otherwise."""
    return not (codec == "mpeg4" and container == "avi")
