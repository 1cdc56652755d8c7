"""What a clip looks like over time, so that copies of it can be found: small pictures, and a hash of each.

Some frames of each clip are kept, on a grid in time that begins with the clip, so that a copy with another
frame rate shows the same moments. Each is trimmed of borders and brought to one small size, whatever its
shape was: letterboxed, rescaled and re-encoded copies come out alike. The hash is the signs of the low
frequencies of the small picture's luma (pHash: Zauner, 2010). A frame that shows next to nothing is left out.

Legend: N kept frames, H height, W width, C channels (RGB).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np

from pipeline.analyze.signals.borders import border_of, sides_of
from pipeline.analyze.signals.frame_view import FrameBuffer, FrameSampler, FrameView, Span
from pipeline.columns import Column
from pipeline.fingerprint_format import CHROMA_SIDE, HASHES, PER_S, SIDE

_SEEN_PER_S = 32.0
"""Frames are made small at most so often; the kept ones are chosen among them once the clips are known."""
_LEAST_CONTRAST = 4.0
"""Standard deviation of luma or chroma, of 255, below which a small picture shows next to nothing."""
_LUMA_CONTRAST = 6.0
"""Standard deviation of luma from which on the hash is made of it, else of the channel with most of it."""
_FLAT = 12.0
"""Luma in the outermost lines spreads at most so far, of 255, where there may be a border."""
_SAME_BORDER = 0.025
"""A frame's borders are the clip's if they differ by at most this, of the frame's side."""


@dataclass(frozen=True, slots=True)
class _Seen:
    time_s: float
    small_HWC: np.ndarray
    border: tuple[float, ...] | None
    """Top, bottom, left and right, of the frame's sides; None where there is none."""
    inside_HWC: np.ndarray | None
    """The small picture of what is inside the border."""


class Fingerprint:
    """Gives `frame_hashes` (search) and `frame_looks` (comparison); None where a clip shows nothing."""

    COLUMNS: ClassVar = (
        Column("frame_hashes", "binary", "time in ms (int32) and hash (uint64) of frames, 8 a second"),
        Column("frame_looks", "binary", "small pictures of the same frames, 384 bytes each"),
    )

    def __init__(self, analysis_width_px: int) -> None:
        """Args:
        analysis_width_px: frames of this width may have been scaled down: see `Borders`.
        """
        self._width = analysis_width_px
        self._beat = FrameSampler(_SEEN_PER_S)
        self._times = FrameBuffer[float]()
        self._seen = FrameBuffer[_Seen]()

    def update(self, look: FrameView) -> None:
        self._times.add(look.index, look.time_s)
        if not self._beat(look.time_s):
            return
        border = _border(look.gray_HW, scaled=look.gray_HW.shape[1] == self._width)
        inside_HWC = None if border is None else _small(_inside(look.rgb_HWC, border))
        self._seen.add(look.index, _Seen(look.time_s, _small(look.half_res_HWC), border, inside_HWC))

    def columns(self, span: Span) -> dict[str, Any]:
        start_s = self._times.of(span)[0]
        seen = self._seen.of(span)
        border = _of_all([each.border for each in seen])
        times, smalls = [], []
        for each in _on_grid(seen, start_s):
            small_HWC = each.small_HWC if border is None else _trimmed(each, border)
            if small_HWC is not None:
                times.append(each.time_s - start_s)
                smalls.append(small_HWC)
        nothing = {"frame_hashes": None, "frame_looks": None}
        if not smalls:
            return nothing
        ycc_NHWC = cv2.cvtColor(np.concatenate(smalls), cv2.COLOR_RGB2YCrCb).reshape(-1, SIDE, SIDE, 3)
        contrast_NC = ycc_NHWC.reshape(len(smalls), -1, 3).std(axis=1)
        shows_N = contrast_NC.max(axis=1) >= _LEAST_CONTRAST
        if not shows_N.any():
            return nothing
        ycc_NHWC, contrast_NC = ycc_NHWC[shows_N], contrast_NC[shows_N]
        hashes = np.zeros(len(ycc_NHWC), HASHES)
        hashes["ms"] = np.round(np.array(times)[shows_N] * 1000)
        hashes["hash"] = _hashes(ycc_NHWC, contrast_NC)
        return {"frame_hashes": hashes.tobytes(), "frame_looks": b"".join(map(_look_of, ycc_NHWC))}

    def evict(self, before: int) -> None:
        self._times.evict(before)
        self._seen.evict(before)


