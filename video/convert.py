"""Convert decoded frames to upright sRGB images with square pixels.

- Matrix and range are taken from the file. Without a stated matrix, BT.709 is assumed for video larger than
  standard definition (at least 1280 wide or more than 576 high) and BT.601 otherwise, as players do; without
  a stated range, limited range. Frames in a matrix that is not known are refused.
- PQ and HLG are tone-mapped (`video.hdr`). Other wide-gamut colours are treated as BT.709.
- Transparent pixels are composited over white. An alpha channel that is zero everywhere is ignored.
- Frames whose shape differs from the first are fitted into it with black borders, or keep their own.

Legend: H height, W width, C channels (RGB, or RGBA).
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache
from typing import Literal, NamedTuple, cast

import av.filter
import cv2
import numpy as np
from av.sidedata.sidedata import SideData, SideDataContainer
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.reformatter import Interpolation as Flag

from video import hdr
from video.matrices import YCGCO, assumed_matrix, expand_range, is_bt709, ycgco_to_rgb
from video.resize import fit_long_side, same_shape

Interpolation = Literal["FAST_BILINEAR", "BILINEAR", "BICUBIC", "AREA"]
Size = tuple[int, int]
"""(height, width)."""
DisplayMatrix = tuple[int, int, int, int]
UPRIGHT: DisplayMatrix = (1, 0, 0, 1)
EXIF_SIDE_DATA = 31
"""FFmpeg's number of a side data type that PyAV 18 cannot list."""
_EXACT = Flag.ACCURATE_RND | Flag.FULL_CHR_H_INT
"""Without them swscale cuts the low bits of 10 and 12 bits off: frames are 2 of 255 darker."""


class Pose(NamedTuple):
    """How a stored frame is shown."""

    aspect: Fraction = Fraction(1)
    """Width of a pixel over its height."""
    orient: DisplayMatrix = UPRIGHT

    def display_px(self, frame: VideoFrame) -> Size:
        """Return the size of a frame when upright and with square pixels."""
        height, width = frame.height, max(1, round(frame.width * self.aspect))
        return (width, height) if _swaps_axes(self.orient) else (height, width)


class PoseFinder:
    """Finds how frames are shown; frames of a file are usually shown alike, so it remembers the last."""

    def __init__(self) -> None:
        self.aspect: Fraction | None = None
        self.key: tuple[int, int, DisplayMatrix] | None = None
        self.found: tuple[Pose, Size] = (Pose(), (0, 0))

    def __call__(self, frame: VideoFrame, aspect: Fraction) -> tuple[Pose, Size]:
        """Return the pose of a frame, and its display size."""
        key = (frame.height, frame.width, orientation(frame))
        if key != self.key or aspect is not self.aspect:
            pose = Pose(aspect, key[2])
            self.aspect, self.key, self.found = aspect, key, (pose, pose.display_px(frame))
        return self.found


class Layout(NamedTuple):
    """Where a frame lies in its output: the rest is black."""

    size_px: Size
    inner_px: Size
    top: int
    left: int


