"""The lines of the truth file: one JSON object per raw file.

Each span has a half-open range of frames (`start_frame`, `end_frame`), also in pts and in seconds. The spans
of shots (where each is shown alone) and of transitions together cover the file; a hard cut is an empty span
at the first frame of the new shot.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from worlds.raw.defects import Box
from worlds.raw.editing import Edit
from worlds.raw.scene import caption_scene
from worlds.raw.timeline import Timeline, steady

Line = dict[str, Any]
"""The truth about one file."""


def span_fields(start: int, end: int, timeline: Timeline, time_base: Fraction) -> Line:
    """Return the fields of a span of frames [start, end) of a file."""
    return {
        "start_frame": start,
        "end_frame": end,
        "start_pts": timeline.pts_at(start, time_base),
        "end_pts": timeline.pts_at(end, time_base),
        "start_s": float(timeline.time_at(start)),
        "end_s": float(timeline.time_at(end)),
    }


def shot_lines(edit: Edit, timeline: Timeline, time_base: Fraction, seeds: Sequence[int]) -> list[Line]:
    """Return the span, captions, world and flashes of each shot.

    Args:
        seeds: caption seed of each shot.
    """
    shots = []
    flash_spans, spans = edit.flash_spans(), edit.spans()
    for shot, scene in enumerate(edit.scenes):
        short, dense = caption_scene(scene, seeds[shot])
        (start, end), flash = spans[shot], flash_spans[shot]
        begin = start - edit.overlaps(shot)[0] + scene.padding[0]
        shots.append(
            {
                **_span_in_file(start, end, timeline, time_base),
                "slate": scene.is_slate,
                "short": short,
                "dense": dense,
                "world": scene.world.to_json(),
                "world_start_s": float(begin / timeline.fps),
                "flashes": [_span_in_file(*flash, timeline, time_base)] if flash else [],
            }
        )
    return shots


def transition_lines(edit: Edit, timeline: Timeline, time_base: Fraction) -> list[Line]:
    """Return the kind and span of each transition."""
    spans = edit.spans()
    return [
        {
            "kind": transition.kind,
            **_span_in_file(before[1], after[0], timeline, time_base),
            **({"way": transition.way} if transition.way else {}),
        }
        for transition, before, after in zip(edit.transitions, spans, spans[1:], strict=False)
    ]


def timeline_of(line: Line) -> Timeline:
    """Return the timeline of a file from its line of truth."""
    fps, time_base = Fraction(line["fps"]), Fraction(line["time_base"])
    if line["pts"] is None:
        return steady(line["num_frames"], fps)
    times_s = tuple(pts * time_base for pts in line["pts"])
    end_s = line["shots"][-1]["end_pts"] * time_base
    return Timeline(fps=fps, times_s=times_s, end_s=end_s, steady=False)


def copied_line(
    line: Line,
    *,
    first: int,
    size_px: tuple[int, int],
    move: Callable[[Box], Box],
    time_base: Fraction,
) -> Line:
    """Return the line of a copy, derived from that of its original.

    Args:
        first: frame of the original at which the copy starts, within the first shot.
        size_px: (width, height) of the copy.
        move: maps a box in the original to one in the copy.
        time_base: of the copy.
    """
    timeline = timeline_of(line).after(first)
    offset_s = float(timeline_of(line).time_at(first))

    def shifted(entry: Line) -> Line:
        entry = dict(entry)
        if "start_frame" in entry:
            start, end = max(0, entry["start_frame"] - first), max(0, entry["end_frame"] - first)
            entry |= span_fields(start, end, timeline, time_base)
        if "world_start_s" in entry:
            entry["world_start_s"] -= offset_s
            entry["flashes"] = remaining(entry["flashes"])
        for name in ("box_px", "picture_px"):
            if name in entry:
                entry[name] = list(move(tuple(entry[name])))
        return entry

    def remaining(entries: list[Line]) -> list[Line]:
        return [shifted(entry) for entry in entries if entry.get("end_frame", first + 1) > first]

    return {
        **line,
        "width": size_px[0],
        "height": size_px[1],
        "time_base": str(time_base),
        "num_frames": len(timeline.times_s),
        "shots": remaining(line["shots"]),
        "pts": pts_of(timeline, time_base),
        "picture_px": list(move(tuple(line["picture_px"]))),
        "transitions": remaining(line["transitions"]),
        "defects": remaining(line["defects"]),
    }


def pts_of(timeline: Timeline, time_base: Fraction) -> list[int] | None:
    """Return the pts of each frame of a variable-rate file; None for a constant rate."""
    if timeline.steady:
        return None
    return [timeline.pts_at(frame, time_base) for frame in range(len(timeline.times_s))]


def _span_in_file(start: int, end: int, timeline: Timeline, time_base: Fraction) -> Line:
    """Return the fields of a span given in frames of the edit."""
    return span_fields(timeline.frame_at(start), timeline.frame_at(end), timeline, time_base)
