"""Turn a decoded frame into the picture a person sees: upright, square pixels, ordinary RGB.

- Matrix and range are those that the file states. Where it states no matrix, BT.709 is taken for video
  larger than standard definition (1280 or more wide, or more than 576 high) and BT.601 for all else, as
  players do; without a range, limited.
- PQ and HLG are tone-mapped (`video.hdr`). Wide colours of other files are shown as if they were BT.709.
- What is transparent is laid over white. An alpha channel that is zero everywhere counts as unused.

Legend: H height, W width, C channels (RGB, or RGBA).
"""

from fractions import Fraction
from typing import Literal

import av.error
import av.filter
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from video import hdr
from video.resize import fit_long_side

Interpolation = Literal["FAST_BILINEAR", "BILINEAR", "BICUBIC", "AREA"]
Turn = tuple[int, int, int, int]
UPRIGHT: Turn = (1, 0, 0, 1)
KNOWN_MATRICES = (0, 1, 2, 4, 5, 6, 7, 9)
"""FFmpeg's numbers of the matrices that can be converted; 0 is RGB, 2 not stated, 1 BT.709, 9 BT.2020."""
NOT_STATED = 2
EXIF_SIDE_DATA = 31
"""FFmpeg's number of the side data that PyAV 18 cannot list."""


class RgbConverter:
    """Converts the frames of one stream. All get the size of the first, whatever theirs is."""

    def __init__(
        self,
        *,
        aspect: Fraction,
        size_px: tuple[int, int] | None,
        interpolation: Interpolation,
        still: bool,
    ) -> None:
        """Args:
        aspect: width of a pixel over its height.
        size_px: (height, width) of the upright pictures; None takes the displayed size of the first frame.
        """
        self.aspect, self.size_px, self.interpolation, self.still = aspect, size_px, interpolation, still
        self.reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        """Return rgb_HWC.

        Raises:
            av.error.FFmpegError, ValueError: for a pixel format that cannot be converted.
        """
        turn = orientation(frame)
        self.size_px = self.size_px or display_size(frame, self.aspect)
        height, width = self.size_px[::-1] if _turns_sideways(turn) else self.size_px
        if frame.color_trc in (hdr.PQ, hdr.HLG):
            rgb_HWC = hdr.tone_map(self._scaled(frame, "rgb48le", height, width), frame.color_trc)
        elif has_alpha(frame):
            rgb_HWC = composite_over_white(self._scaled(frame, "rgba", height, width))
        else:
            rgb_HWC = self._scaled(frame, "rgb24", height, width)
        return np.ascontiguousarray(_turn_upright(rgb_HWC, turn))

    def is_passthrough(self, frame: VideoFrame) -> bool:
        """Return whether the frame is what converting it, and back to 4:2:0 in BT.709 and limited range, is
        to give: upright, of the size asked for, with even sides and square pixels."""
        asked = self.size_px or (frame.height, frame.width)
        if frame.format.name != "yuv420p" or self.aspect != 1 or (frame.height, frame.width) != asked:
            return False
        if frame.height % 2 or frame.width % 2 or frame.color_range == ColorRange.JPEG:
            return False
        if frame.color_trc in (hdr.PQ, hdr.HLG) or orientation(frame) != UPRIGHT:
            return False
        told = matrix(frame, self.still)
        return (frame.colorspace if told is None else told) == Colorspace.ITU709

    def _scaled(self, frame: VideoFrame, format: str, height: int, width: int) -> np.ndarray:
        scaled = self.reformatter.reformat(
            frame,
            width=width,
            height=height,
            format=format,
            src_colorspace=matrix(frame, self.still),
            dst_color_range=ColorRange.JPEG,
            interpolation=self.interpolation,
            threads=1,
        )
        return scaled.to_ndarray()


