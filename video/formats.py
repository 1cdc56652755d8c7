"""Supported pairs of container and codec, and the options of each encoder."""

import os

import av
from av.codec import Codec
from av.codec.codec import UnknownCodecError

MUXERS = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm", "avi": "avi"}
"""FFmpeg's muxer for each container. A container's name is also the suffix of its files."""
ENCODERS = {
    "h264": "libx264",
    "hevc": "libx265",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
    "mpeg4": "mpeg4",
}
"""FFmpeg's encoder for each codec."""
CONTAINER_CODECS = {
    "mp4": ("h264", "hevc", "vp9", "av1", "mpeg4"),
    "mov": ("h264", "hevc", "mpeg4"),
    "mkv": ("h264", "hevc", "vp9", "av1", "mpeg4"),
    "webm": ("vp9", "av1"),
    "avi": ("h264", "mpeg4"),
}
"""Codecs that may be written to each container."""
FORMATS = tuple(f"{container}/{codec}" for container, codecs in CONTAINER_CODECS.items() for codec in codecs)
"""All supported pairs, such as `mkv/hevc`."""
B_FRAME_CODECS = ("h264", "hevc", "mpeg4")
"""Codecs whose encoders have a number of B-frames (VP9 and AV1 reorder frames by other means)."""
MIN_SIDE_PX = {"hevc": 64}
"""Minimum height and width of an encoder. x265 aborts (`corrupted size vs. prev_size`) on frames of 48x20 to
48x34."""
REPRODUCIBLE_X264: dict[str, str] = {"x264-params": "cpu-independent=1"}
"""Without it, 24 of 750 files with sides that are no multiple of 16 differed between runs."""
REPRODUCIBLE_X265: dict[str, str] = {
    "x265-params": "log-level=error:pools=none:frame-threads=1:aq-mode=0:no-cutree=1"
}
"""With adaptive quantization or cutree, 3 of 168 small videos differed between runs; without, 0 of 1,800."""
SVT_PRESET = "10"
"""Preset of SVT-AV1. With 12, dav1d could not decode a video of 144x256 beyond frame 594; with 8 and 10 it
could."""
FF_QP2LAMBDA = 118
"""FFmpeg's factor from a quantizer scale to `global_quality`."""


def split_format(name: str) -> tuple[str, str]:
    """Split `mkv/hevc` into container and codec. Raises ValueError for an unsupported pair."""
    if name not in FORMATS:
        raise ValueError(f"format {name!r} cannot be written: use one of {', '.join(FORMATS)}")
    container, _, codec = name.partition("/")
    return container, codec


def stores_timestamps(container: str) -> bool:
    """Return whether a container stores a timestamp per frame; AVI has a constant rate."""
    return container != "avi"


def encoder_name(codec: str) -> str:
    """Return the name of the encoder of `codec`. Raises ValueError if this build of FFmpeg lacks it."""
    name = ENCODERS[codec]
    try:
        Codec(name, "w")
    except UnknownCodecError as error:
        raise ValueError(
            f"{codec} cannot be written: this PyAV {av.__version__} comes without the encoder {name}; "
            "install the wheel `av` from PyPI, which has it, or use another codec"
        ) from error
    if name == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")  # errors only; SVT has no option for it
    return name


def encoder_options(codec: str, crf: int, preset: str) -> dict[str, str]:
    """Return encoder options for one thread and reproducible output (HEVC and AV1 differed once under load).

    Args:
        crf: constant rate factor on x264's scale, 0 (lossless or best) to 51; converted for other encoders.
        preset: of x264 and x265; the other encoders use a fast preset.
    """
    if codec == "h264":
        return {"crf": str(crf), "preset": preset, "a53cc": "0", **REPRODUCIBLE_X264}  # drop closed captions
    if codec == "hevc":
        return {"crf": str(crf), "preset": preset, **REPRODUCIBLE_X265}
    if codec == "vp9":
        return {"crf": str(crf * 63 // 51), "b": "0", "deadline": "realtime", "cpu-used": "8"}
    if codec == "av1":
        return {"crf": str(max(1, crf * 63 // 51)), "preset": SVT_PRESET, "svtav1-params": "lp=1"}
    scale = min(31, max(1, round(crf / 5)))
    return {"flags": "+qscale", "global_quality": str(scale * FF_QP2LAMBDA)}


def codec_tag(container: str, codec: str) -> str | None:
    """Return the codec tag (FourCC) that more players accept than FFmpeg's default, or None."""
    return "hvc1" if codec == "hevc" and container in ("mp4", "mov") else None


def stores_color_matrix(container: str, codec: str) -> bool:
    """Return whether a file can store its colour matrix. Readers assume BT.601 otherwise."""
    return not (codec == "mpeg4" and container == "avi")
