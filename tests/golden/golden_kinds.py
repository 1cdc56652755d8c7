"""Files that their headers, a joined part or a change in the middle describe otherwise than they are.

Each name stands for a kind of report by users of other tools; the table tells what is right.
"""

import io
import zlib
from collections.abc import Callable, Sequence
from fractions import Fraction

import av
import cv2
import numpy as np
from av.stream import Disposition
from file_edits import (
    box,
    clap,
    grid_photo,
    mjpeg_avi,
    with_matroska_crop,
    with_matroska_duration,
    with_sample_entry_box,
)
from golden_media import NUM_FRAMES, SIZE, encode, picture, yuv_frame

YCGCO, ICTCP = 8, 14
X264 = {"bf": "0", "crf": "4"}
QUICK = {"deadline": "realtime", "cpu-used": "8"}
NOISE = [
    np.random.default_rng(number).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    for number in range(NUM_FRAMES)
]
"""Frames of many transport packets: where files are joined, continuity counters do not agree by chance."""

JOINED: dict[str, tuple[str, str, dict[str, str], int]] = {
    "h264.ts": ("libx264", "mpegts", {"bf": "2"}, 0),
    "mpeg2.vob": ("mpeg2video", "vob", {"b": "4M", "bf": "2"}, 0),
    "h264.mkv": ("libx264", "matroska", {"bf": "2"}, 0),
    "h264-without-header.flv": ("libx264", "flv", {"bf": "0"}, 13),
    "h264.flv": ("libx264", "flv", {"bf": "0"}, 0),
    "h264.mp4": ("libx264", "mp4", {"bf": "2"}, 0),
    "mpeg4.mov": ("mpeg4", "mov", {}, 0),
    "mpeg4.avi": ("mpeg4", "avi", {}, 0),
    "wmv2.asf": ("wmv2", "asf", {}, 0),
    "mpeg4.nut": ("mpeg4", "nut", {}, 0),
    "wmv2.wtv": ("wmv2", "wtv", {}, 0),
}
"""Codec, container, options, and bytes of the second part that are left out."""


def kinds() -> dict[str, Callable[[], bytes]]:
    """Return the files by kind and name."""
    found: dict[str, Callable[[], bytes]] = {
        f"joined/{name}": (lambda of=of: joined(*of)) for name, of in JOINED.items()
    }
    found |= {
        "header/subtitles-last-longer.mkv": subtitles_last_longer,
        "header/duration-too-long.webm": lambda: with_matroska_duration(
            encode("libvpx", "webm", options=QUICK), 6500.0
        ),
        "header/duration-too-long.asf": lambda: asf_that_states(60),
        "header/count-too-high.avi": lambda: avi_of(jpegs(NUM_FRAMES), stated=90),
        "header/long-text.png": animated_png_with_long_text,
        "packets/empty.avi": lambda: avi_of([*jpegs(5)[:2], b"", *jpegs(5)[2:]], stated=6),
        "packets/of-zeros.mp4": lambda: with_zeros(
            encode("libx264", "mp4", options={"bf": "0", "g": "2"}), 2
        ),
        "changes/pixel-aspect.ts": lambda: b"".join(
            encode("mpeg2video", "mpegts", aspect=Fraction(*aspect), pts=range(6 * k, 6 * k + 6))
            for k, aspect in enumerate(((1, 1), (4, 3)))
        ),
        "shown/clean-aperture.mp4": lambda: with_sample_entry_box(h264("mp4"), b"avc1", clap(64, 32)),
        "shown/clean-aperture-left.mov": lambda: with_sample_entry_box(
            h264("mov"), b"avc1", clap(32, 32, left_of_middle=8)
        ),
        "shown/crop-rectangle.mkv": lambda: with_matroska_crop(h264("matroska"), 8, 8),
        "shown/cropped-on-the-left.mp4": lambda: h264("mp4", **{"x264-params": "crop-rect=10,0,6,16"}),
        "shown/tiles.avif": lambda: grid_photo(avifs(6), 2, 3, 64),
        "shown/tiles-turned.avif": lambda: grid_photo(avifs(6), 2, 3, 64, rotation=1),
        "shown/tile-missing.avif": lambda: grid_photo(avifs(4), 2, 2, 64).replace(
            b"\0\1\0\4\0\2\0\3\0\4\0\5", b"\0\1\0\4\0\2\0\3\0\4\0\x09"
        ),
        "shown/poster-first.mp4": lambda: two_streams("mp4", "mjpeg", 1, (0, 0)),
        "shown/second-is-default.mkv": lambda: two_streams(
            "matroska", "libx264", 6, (0, Disposition.default)
        ),
        "shown/alpha-begins-empty.mov": alpha_begins_empty,
        "color/ycgco.mkv": lambda: tagged(YCGCO),
        "color/matrix-not-known.mkv": lambda: tagged(ICTCP),
    }
    for profile, compatible in ((5, 0), (8, 1)):
        entry = bytes([1, 0, profile << 1, 0x0D, compatible << 4]) + bytes(19)
        found[f"shown/dolby-vision-{profile}.mp4"] = lambda entry=entry: with_sample_entry_box(
            h264("mp4"), b"avc1", box(b"dvvC", entry)
        )
    return found


