"""The files of the corpus that are told by what is in them: every kind of picture, time, color and text."""

from collections.abc import Callable
from fractions import Fraction

import cv2
import numpy as np
from av.video.reformatter import Colorspace
from golden_media import GREEN, NUM_FRAMES, RED, encode, picture, sound

SEED = 20261122
QUIET = {"preset": "ultrafast", "x265-params": "log-level=none"}
BASES: dict[str, Callable[[], bytes]] = {
    "h264.mp4": lambda: encode("libx264", "mp4", container_options={"movflags": "faststart"}),
    "h264-index-last.mp4": lambda: encode("libx264", "mp4"),
    "vp9.webm": lambda: encode("libvpx-vp9", "webm", options={"deadline": "realtime", "cpu-used": "8"}),
    "mpeg4.avi": lambda: encode("mpeg4", "avi"),
    "mpeg2.ts": lambda: encode("mpeg2video", "mpegts"),
    "ffv1.mkv": lambda: encode("ffv1", "matroska"),
    "mjpeg.mov": lambda: encode("mjpeg", "mov", pixel_format="yuvj420p", full_range=True),
    "gif.gif": lambda: encode("gif", "gif", pixel_format="rgb8"),
    "photo.jpg": lambda: still(".jpg"),
    "photo.png": lambda: still(".png"),
    "photo.webp": lambda: still(".webp"),
    "photo.avif": lambda: still(".avif"),
    "moving.webp": lambda: moving(".webp"),
    "moving.avif": lambda: moving(".avif"),
}
"""Whole files, which the truncated and the mutated ones come from."""


def still(suffix: str) -> bytes:
    return cv2.imencode(suffix, picture(0)[..., ::-1])[1].tobytes()


def moving(suffix: str) -> bytes:
    animation = cv2.Animation()
    animation.frames = [np.ascontiguousarray(picture(number)[..., ::-1]) for number in range(NUM_FRAMES)]
    animation.durations = np.full(NUM_FRAMES, 40, np.int32)
    return cv2.imencodeanimation(suffix, animation)[1].tobytes()


def with_exif(orientation: int) -> bytes:
    """Return a JPEG whose EXIF block says how it is to be turned."""
    jpeg = still(".jpg")
    tag = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([orientation]) + b"\0\0\0\0\0\0\0"
    block = b"Exif\0\0" + tag
    return jpeg[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + jpeg[2:]


def h264(**changes: object) -> bytes:
    return encode("libx264", **{"container": "mp4", "options": {"bf": "2"}} | changes)  # type: ignore[arg-type]


def contents() -> dict[str, Callable[[], bytes]]:
    """Return the files that are told by what is in them."""
    x264 = {"bf": "0"}
    found: dict[str, Callable[[], bytes]] = {f"whole/{name}": make for name, make in BASES.items()}
    found |= {
        f"rotated/{deg}.mp4": (lambda deg=deg: h264(rotation=deg, options=x264)) for deg in (90, 180, 270)
    }
    found |= {f"exif/{code}.jpg": (lambda code=code: with_exif(code)) for code in range(1, 9)}
    matrices = {"601": Colorspace.ITU601, "709": Colorspace.ITU709, "2020": Colorspace.BT2020}
    for name, matrix in matrices.items():
        for full in (False, True):
            found[f"color/{name}-{'full' if full else 'limited'}.mp4"] = lambda matrix=matrix, full=full: (
                h264(matrix=matrix, full_range=full)
            )
    found |= {
        "depth/10-bit.mkv": lambda: encode("libx265", "matroska", pixel_format="yuv420p10le", options=QUIET),
        "depth/12-bit-444.mkv": lambda: encode("ffv1", "matroska", pixel_format="yuv444p12le"),
        "depth/16-bit.png": lambda: cv2.imencode(".png", picture(0)[..., ::-1].astype(np.uint16) * 257)[
            1
        ].tobytes(),
        "hdr/pq.mkv": lambda: hdr(16),
        "hdr/hlg.mkv": lambda: hdr(18),
        "aspect/4-3.mp4": lambda: h264(aspect=Fraction(4, 3)),
        "aspect/rotated.mp4": lambda: h264(aspect=Fraction(4, 3), rotation=90),
        "size/odd.mkv": lambda: encode("ffv1", "matroska", pictures=[picture(0, 47, 63)] * 3),
        "size/1x1.png": lambda: cv2.imencode(".png", picture(0, 1, 1))[1].tobytes(),
        "size/2x2.mkv": lambda: encode("ffv1", "matroska", pictures=[picture(0, 2, 2)] * 3),
        "size/changes.h264": lambda: (
            h264(container="h264") + h264(container="h264", pictures=[picture(0, 96, 128)] * 3)
        ),
        "interlaced/h264.mp4": lambda: h264(options={"x264-params": "tff=1:interlaced=1", "bf": "0"}),
        "interlaced/mpeg2.ts": lambda: encode("mpeg2video", "mpegts", options={"flags": "+ildct+ilme"}),
        "times/negative.ts": lambda: h264(
            container="mpegts", pts=range(-3, 3), container_options={"avoid_negative_ts": "disabled"}
        ),
        "times/late.mov": lambda: h264(container="mov", pts=range(1000, 1006)),
        "times/variable.mkv": lambda: h264(
            container="matroska", pts=[0, 10, 25, 100, 101, 500], time_base=Fraction(1, 1000)
        ),
        "times/none.h264": lambda: h264(container="h264", rate=10),
        "times/none.hevc": lambda: encode("libx265", "hevc", rate=10, options=QUIET),
        "times/out-of-order.avi": lambda: h264(container="avi"),
        "alpha/hole.png": lambda: cv2.imencode(".png", hole())[1].tobytes(),
        "alpha/hole.webp": lambda: cv2.imencode(".webp", hole())[1].tobytes(),
        "sound/aac.mp4": sound,
        "sound/cover.mp4": lambda: sound(cover=True),
        "text/letter.mp4": lambda: b"Dear reader, this is a letter and not a film.\n" * 50,
        "text/page.webm": lambda: b"<!doctype html><title>404</title>" * 20,
        "text/playlist.mp4": lambda: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        "text/concat.mp4": lambda: b"ffconcat version 1.0\nfile /etc/passwd\n",
        "text/zeros.mp4": lambda: bytes(5000),
        "text/noise.mp4": lambda: np.random.default_rng(SEED).bytes(5000),
        "text/one-byte.mp4": lambda: b"\0",
        "empty/empty.mp4": lambda: b"",
        "trailing/photo.jpg": lambda: still(".jpg") + b"\0" * 999 + still(".jpg"),
    }
    return found


def hdr(transfer: int) -> bytes:
    return encode(
        "libx265",
        "matroska",
        pixel_format="yuv420p10le",
        options={"preset": "ultrafast", "x265-params": "log-level=none:qp=4"},
        matrix=Colorspace.BT2020,
        color={"color_trc": transfer, "color_primaries": 9},
    )


def hole() -> np.ndarray:
    """Return bgra_HWC: a red and a green half, of which the middle is cut out."""
    bgra_HWC = np.full((48, 64, 4), 255, np.uint8)
    bgra_HWC[:, :32, :3], bgra_HWC[:, 32:, :3] = RED[::-1], GREEN[::-1]
    bgra_HWC[16:32, 16:48] = 0
    return bgra_HWC
