"""Compose caption sentences from the measurements of a clip; pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

from captioner.sight import Motion

STILL_WIDTHS = 0.02
"""Maximum camera speed of a static shot, in frame widths per second."""
FAST_WIDTHS = 0.25
"""Minimum speed of quick motion, in frame widths per second."""
ZOOM_RATE = 0.05
"""Minimum zoom, as growth per second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectedObject:
    """A class of objects detected in enough frames of a clip."""

    label: str
    count: int
    """Maximum number in one frame."""
    frames: int
    """Number of frames in which it was detected."""
    center: tuple[float, float]
    """Mean (x, y), relative to the frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Measurements of one clip."""

    objects: tuple[DetectedObject, ...]
    objects_checked: bool
    """Whether an object detector ran."""
    frames: int
    """Frames that the detector ran on."""
    texts: tuple[str, ...]
    texts_checked: bool
    """Whether a text reader ran."""
    colors: tuple[str, ...]
    brightness: float
    """CIELAB L*, 0 to 100."""
    motion: Motion | None
    """None for an image."""


def short_text(facts: Facts) -> str:
    """Return one sentence of about ten to twenty words."""
    kind = "still image" if facts.motion is None else "video"
    if facts.objects:
        subject = f"A {kind} in which the detector reports {_join([_counted(t) for t in facts.objects[:3]])}"
    else:
        subject = f"{_brightness(facts.brightness).capitalize()} {kind}"
    colors = f", mostly {_join(facts.colors[:2])}" if facts.colors else ""
    camera = "" if facts.motion is None else f"; {camera_phrase(facts.motion)}"
    return f"{subject}{colors}{camera}."


def dense_text(facts: Facts) -> str:
    """Return a description of all measurements, including what was not found or not checked."""
    kind = "still image" if facts.motion is None else "video clip"
    colors = (
        f" and its main colors are {_join(facts.colors)}"
        if facts.colors
        else " with no color that stands out"
    )
    parts = [f"This is {_brightness(facts.brightness)} {kind}{colors}.", *_object_sentences(facts)]
    if facts.motion is not None:
        parts += [
            f"As far as optical flow tells, {camera_phrase(facts.motion)}.",
            motion_sentence(facts.motion),
        ]
    if facts.texts:
        parts.append("Text that can be read: " + ", ".join(f"“{line}”" for line in facts.texts[:6]) + ".")
    elif facts.texts_checked:
        parts.append("No readable text was found.")
    parts.append("This description was put together from detectors and may be wrong about what things are.")
    return " ".join(parts)


def camera_phrase(motion: Motion) -> str:
    """Describe the global motion of the picture, which is opposite to the camera's."""
    if abs(motion.zoom) >= ZOOM_RATE and abs(motion.zoom) > abs(motion.shift_x) + abs(motion.shift_y):
        return f"the picture {'grows, as in a zoom in' if motion.zoom > 0 else 'shrinks, as in a zoom out'}"
    speed = (motion.shift_x**2 + motion.shift_y**2) ** 0.5
    if speed < STILL_WIDTHS:
        return "the camera seems still"
    pace = "quickly " if speed > FAST_WIDTHS else "slowly " if speed < 3 * STILL_WIDTHS else ""
    return f"the whole picture shifts {pace}{_direction(motion.shift_x, motion.shift_y)}"


def motion_sentence(motion: Motion) -> str:
    """Describe motion relative to the camera."""
    if motion.moving_share < 0.02:
        return "Hardly anything in it moves by itself."
    share = "a small part" if motion.moving_share < 0.1 else "a part" if motion.moving_share < 0.4 else "most"
    pace = (
        "quickly"
        if motion.moving_speed > FAST_WIDTHS
        else "slowly"
        if motion.moving_speed < 0.06
        else "steadily"
    )
    return f"Besides that, {share} of the picture moves {pace}."


def _object_sentences(facts: Facts) -> list[str]:
    if not facts.objects_checked:
        return ["No object detector was run."]
    if not facts.objects:
        return ["The detector reports no object that it knows in most of the frames."]
    return [
        f"The detector reports {_counted(t)} {_position(t.center)} ({t.frames} of {facts.frames} frames)."
        for t in facts.objects[:5]
    ]


def _counted(item: DetectedObject) -> str:
    if item.count > 1:
        plural = {"person": "people", "bus": "buses", "bench": "benches", "sheep": "sheep"}
        return f"up to {item.count} {plural.get(item.label, item.label + 's')}"
    return f"{'an' if item.label[0] in 'aeiou' else 'a'} {item.label}"


def _position(center: tuple[float, float]) -> str:
    column = "left" if center[0] < 0.36 else "right" if center[0] > 0.64 else ""
    row = "upper" if center[1] < 0.36 else "lower" if center[1] > 0.64 else ""
    if row and column:
        return f"in the {row} {column}"
    if column:
        return f"on the {column}"
    return f"in the {row} middle" if row else "in the middle"


def _direction(x: float, y: float) -> str:
    across, along = ("right" if x > 0 else "left"), ("down" if y > 0 else "up")
    if abs(x) > 2 * abs(y):
        return f"to the {across}"
    return f"{along}ward" if abs(y) > 2 * abs(x) else f"{along} and to the {across}"


def _brightness(lightness: float) -> str:
    return "a dark" if lightness < 35 else "a bright" if lightness > 65 else "a medium-bright"


def _join(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