def h264(container: str, **options: str) -> bytes:
    return encode("libx264", container, options={**X264, **options})


def joined(codec: str, container: str, options: dict[str, str], skip: int) -> bytes:
    """Return a file of five frames and one of six, end to end."""
    parts = [encode(codec, container, options=options, pictures=NOISE[: 5 + k]) for k in (0, 1)]
    return parts[0] + parts[1][skip:]


def jpegs(count: int) -> list[bytes]:
    return [cv2.imencode(".jpg", picture(number)[..., ::-1])[1].tobytes() for number in range(count)]


def avifs(count: int) -> list[bytes]:
    """Return tiles of a photo."""
    tiles = [picture(number, 64, 64)[..., ::-1] for number in range(count)]
    return [cv2.imencode(".avif", tile)[1].tobytes() for tile in tiles]


def avi_of(pictures: list[bytes], *, stated: int) -> bytes:
    return mjpeg_avi(pictures, size=SIZE, rate=25, stated=stated)


def asf_that_states(seconds: int) -> bytes:
    media = bytearray(encode("mpeg4", "asf"))
    at = media.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))  # the file properties object
    media[at + 64 : at + 72] = (seconds * 10_000_000).to_bytes(8, "little")  # its play duration
    return bytes(media)


def subtitles_last_longer() -> bytes:
    text = b"1\n00:00:00,000 --> 00:00:00,100\nhello\n\n2\n00:00:06,000 --> 00:00:08,000\nlate\n"
    buffer = io.BytesIO()
    with (
        av.open(io.BytesIO(encode("libx264", "mp4"))) as video,
        av.open(io.BytesIO(text), format="srt") as subtitles,
        av.open(buffer, "w", format="matroska") as out,
    ):
        sources = (video.streams[0], subtitles.streams[0])
        targets = [out.add_stream_from_template(source) for source in sources]
        for source, target in zip(sources, targets, strict=True):
            for packet in source.container.demux(source):
                if packet.pts is not None:
                    packet.stream = target
                    out.mux(packet)
    return buffer.getvalue()


def animated_png_with_long_text() -> bytes:
    animation = cv2.Animation()
    animation.frames = [np.ascontiguousarray(picture(number)[..., ::-1]) for number in range(5)]
    animation.durations = np.full(5, 100, np.int32)
    media = cv2.imencodeanimation(".png", animation)[1].tobytes()
    text = b"prompt\0" + b"a red thing " * 500
    chunk = len(text).to_bytes(4) + b"tEXt" + text + zlib.crc32(b"tEXt" + text).to_bytes(4)
    return media[:33] + chunk + media[33:]


def with_zeros(media: bytes, number: int) -> bytes:
    """Overwrite a packet."""
    content = bytearray(media)
    with av.open(io.BytesIO(media)) as opened:
        place, size = [(p.pos, p.size) for p in opened.demux(video=0) if p.size][number]
    content[place : place + size] = bytes(size)
    return bytes(content)


def two_streams(
    container: str,
    first: str,
    first_frames: int,
    flags: Sequence[int],
    sizes: tuple[int, int] = (32, 64),
) -> bytes:
    """Return a file of a stream of codec `first` and one of H.264 of six frames.

    Args:
        flags: the dispositions of both.
        sizes: the sides of their square frames, in pixels.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        streams = []
        for codec, side, flag in zip((first, "libx264"), sizes, flags, strict=True):
            stream = out.add_stream(codec, rate=25, options={"bf": "0"} if codec == "libx264" else {})
            stream.height, stream.width = side, side
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.disposition = flag
            streams.append(stream)
        for stream, count in zip(streams, (first_frames, 6), strict=True):
            for number in range(count):
                full = stream.pix_fmt == "yuvj420p"
                frame = yuv_frame(picture(number, stream.height, stream.width), stream.pix_fmt, 5, full)
                frame.pts, frame.time_base = number, Fraction(1, 25)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    return buffer.getvalue()


def alpha_begins_empty() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mov") as out:
        stream = out.add_stream("qtrle", rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "argb"
        for number in range(NUM_FRAMES):
            rgba_HWC = np.dstack([picture(number), np.full(SIZE, 255 * (number >= 2), np.uint8)])
            frame = av.VideoFrame.from_ndarray(rgba_HWC, format="rgba").reformat(format="argb")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return buffer.getvalue()


def tagged(matrix: int) -> bytes:
    """Return two frames of middle gray with a matrix."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv444p"
        stream.codec_context.colorspace = matrix
        for number in range(2):
            frame = av.VideoFrame.from_ndarray(np.full((3, *SIZE), 126, np.uint8), format="yuv444p")
            frame.colorspace, frame.pts = matrix, number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return buffer.getvalue()