def _look_of(ycc_HWC: np.ndarray) -> bytes:
    """Return a small picture as LOOK_BYTES bytes: luma, then Cr and Cb at half the size."""
    chroma_HWC = cv2.resize(ycc_HWC[..., 1:], (CHROMA_SIDE, CHROMA_SIDE), interpolation=cv2.INTER_AREA)
    return ycc_HWC[..., 0].tobytes() + chroma_HWC.transpose(2, 0, 1).tobytes()


def _hashes(ycc_NHWC: np.ndarray, contrast_NC: np.ndarray) -> np.ndarray:
    """Return 64 signs of low frequencies as one number each, row by row from the top bit; the first is 0.

    They are of luma where it has contrast, else of the channel with most of it.
    """
    channel_N = np.where(contrast_NC[:, 0] >= _LUMA_CONTRAST, 0, np.argmax(contrast_NC, axis=1))
    values_NHW = ycc_NHWC[np.arange(len(ycc_NHWC)), ..., channel_N].astype(np.float32)
    low_N64 = np.stack([cv2.dct(values_HW)[:8, :8].ravel() for values_HW in values_NHW])
    signs_N64 = low_N64 > 0
    signs_N64[:, 0] = False
    return np.packbits(signs_N64, axis=1).view(">u8")[:, 0]


def _small(rgb_HWC: np.ndarray) -> np.ndarray:
    return cv2.resize(rgb_HWC, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _border(gray_HW: np.ndarray, *, scaled: bool) -> tuple[float, ...] | None:
    """Return the borders of one frame as fractions, where it may have any."""
    if min(gray_HW.shape) < 8:
        return None
    if not any(_is_flat(line) for line in (gray_HW[0], gray_HW[-1], gray_HW[:, 0], gray_HW[:, -1])):
        return None
    border = tuple(border_of([side], scaled) for side in sides_of(gray_HW))
    return border if any(border) else None


def _is_flat(line_N: np.ndarray) -> bool:
    low, high, _, _ = cv2.minMaxLoc(line_N)
    return high - low <= 2 * _FLAT


def _inside(rgb_HWC: np.ndarray, border: tuple[float, ...]) -> np.ndarray:
    height, width = rgb_HWC.shape[:2]
    top, bottom = round(border[0] * height), height - round(border[1] * height)
    left, right = round(border[2] * width), width - round(border[3] * width)
    return rgb_HWC[top:bottom, left:right]


def _of_all(borders: list[tuple[float, ...] | None]) -> tuple[float, ...] | None:
    """Return the border of a clip: the one of most of its frames, if it is that of most."""
    found = [border for border in borders if border is not None]
    if 2 * len(found) <= len(borders):
        return None
    middle = tuple(np.median(found, axis=0).tolist())
    return middle if 2 * sum(_same(border, middle) for border in found) > len(borders) else None


def _same(border: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return max(abs(a - b) for a, b in zip(border, other, strict=True)) <= _SAME_BORDER


def _trimmed(seen: _Seen, border: tuple[float, ...]) -> np.ndarray | None:
    return seen.inside_HWC if seen.border is not None and _same(seen.border, border) else None


def _on_grid(seen: list[_Seen], start_s: float) -> list[_Seen]:
    """Return the frames nearest to every 1 / PER_S seconds from the clip's first."""
    nearest: dict[int, _Seen] = {}
    for each in seen:
        slot = round((each.time_s - start_s) * PER_S)
        best = nearest.get(slot)
        if best is None or abs(each.time_s - start_s - slot / PER_S) < abs(
            best.time_s - start_s - slot / PER_S
        ):
            nearest[slot] = each
    return [nearest[slot] for slot in sorted(nearest)]
