"""Fingerprints for finding copies of a clip: downscaled frames and a perceptual hash of each.

Frames are taken on a grid in time that begins with the clip, so that copies at other frame rates give the
same moments. Each is trimmed of borders and scaled to one size, so that letterboxed and rescaled copies
match. The hash is the signs of the low DCT frequencies of luma (pHash: Zauner, 2010); a second hash is of the
middle alone, which logos and subtitles leave as it is. Frames without contrast are left out.

Legend: N fingerprinted frames, H height, W width, C channels (RGB, or Y, Cr and Cb).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np

from pipeline.analyze.signals.borders import frame_borders_of, sides_of
from pipeline.analyze.signals.frame_view import FrameBuffer, FrameSampler, FrameView, Span
from pipeline.columns import Column
from pipeline.fingerprint_format import CHROMA_SIDE, HASHES, PER_S, SIDE

_CANDIDATES_PER_S = 32.0
"""Frames downscaled per second; those on the grid are chosen among them once the clip is known."""
_MIN_CONTRAST = 4.0
"""Standard deviation of luma or chroma, of 255, below which a downscaled frame has no content."""
_MIN_LUMA_CONTRAST = 6.0
"""Standard deviation of luma from which on luma is hashed; else the channel with the most contrast."""
_BORDER_LUMA_RANGE = 24.0
"""Greatest luma range of the outermost line for which a border is searched, of 255."""
_BORDER_TOLERANCE = 0.025
"""Greatest difference between two equal borders, as a share of the frame."""

_MIDDLE = (slice(3, 11), slice(2, 14))
"""Rows and columns of the small picture that logos and subtitles leave free."""

_Border = tuple[float, ...]
"""Top, bottom, left and right, as shares of the frame."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    time_s: float
    small_HWC: np.ndarray
    border: _Border | None
    inside_HWC: np.ndarray | None
    """The downscaled picture inside the border."""


class Fingerprint:
    """Computes `frame_hashes` (search) and `frame_looks` (comparison); None for a clip without content."""

    COLUMNS: ClassVar = (
        Column("frame_hashes", "binary", "time in ms (int32) and hash (uint64) of frames, 8 a second"),
        Column("frame_looks", "binary", "small pictures of the same frames, 384 bytes each"),
    )

    def __init__(self, analysis_width_px: int) -> None:
        """Args:
        analysis_width_px: frames of this width may have been scaled down: see `Borders`.
        """
        self._width = analysis_width_px
        self._sampler = FrameSampler(_CANDIDATES_PER_S)
        self._times = FrameBuffer[float]()
        self._candidates = FrameBuffer[_Candidate]()

    def update(self, view: FrameView) -> None:
        self._times.add(view.index, view.time_s)
        if not self._sampler(view.time_s):
            return
        border = _find_border(view.gray_HW, scaled=view.gray_HW.shape[1] == self._width)
        inside_HWC = None if border is None else _downscale(_crop_border(view.rgb_HWC, border))
        self._candidates.add(
            view.index, _Candidate(view.time_s, _downscale(view.half_res_HWC), border, inside_HWC)
        )

    def columns(self, span: Span) -> dict[str, Any]:
        start_s = self._times.in_span(span)[0]
        candidates = self._candidates.in_span(span)
        border = _clip_border([candidate.border for candidate in candidates])
        chosen = _on_grid(candidates, start_s)
        views = [[(each.time_s - start_s, each.small_HWC) for each in chosen]]
        if border is not None:
            trimmed = [(each.time_s - start_s, _trimmed(each, border)) for each in chosen]
            views.insert(0, [(time_s, small_HWC) for time_s, small_HWC in trimmed if small_HWC is not None])
        packed = [_view(view) for view in views]
        if not packed[0][0]:
            return {"frame_hashes": None, "frame_looks": None}
        return {
            "frame_hashes": b"".join(hashes for hashes, _ in packed),
            "frame_looks": b"".join(looks for _, looks in packed),
        }

    def evict(self, before: int) -> None:
        self._times.evict(before)
        self._candidates.evict(before)


def _view(pictures: list[tuple[float, np.ndarray]]) -> tuple[bytes, bytes]:
    """Return hashes and looks of those pictures (each with its time in seconds) that have content."""
    if not pictures:
        return b"", b""
    smalls = [small_HWC for _, small_HWC in pictures]
    ycc_NHWC = cv2.cvtColor(np.concatenate(smalls), cv2.COLOR_RGB2YCrCb).reshape(-1, SIDE, SIDE, 3)
    contrast_NC = ycc_NHWC.reshape(len(smalls), -1, 3).std(axis=1)
    has_content_N = contrast_NC.max(axis=1) >= _MIN_CONTRAST
    if not has_content_N.any():
        return b"", b""
    ycc_NHWC, contrast_NC = ycc_NHWC[has_content_N], contrast_NC[has_content_N]
    hashes = np.zeros((2, len(ycc_NHWC)), HASHES)
    hashes["ms"] = np.round(np.array([time_s for time_s, _ in pictures])[has_content_N] * 1000)
    hashes["hash"] = _perceptual_hashes(ycc_NHWC, contrast_NC)
    return hashes.tobytes(), b"".join(map(_pack, ycc_NHWC))


