"""Overlays of edited videos: black bars, watermarks and burned-in subtitles.

Legend: H height, W width, C channels (RGB, uint8); boxes are (x, y, width, height) in pixels of the file's
frame.
"""

from dataclasses import dataclass
from random import Random
from typing import Any

import cv2
import numpy as np

from video.encode import even_side
from worlds.raw.config import RawConfig

Box = tuple[int, int, int, int]
BAR_SHARE = (0.07, 0.17)
"""Range of the fraction of the frame that each of two bars covers."""
FONT = cv2.FONT_HERSHEY_SIMPLEX
MARKS = ("SAMPLE", "PREVIEW", "DRAFT", "CHANNEL 8")
MARK_SHARE = 0.28
"""Width of a watermark, in widths of the picture."""
MARK_OPACITY = (0.6, 0.9)
LINES = (
    "Where did it go?",
    "I told you so.",
    "Wait for me here.",
    "Nobody saw it coming.",
    "We should leave now.",
    "Did you hear that?",
    "It was never about that.",
    "Tell me the truth.",
    "Good morning, everyone.",
    "That is all I know.",
)
SUBTITLE_SECONDS = (1.0, 2.5)
PAUSE_SECONDS = (0.2, 0.8)
TEXT_HEIGHT = 0.085
"""Height of a capital letter, in short sides of the frame."""
TEXT_WIDTH = 0.92
"""Maximum width of a line, in widths of the frame."""
OUTLINE = [(right, down) for right in (-1, 0, 1) for down in (-1, 0, 1) if right or down]
"""Offsets in pixels at which a text is drawn to outline it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bars:
    """Position of the picture in a frame with black bars."""

    kind: str
    """`letterbox` or `pillarbox`."""
    picture_px: Box


@dataclass(frozen=True, kw_only=True, slots=True)
class Watermark:
    """A semi-transparent text in a corner, the same in every frame."""

    text: str
    box_px: Box
    opacity: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Subtitle:
    """A text that is burned in on frames [start, end)."""

    text: str
    start: int
    end: int


def sample_bars(rng: Random, config: RawConfig, size_px: tuple[int, int]) -> Bars | None:
    """Sample bars, or None; `size_px` is the (width, height) of the frame."""
    chance, share = rng.random(), rng.uniform(*BAR_SHARE)
    if chance < config.letterbox_rate:
        return letterbox(size_px, share)
    if chance < config.letterbox_rate + config.pillarbox_rate:
        width, height = size_px
        side = even_side(width * share)
        return Bars(kind="pillarbox", picture_px=(side, 0, width - 2 * side, height))
    return None


def letterbox(size_px: tuple[int, int], share: float) -> Bars:
    """Return bars above and below, each a fraction `share` of the height of a (width, height) frame."""
    width, height = size_px
    side = even_side(height * share)
    return Bars(kind="letterbox", picture_px=(0, side, width, height - 2 * side))


def sample_watermark(rng: Random, config: RawConfig, picture_px: Box) -> Watermark | None:
    """Sample a watermark in a corner of the picture, or None."""
    chance, text, opacity = rng.random(), rng.choice(MARKS), rng.uniform(*MARK_OPACITY)
    right, bottom = rng.random() < 0.5, rng.random() < 0.5
    if chance >= config.watermark_rate:
        return None
    x, y, width, height = picture_px
    mark_width = max(16, round(width * MARK_SHARE))
    mark_height = max(8, round(mark_width * 0.3))
    margin = max(2, min(width, height) // 24)
    left = x + (width - margin - mark_width if right else margin)
    top = y + (height - margin - mark_height if bottom else margin)
    return Watermark(text=text, box_px=(left, top, mark_width, mark_height), opacity=round(opacity, 3))


def sample_subtitles(rng: Random, config: RawConfig, num_frames: int, fps: float) -> tuple[Subtitle, ...]:
    """Sample consecutive subtitles with pauses, or none."""
    if rng.random() >= config.subtitle_rate:
        return ()
    lines, start = [], 0
    while start < num_frames:
        end = start + max(1, round(rng.uniform(*SUBTITLE_SECONDS) * fps))
        lines.append(Subtitle(text=rng.choice(LINES), start=start, end=min(end, num_frames)))
        start = end + max(1, round(rng.uniform(*PAUSE_SECONDS) * fps))
    return tuple(lines)


@dataclass(frozen=True, kw_only=True, slots=True)
class Defects:
    """All overlays of one file."""

    size_px: tuple[int, int]
    """(width, height) of the file's frame."""
    bars: Bars | None = None
    watermark: Watermark | None = None
    subtitles: tuple[Subtitle, ...] = ()

    @property
    def picture_px(self) -> Box:
        """Box of the picture within the bars."""
        return self.bars.picture_px if self.bars else (0, 0, *self.size_px)

    def apply(self, picture_HWC: np.ndarray, frame: int) -> np.ndarray:
        """Return the picture of frame `frame` with all overlays."""
        frame_HWC = picture_HWC if self.bars is None else _add_bars(picture_HWC, self.size_px, self.bars)
        texts = [line.text for line in self.subtitles if line.start <= frame < line.end]
        if self.watermark is None and not texts:
            return frame_HWC
        frame_HWC = frame_HWC.copy()
        if self.watermark is not None:
            _draw_watermark(frame_HWC, self.watermark)
        for text in texts:
            write_text(frame_HWC, text)
        return frame_HWC

    def to_json(self) -> list[dict[str, Any]]:
        """Return one entry of the truth file per overlay and per subtitle."""
        entries: list[dict[str, Any]] = []
        if self.bars:
            entries.append({"kind": self.bars.kind, "picture_px": list(self.bars.picture_px)})
        if self.watermark:
            entries.append(
                {
                    "kind": "watermark",
                    "text": self.watermark.text,
                    "box_px": list(self.watermark.box_px),
                    "opacity": self.watermark.opacity,
                }
            )
        entries += [
            {"kind": "subtitle", "text": line.text, "start_frame": line.start, "end_frame": line.end}
            for line in self.subtitles
        ]
        return entries


