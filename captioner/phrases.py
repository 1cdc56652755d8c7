"""Sentences for what was measured in a clip. Pure functions; every sentence says who reports what."""

from collections.abc import Sequence
from dataclasses import dataclass

from captioner.sight import Motion

STILL_WIDTHS = 0.02
"""Widths of the frame per second below which the picture as a whole counts as still."""
FAST_WIDTHS = 0.25
ZOOM_RATE = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Thing:
    """A class of object that the detector reports in enough of the frames."""

    label: str
    count: int
    """Most at once."""
    frames: int
    """Frames in which it is reported."""
    center: tuple[float, float]
    """Mean (x, y) as shares of the frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What was measured in one clip."""

    things: tuple[Thing, ...]
    looked: bool
    """Whether an object detector ran at all."""
    frames: int
    """Frames that it looked at."""
    texts: tuple[str, ...]
    read: bool
    """Whether text was looked for."""
    colors: tuple[str, ...]
    brightness: float
    """CIELAB L*, 0 to 100."""
    motion: Motion | None
    """None for a still."""


def short_text(facts: Facts) -> str:
    """Return one sentence of about ten to twenty words."""
    kind = "still image" if facts.motion is None else "video"
    if facts.things:
        subject = f"A {kind} in which the detector reports {_listed([_counted(t) for t in facts.things[:3]])}"
    else:
        subject = f"{_light(facts.brightness).capitalize()} {kind}"
    colors = f", mostly {_listed(facts.colors[:2])}" if facts.colors else ""
    camera = "" if facts.motion is None else f"; {camera_phrase(facts.motion)}"
    return f"{subject}{colors}{camera}."


def dense_text(facts: Facts) -> str:
    """Return what every detector reports, and what none of them found or looked for."""
    kind = "still image" if facts.motion is None else "video clip"
    colors = (
        f" and its main colors are {_listed(facts.colors)}"
        if facts.colors
        else " with no color that stands out"
    )
    parts = [f"This is {_light(facts.brightness)} {kind}{colors}.", *_object_sentences(facts)]
    if facts.motion is not None:
        parts += [
            f"As far as optical flow tells, {camera_phrase(facts.motion)}.",
            motion_sentence(facts.motion),
        ]
    if facts.texts:
        parts.append("Text that can be read: " + ", ".join(f"“{line}”" for line in facts.texts[:6]) + ".")
    elif facts.read:
        parts.append("No readable text was found.")
    parts.append("This description was put together from detectors and may be wrong about what things are.")
    return " ".join(parts)


def camera_phrase(motion: Motion) -> str:
    """Say how the picture as a whole moves; the camera moves against it."""
    if abs(motion.zoom) >= ZOOM_RATE and abs(motion.zoom) > abs(motion.shift_x) + abs(motion.shift_y):
        return f"the picture {'grows, as in a zoom in' if motion.zoom > 0 else 'shrinks, as in a zoom out'}"
    speed = (motion.shift_x**2 + motion.shift_y**2) ** 0.5
    if speed < STILL_WIDTHS:
        return "the camera seems still"
    pace = "quickly " if speed > FAST_WIDTHS else "slowly " if speed < 3 * STILL_WIDTHS else ""
    return f"the whole picture shifts {pace}{_way(motion.shift_x, motion.shift_y)}"


def motion_sentence(motion: Motion) -> str:
    """Say how much moves besides the camera."""
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
    if not facts.looked:
        return ["No object detector was run."]
    if not facts.things:
        return ["The detector reports no object that it knows in most of the frames."]
    return [
        f"The detector reports {_counted(t)} {_place(t.center)} ({t.frames} of {facts.frames} frames)."
        for t in facts.things[:5]
    ]


def _counted(thing: Thing) -> str:
    if thing.count > 1:
        plural = {"person": "people", "bus": "buses", "bench": "benches", "sheep": "sheep"}
        return f"up to {thing.count} {plural.get(thing.label, thing.label + 's')}"
    return f"{'an' if thing.label[0] in 'aeiou' else 'a'} {thing.label}"


def _place(center: tuple[float, float]) -> str:
    column = "left" if center[0] < 0.36 else "right" if center[0] > 0.64 else ""
    row = "upper" if center[1] < 0.36 else "lower" if center[1] > 0.64 else ""
    if row and column:
        return f"in the {row} {column}"
    if column:
        return f"on the {column}"
    return f"in the {row} middle" if row else "in the middle"


def _way(x: float, y: float) -> str:
    across, along = ("right" if x > 0 else "left"), ("down" if y > 0 else "up")
    if abs(x) > 2 * abs(y):
        return f"to the {across}"
    return f"{along}ward" if abs(y) > 2 * abs(x) else f"{along} and to the {across}"


def _light(lightness: float) -> str:
    return "a dark" if lightness < 35 else "a bright" if lightness > 65 else "a medium-bright"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