class ResizingConverter:
    """Converts some frames of one stream at another size. Holds nothing until it is called."""

    def __init__(self, *, aspect: Fraction, still: bool) -> None:
        self.aspect, self.still = aspect, still
        self.by_side: dict[int, RgbConverter] = {}

    def __call__(self, frame: VideoFrame, side_px: int) -> np.ndarray:
        """Return rgb_HWC scaled down to a long side of at most `side_px`. Raises as `RgbConverter` does."""
        if side_px not in self.by_side:
            size_px = fit_long_side(display_size(frame, self.aspect), side_px)
            self.by_side[side_px] = RgbConverter(
                aspect=self.aspect, size_px=size_px, interpolation="AREA", still=self.still
            )
        return self.by_side[side_px](frame)


def matrix(frame: VideoFrame, still: bool) -> int | None:
    """Return the matrix to convert by as PyAV numbers it; None for the one that the frame states."""
    if frame.colorspace not in KNOWN_MATRICES:
        frame.colorspace = NOT_STATED
    if frame.colorspace != NOT_STATED or frame.format.is_rgb:
        return None
    large = frame.width >= 1280 or frame.height > 576
    return Colorspace.ITU709 if large and not still else Colorspace.ITU601


def has_alpha(frame: VideoFrame) -> bool:
    """Return whether parts of the frame may be transparent."""
    return any(component.is_alpha for component in frame.format.components)


def composite_over_white(rgba_HWC: np.ndarray) -> np.ndarray:
    """Return rgb_HWC of a picture laid over white."""
    alpha_HW1 = rgba_HWC[..., 3:].astype(np.uint16)
    if not alpha_HW1.any() or alpha_HW1.min() == 255:
        return rgba_HWC[..., :3]
    return ((rgba_HWC[..., :3] * alpha_HW1 + 255 * (255 - alpha_HW1) + 127) // 255).astype(np.uint8)


def display_size(frame: VideoFrame, aspect: Fraction) -> tuple[int, int]:
    """Return (height, width) as a person sees the frame: turned upright, with square pixels."""
    height, width = frame.height, max(1, round(frame.width * aspect))
    return (width, height) if _turns_sideways(orientation(frame)) else (height, width)


def orientation(frame: VideoFrame) -> Turn:
    """Return the display matrix (a, b, c, d), each -1, 0 or 1: pixel (x, y) is shown at (a x + c y, b x + d
    y)."""
    try:
        matrix = _side_data(frame).get("DISPLAYMATRIX")
    except ValueError:
        matrix = _side_data(_without_exif(frame)).get("DISPLAYMATRIX")
    if matrix is None:
        return UPRIGHT
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    straight = abs(a) + abs(d) >= abs(b) + abs(c)
    sign_a, sign_b, sign_c, sign_d = (1 if v > 0 else -1 for v in (a, b, c, d))
    return (sign_a, 0, 0, sign_d) if straight else (0, sign_b, sign_c, 0)


def _side_data(frame: VideoFrame) -> SideDataContainer:
    """Return `frame.side_data`, which would also tie the frame and its list into a cycle: the memory of each
    picture would then wait for the garbage collector, and the next one get fresh memory."""
    return SideDataContainer(frame)  # pyright: ignore[reportCallIssue]  # its stubs know no arguments


def _without_exif(frame: VideoFrame) -> VideoFrame:
    """Return the frame without the EXIF block that keeps PyAV from listing its side data."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
    )
    graph.link_nodes(
        source, graph.add("sidedata", f"mode=delete:type={EXIF_SIDE_DATA}"), graph.add("buffersink")
    ).configure()
    graph.vpush(frame)
    return graph.vpull()


def _turns_sideways(turn: Turn) -> bool:
    return turn[0] == 0


def _turn_upright(rgb_HWC: np.ndarray, turn: Turn) -> np.ndarray:
    a, b, c, d = turn
    if _turns_sideways(turn):
        rgb_HWC = rgb_HWC.swapaxes(0, 1)
        a, d = c, b
    return rgb_HWC[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