def _add_bars(picture_HWC: np.ndarray, size_px: tuple[int, int], bars: Bars) -> np.ndarray:
    x, y, width, height = bars.picture_px
    frame_HWC = np.zeros((size_px[1], size_px[0], 3), np.uint8)
    frame_HWC[y : y + height, x : x + width] = picture_HWC
    return frame_HWC


def _draw_watermark(frame_HWC: np.ndarray, mark: Watermark) -> None:
    """Blend a white text on a dark ground into its corner, in place."""
    x, y, width, height = mark.box_px
    stamp_HWC = np.full((height, width, 3), 40, np.uint8)
    cv2.rectangle(stamp_HWC, (0, 0), (width - 1, height - 1), (235, 235, 235), 1)
    scale = _scale_to_fit(mark.text, width - 6, height - 6)
    (text_width, text_height), _ = cv2.getTextSize(mark.text, FONT, scale, 1)
    corner = (width - text_width) // 2, (height + text_height) // 2
    cv2.putText(stamp_HWC, mark.text, corner, FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)
    under_HWC = frame_HWC[y : y + height, x : x + width]
    under_HWC[:] = cv2.addWeighted(under_HWC, 1 - mark.opacity, stamp_HWC, mark.opacity, 0)


def write_text(frame_HWC: np.ndarray, text: str) -> None:
    """Write a text near the bottom, white with a black outline, in place; long lines are broken."""
    height, width = frame_HWC.shape[:2]
    letter_px = max(7, round(min(width, height) * TEXT_HEIGHT))
    scale = _scale_to_fit("X", width, letter_px)
    lines = _wrap(text, scale, round(width * TEXT_WIDTH))
    bottom = height - max(4, letter_px // 2)
    for row, line in enumerate(reversed(lines)):
        (line_width, _), _ = cv2.getTextSize(line, FONT, scale, 1)
        x, y = (width - line_width) // 2, bottom - row * round(letter_px * 1.7)
        for right, down in OUTLINE:
            cv2.putText(frame_HWC, line, (x + right, y + down), FONT, scale, (0, 0, 0), 1, cv2.LINE_AA)
        cv2.putText(frame_HWC, line, (x, y), FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)


def _wrap(text: str, scale: float, max_width_px: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and cv2.getTextSize(longer, FONT, scale, 1)[0][0] > max_width_px:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _scale_to_fit(text: str, width: int, height: int) -> float:
    """Return the largest scale at which the text fits a box."""
    (unit_width, unit_height), _ = cv2.getTextSize(text, FONT, 1.0, 1)
    return min(width / unit_width, height / unit_height)
