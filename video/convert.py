"""Convert decoded frames to upright sRGB images with square pixels.

- Matrix and range are taken from the file. Without a stated matrix, BT.709 is assumed for video larger than
  standard definition (at least 1280 wide or more than 576 high) and BT.601 otherwise, as players do; without
  a stated range, limited range.
- PQ and HLG are tone-mapped (`video.hdr`). Other wide-gamut colours are treated as BT.709.
- Transparent pixels are composited over white. An alpha channel that is zero everywhere is ignored.

Legend: H height, W width, C channels (RGB, or RGBA).
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Literal, cast

import av.filter
import numpy as np
from av.sidedata.sidedata import SideData, SideDataContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from video import hdr
from video.resize import fit_long_side

Interpolation = Literal["FAST_BILINEAR", "BILINEAR", "BICUBIC", "AREA"]
DisplayMatrix = tuple[int, int, int, int]
UPRIGHT: DisplayMatrix = (1, 0, 0, 1)
KNOWN_MATRICES = (0, 1, 2, 4, 5, 6, 7, 9)
"""FFmpeg's numbers of the matrices that swscale converts: 0 RGB, 1 BT.709, 2 unspecified, 9 BT.2020."""
NOT_STATED = 2
EXIF_SIDE_DATA = 31
"""FFmpeg's number of a side data type that PyAV 18 cannot list."""


class RgbConverter:
    """Convert the frames of one stream to RGB, all at the size of the first."""

    def __init__(
        self,
        *,
        aspect: Fraction,
        size_px: tuple[int, int] | None,
        interpolation: Interpolation,
        still: bool,
    ) -> None:
        """Configure the conversion.

        Args:
            aspect: width of a pixel over its height.
            size_px: (height, width) of the upright frames; None uses the display size of the first frame.
            still: whether the file is a single image, which never defaults to BT.709.
        """
        self.aspect, self.size_px, self.interpolation, self.still = aspect, size_px, interpolation, still
        self.reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        """Return uint8 rgb_HWC.

        Raises:
            av.error.FFmpegError, ValueError: for a pixel format that cannot be converted.
        """
        orient = orientation(frame)
        self.size_px = self.size_px or display_size(frame, self.aspect)
        height, width = self.size_px[::-1] if _swaps_axes(orient) else self.size_px
        if frame.color_trc in (hdr.PQ, hdr.HLG):
            rgb_HWC = hdr.tone_map(self._scaled(frame, "rgb48le", height, width), frame.color_trc)
        elif has_alpha(frame):
            rgb_HWC = composite_over_white(self._scaled(frame, "rgba", height, width))
        else:
            rgb_HWC = self._scaled(frame, "rgb24", height, width)
        return np.ascontiguousarray(_rotate_upright(rgb_HWC, orient))

    def is_passthrough(self, frame: VideoFrame) -> bool:
        """Return whether the frame already is what a writer needs: BT.709 limited-range 4:2:0, upright, of
        the requested size, with even sides and square pixels."""
        size_px = self.size_px or (frame.height, frame.width)
        if frame.format.name != "yuv420p" or self.aspect != 1 or (frame.height, frame.width) != size_px:
            return False
        if frame.height % 2 or frame.width % 2 or frame.color_range == ColorRange.JPEG:
            return False
        if frame.color_trc in (hdr.PQ, hdr.HLG) or orientation(frame) != UPRIGHT:
            return False
        assumed = assumed_matrix(frame, self.still)
        return (frame.colorspace if assumed is None else assumed) == Colorspace.ITU709

    def _scaled(self, frame: VideoFrame, format: str, height: int, width: int) -> np.ndarray:
        scaled = self.reformatter.reformat(
            frame,
            width=width,
            height=height,
            format=format,
            src_colorspace=assumed_matrix(frame, self.still),
            dst_color_range=ColorRange.JPEG,
            interpolation=self.interpolation,
            threads=1,
        )
        return scaled.to_ndarray()


class ResizingConverter:
    """Convert single frames of one stream at other sizes. Allocates converters on first use."""

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


def assumed_matrix(frame: VideoFrame, still: bool) -> int | None:
    """Return PyAV's number of the matrix to assume; None if the frame states one."""
    if frame.colorspace not in KNOWN_MATRICES:
        frame.colorspace = NOT_STATED
    if frame.colorspace != NOT_STATED or frame.format.is_rgb:
        return None
    large = frame.width >= 1280 or frame.height > 576
    return Colorspace.ITU709 if large and not still else Colorspace.ITU601


def has_alpha(frame: VideoFrame) -> bool:
    """Return whether the pixel format has an alpha channel."""
    return any(component.is_alpha for component in frame.format.components)


def composite_over_white(rgba_HWC: np.ndarray) -> np.ndarray:
    """Return rgb_HWC of the frame composited over white."""
    alpha_HW1 = rgba_HWC[..., 3:].astype(np.uint16)
    if not alpha_HW1.any() or alpha_HW1.min() == 255:
        return rgba_HWC[..., :3]
    return ((rgba_HWC[..., :3] * alpha_HW1 + 255 * (255 - alpha_HW1) + 127) // 255).astype(np.uint8)


def display_size(frame: VideoFrame, aspect: Fraction) -> tuple[int, int]:
    """Return the (height, width) of the frame when upright and with square pixels."""
    height, width = frame.height, max(1, round(frame.width * aspect))
    return (width, height) if _swaps_axes(orientation(frame)) else (height, width)


def orientation(frame: VideoFrame) -> DisplayMatrix:
    """Return the display matrix (a, b, c, d) rounded to -1, 0 or 1.

    Pixel (x, y) is displayed at (a x + c y, b x + d y).
    """
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


def _side_data(frame: VideoFrame) -> Mapping[str, SideData]:
    """Return the side data of a frame. The attribute `frame.side_data` would create a reference cycle, which
    keeps the frame's memory until the garbage collector runs."""
    container = SideDataContainer(frame)  # pyright: ignore[reportCallIssue]  # the stubs lack the argument
    return cast(Mapping[str, SideData], container)


def _without_exif(frame: VideoFrame) -> VideoFrame:
    """Return the frame without its EXIF side data, on which PyAV's listing raises."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
    )
    graph.link_nodes(
        source, graph.add("sidedata", f"mode=delete:type={EXIF_SIDE_DATA}"), graph.add("buffersink")
    ).configure()
    graph.vpush(frame)
    return graph.vpull()


def _swaps_axes(orient: DisplayMatrix) -> bool:
    return orient[0] == 0


def _rotate_upright(rgb_HWC: np.ndarray, orient: DisplayMatrix) -> np.ndarray:
    a, b, c, d = orient
    if _swaps_axes(orient):
        rgb_HWC = rgb_HWC.swapaxes(0, 1)
        a, d = c, b
    return rgb_HWC[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
