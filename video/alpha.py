"""Decode the alpha plane that VP8 and VP9 files carry beside their frames."""

from typing import cast

from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""FFmpeg's own decoders of these codecs leave the plane out."""


def has_alpha_plane(stream: VideoStream) -> bool:
    """Return whether a WebM or Matroska track states an alpha plane (`AlphaMode`)."""
    return stream.metadata.get("alpha_mode") == "1" and stream.codec_context.name in _DECODERS


def alpha_decoder(stream: VideoStream) -> VideoCodecContext | None:
    """Return a decoder that gives frames with their alpha plane; None if there is no such plane."""
    if not has_alpha_plane(stream):
        return None
    context = cast(VideoCodecContext, CodecContext.create(_DECODERS[stream.codec_context.name], "r"))
    context.thread_count = stream.codec_context.thread_count
    context.extradata = stream.codec_context.extradata
    return context