def _pack(ycc_HWC: np.ndarray) -> bytes:
    """Pack a small picture as LOOK_BYTES bytes: luma, then Cr and Cb at half the size."""
    chroma_HWC = cv2.resize(ycc_HWC[..., 1:], (CHROMA_SIDE, CHROMA_SIDE), interpolation=cv2.INTER_AREA)
    return ycc_HWC[..., 0].tobytes() + chroma_HWC.transpose(2, 0, 1).tobytes()


def _perceptual_hashes(ycc_NHWC: np.ndarray, contrast_NC: np.ndarray) -> np.ndarray:
    """Return two hashes of each frame, hashes_2N: of the whole and of the middle."""
    channel_N = np.where(contrast_NC[:, 0] >= _MIN_LUMA_CONTRAST, 0, np.argmax(contrast_NC, axis=1))
    values_NHW = ycc_NHWC[np.arange(len(ycc_NHWC)), ..., channel_N].astype(np.float32)
    middles = [
        cv2.resize(each, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) for each in values_NHW[:, *_MIDDLE]
    ]
    return np.stack([_signs(values_NHW), _signs(np.stack(middles))])


def _signs(values_NHW: np.ndarray) -> np.ndarray:
    """Return the signs of 8 x 8 low frequencies as uint64, row by row from the top bit; the top bit is 0."""
    low_N64 = np.stack([cv2.dct(values_HW)[:8, :8].ravel() for values_HW in values_NHW])
    signs_N64 = low_N64 > 0
    signs_N64[:, 0] = False
    return np.packbits(signs_N64, axis=1).view(">u8")[:, 0]


def _downscale(rgb_HWC: np.ndarray) -> np.ndarray:
    return cv2.resize(rgb_HWC, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _find_border(gray_HW: np.ndarray, *, scaled: bool) -> _Border | None:
    """Return the border of one frame; None without a border."""
    if min(gray_HW.shape) < 8:
        return None
    if not any(_is_flat(line) for line in (gray_HW[0], gray_HW[-1], gray_HW[:, 0], gray_HW[:, -1])):
        return None
    border = frame_borders_of(sides_of(gray_HW, clean=True), scaled)
    return tuple(border) if any(border) else None


def _is_flat(line_N: np.ndarray) -> bool:
    low, high, _, _ = cv2.minMaxLoc(line_N)
    return high - low <= _BORDER_LUMA_RANGE


def _crop_border(rgb_HWC: np.ndarray, border: _Border) -> np.ndarray:
    height, width = rgb_HWC.shape[:2]
    top, bottom = round(border[0] * height), height - round(border[1] * height)
    left, right = round(border[2] * width), width - round(border[3] * width)
    return rgb_HWC[top:bottom, left:right]


def _clip_border(borders: list[_Border | None]) -> _Border | None:
    """Return the median border, if most frames of the clip have about that border."""
    found = [border for border in borders if border is not None]
    if 2 * len(found) <= len(borders):
        return None
    median = tuple(np.median(found, axis=0).tolist())
    return median if 2 * sum(_is_same(border, median) for border in found) > len(borders) else None


def _is_same(border: _Border, other: _Border) -> bool:
    return max(abs(a - b) for a, b in zip(border, other, strict=True)) <= _BORDER_TOLERANCE


def _trimmed(candidate: _Candidate, border: _Border) -> np.ndarray | None:
    matches = candidate.border is not None and _is_same(candidate.border, border)
    return candidate.inside_HWC if matches else None


def _on_grid(candidates: list[_Candidate], start_s: float) -> list[_Candidate]:
    """Return the candidates nearest to each multiple of 1 / PER_S seconds after `start_s`."""
    nearest: dict[int, tuple[float, _Candidate]] = {}
    for candidate in candidates:
        slot = round((candidate.time_s - start_s) * PER_S)
        distance_s = abs(candidate.time_s - start_s - slot / PER_S)
        if slot not in nearest or distance_s < nearest[slot][0]:
            nearest[slot] = distance_s, candidate
    return [nearest[slot][1] for slot in sorted(nearest)]