class RgbConverter:
    """Convert the frames of one stream to RGB."""

    def __init__(
        self,
        *,
        size_px: Size | Callable[[Size], Size] | None,
        interpolation: Interpolation,
        still: bool,
        uses_alpha: Callable[[], bool] = lambda: False,
    ) -> None:
        """Configure the conversion.

        Args:
            size_px: size of the upright frames; None uses the display size of the first frame. Frames of
                another shape are fitted into it. A function of the display size instead gives every shape
                its own size.
            still: whether the file is a single image, which never defaults to BT.709.
            uses_alpha: returns whether an alpha channel that is zero everywhere is meant so.
        """
        self.size_px, self.still, self.uses_alpha = size_px, still, uses_alpha
        self.interpolation = Flag[interpolation]
        self.reformatter = VideoReformatter()
        self.first_px: Size | None = None
        self.layouts: dict[tuple[int, int, Pose], Layout] = {}
        self.last: tuple[int, int, Pose | None, Layout] = (0, 0, None, Layout((0, 0), (0, 0), 0, 0))
        """Height, width, pose and layout of the last frame, since hashing a fraction takes a microsecond."""

    def __call__(self, frame: VideoFrame, pose: Pose) -> np.ndarray:
        """Return uint8 rgb_HWC.

        Raises:
            av.error.FFmpegError, ValueError: for a pixel format or matrix that cannot be converted.
        """
        layout = self._layout(frame, pose)
        height, width = layout.inner_px[::-1] if _swaps_axes(pose.orient) else layout.inner_px
        rgb_HWC = np.ascontiguousarray(_rotate_upright(self._rgb(frame, height, width), pose.orient))
        return rgb_HWC if layout.inner_px == layout.size_px else _with_borders(rgb_HWC, layout)

    def is_passthrough(self, frame: VideoFrame, pose: Pose) -> bool:
        """Return whether the frame already is what a writer needs: BT.709 limited-range 4:2:0, upright, of
        the requested size, with even sides and square pixels."""
        if frame.format.name != "yuv420p" or pose != Pose() or frame.height % 2 or frame.width % 2:
            return False
        if frame.color_range == ColorRange.JPEG or frame.color_trc in (hdr.PQ, hdr.HLG):
            return False
        size_px = (frame.height, frame.width)
        if self._layout(frame, pose) != Layout(size_px, size_px, 0, 0):
            return False
        return is_bt709(frame, self.still)

    def _layout(self, frame: VideoFrame, pose: Pose) -> Layout:
        height, width = frame.height, frame.width
        if self.last[2] is pose and self.last[0] == height and self.last[1] == width:
            return self.last[3]
        layout = self.layouts.get((height, width, pose))
        if layout is None:
            layout = self.layouts[height, width, pose] = self._new_layout(pose.display_px(frame))
        self.last = (height, width, pose, layout)
        return layout

    def _new_layout(self, display_px: Size) -> Layout:
        if callable(self.size_px):
            size_px = self.size_px(display_px)
            return Layout(size_px, size_px, 0, 0)
        first_px = self.first_px = self.first_px or display_px
        size_px = self.size_px or first_px
        if same_shape(first_px, display_px):
            return Layout(size_px, size_px, 0, 0)
        scale = min(Fraction(first_px[0], display_px[0]), Fraction(first_px[1], display_px[1]))
        height, width = (
            max(1, round(side * scale * out / first))
            for side, out, first in zip(display_px, size_px, first_px, strict=True)
        )
        return Layout(size_px, (height, width), (size_px[0] - height) // 2, (size_px[1] - width) // 2)

    def _rgb(self, frame: VideoFrame, height: int, width: int) -> np.ndarray:
        has_alpha, is_deep, has_no_chroma = _traits(frame.format.name)
        if frame.color_trc in (hdr.PQ, hdr.HLG):
            return hdr.tone_map(self._scaled(frame, "rgb48le", height, width), frame.color_trc)
        if has_no_chroma and frame.color_range == ColorRange.MPEG and not has_alpha:
            return expand_range(self._scaled(frame, "rgb48le" if is_deep else "rgb24", height, width))
        if frame.colorspace == YCGCO and not has_no_chroma:
            return ycgco_to_rgb(self._scaled(frame, "yuv444p", height, width), frame.color_range)
        if has_alpha:
            return composite_over_white(self._scaled(frame, "rgba", height, width), self.uses_alpha)
        return self._scaled(frame, "rgb24", height, width)

    def _scaled(self, frame: VideoFrame, format: str, height: int, width: int) -> np.ndarray:
        is_exact = format != "rgb48le" and _traits(frame.format.name)[1]
        scaled = self.reformatter.reformat(
            frame,
            width=width,
            height=height,
            format=format,
            src_colorspace=assumed_matrix(frame, self.still),
            dst_colorspace=Colorspace.ITU601 if format == "yuv444p" else None,  # as assumed: no conversion
            dst_color_range=frame.color_range if format == "yuv444p" else ColorRange.JPEG,
            interpolation=self.interpolation | _EXACT if is_exact else self.interpolation,
            threads=1,
        )
        return scaled.to_ndarray()


class ResizingConverter:
    """Convert single frames of one stream at other sizes. Allocates converters on first use."""

    def __init__(self, *, still: bool, uses_alpha: Callable[[], bool]) -> None:
        self.still, self.uses_alpha = still, uses_alpha
        self.by_side: dict[int, RgbConverter] = {}

    def __call__(self, frame: VideoFrame, pose: Pose, side_px: int) -> np.ndarray:
        """Return rgb_HWC scaled down to a long side of at most `side_px`. Raises as `RgbConverter` does."""
        if side_px not in self.by_side:
            self.by_side[side_px] = RgbConverter(
                size_px=lambda size_px: fit_long_side(size_px, side_px),
                interpolation="AREA",
                still=self.still,
                uses_alpha=self.uses_alpha,
            )
        return self.by_side[side_px](frame, pose)


@cache
def _traits(format: str) -> tuple[bool, bool, bool]:
    """Return whether a pixel format has an alpha channel, is deeper than 8 bits, and has no chroma planes."""
    components = VideoFormat(format).components
    is_gray = format.startswith("gray")
    return (
        any(each.is_alpha for each in components),
        components[0].bits > 8,
        is_gray or VideoFormat(format).is_rgb,
    )


def has_alpha(frame: VideoFrame) -> bool:
    """Return whether the pixel format has an alpha channel."""
    return _traits(frame.format.name)[0]


def has_opaque_pixels(frame: VideoFrame) -> bool:
    """Return whether the alpha channel of a frame is not zero everywhere; True without one."""
    if not has_alpha(frame):
        return True
    return bool(frame.reformat(format="rgba", threads=1).to_ndarray()[..., 3].any())


def composite_over_white(rgba_HWC: np.ndarray, uses_alpha: Callable[[], bool]) -> np.ndarray:
    """Return rgb_HWC of the frame composited over white.

    Args:
        uses_alpha: returns whether an alpha channel that is zero everywhere is meant so.
    """
    alpha_HW1 = rgba_HWC[..., 3:].astype(np.uint16)
    if alpha_HW1.min() == 255 or (not alpha_HW1.any() and not uses_alpha()):
        return rgba_HWC[..., :3]
    return ((rgba_HWC[..., :3] * alpha_HW1 + 255 * (255 - alpha_HW1) + 127) // 255).astype(np.uint8)


def pose_of(frame: VideoFrame, aspect: Fraction) -> Pose:
    """Return how a frame with pixels of this aspect is shown."""
    return Pose(aspect, orientation(frame))


def orientation(frame: VideoFrame) -> DisplayMatrix:
    """Return the display matrix (a, b, c, d) rounded to -1, 0 or 1.

    Pixel (x, y) is displayed at (a x + c y, b x + d y).
    """
    try:
        side_data = _side_data(frame)
    except ValueError:
        side_data = _side_data(_without_exif(frame))
    matrix = side_data.get("DISPLAYMATRIX") if side_data else None  # most frames have none at all
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


def _with_borders(rgb_HWC: np.ndarray, layout: Layout) -> np.ndarray:
    height, width = layout.inner_px
    bottom, right = layout.size_px[0] - height - layout.top, layout.size_px[1] - width - layout.left
    return cv2.copyMakeBorder(rgb_HWC, layout.top, bottom, layout.left, right, cv2.BORDER_CONSTANT)
