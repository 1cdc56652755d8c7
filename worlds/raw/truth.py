"""One line of truth about one raw file, as plain JSON.

Every span has its first frame and the frame after its last one (`start_frame`, `end_frame`), and the same in
pts and in seconds. Spans of shots (each seen alone) and of transitions cover the file from its first frame to
its last; a hard cut is a transition that begins and ends at the first frame of the new shot.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from worlds.raw.defects import Box
from worlds.raw.editing import Edit
from worlds.raw.scene import tell_scene
from worlds.raw.timeline import Timeline, steady

Line = dict[str, Any]
"""What is written about one file."""


def span_fields(start: int, end: int, timeline: Timeline, time_base: Fraction) -> Line:
    """Return a span of frames [start, end) of a file, also in pts and in seconds."""
    return {
        "start_frame": start,
        "end_frame": end,
        "start_pts": timeline.pts_at(start, time_base),
        "end_pts": timeline.pts_at(end, time_base),
        "start_s": float(timeline.time_at(start)),
        "end_s": float(timeline.time_at(end)),
    }


def tell_shots(edit: Edit, timeline: Timeline, time_base: Fraction, seeds: Sequence[int]) -> list[Line]:
    """Return each shot with where it is seen alone, what it shows, and its flashes.

    Args:
        seeds: one for the captions of each shot.
    """
    shots = []
    flash_spans, spans = edit.flash_spans(), edit.spans()
    for shot, scene in enumerate(edit.scenes):
        short, dense = tell_scene(scene, seeds[shot])
        (start, end), lit = spans[shot], flash_spans[shot]
        begin = start - edit.overlaps(shot)[0] + scene.held[0]
        shots.append(
            {
                **_span_in_file(start, end, timeline, time_base),
                "slate": scene.is_slate,
                "short": short,
                "dense": dense,
                "world": scene.world.to_json(),
                "world_start_s": float(begin / timeline.fps),
                "flashes": [_span_in_file(*lit, timeline, time_base)] if lit else [],
            }
        )
    return shots


def tell_transitions(edit: Edit, timeline: Timeline, time_base: Fraction) -> list[Line]:
    """Return how each shot gives way to the next, and when."""
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
    """Return when the frames of a file are shown, from its line of truth."""
    fps, time_base = Fraction(line["fps"]), Fraction(line["time_base"])
    if line["pts"] is None:
        return steady(line["num_frames"], fps)
    times_s = tuple(pts * time_base for pts in line["pts"])
    end_s = line["shots"][-1]["end_pts"] * time_base
    return Timeline(fps=fps, times_s=times_s, end_s=end_s, steady=False)


def line_of_copy(
    line: Line,
    *,
    first: int,
    size_px: tuple[int, int],
    move: Callable[[Box], Box],
    time_base: Fraction,
) -> Line:
    """Return the line of a copy, made from that of its original.

    Args:
        first: the frame of the original with which the copy begins; it lies in the first shot.
        size_px: (width, height) of the copy.
        move: says where a box of the original's frame stands in the copy's.
        time_base: of the copy.
    """
    timeline = timeline_of(line).after(first)
    begun_s = float(timeline_of(line).time_at(first))

    def moved(entry: Line) -> Line:
        entry = dict(entry)
        if "start_frame" in entry:
            start, end = max(0, entry["start_frame"] - first), max(0, entry["end_frame"] - first)
            entry |= span_fields(start, end, timeline, time_base)
        if "world_start_s" in entry:
            entry["world_start_s"] -= begun_s
            entry["flashes"] = still_there(entry["flashes"])
        for name in ("box_px", "picture_px"):
            if name in entry:
                entry[name] = list(move(tuple(entry[name])))
        return entry

    def still_there(entries: list[Line]) -> list[Line]:
        return [moved(entry) for entry in entries if entry.get("end_frame", first + 1) > first]

    return {
        **line,
        "width": size_px[0],
        "height": size_px[1],
        "time_base": str(time_base),
        "num_frames": len(timeline.times_s),
        "shots": still_there(line["shots"]),
        "pts": pts_of(timeline, time_base),
        "picture_px": list(move(tuple(line["picture_px"]))),
        "transitions": still_there(line["transitions"]),
        "defects": still_there(line["defects"]),
    }


def pts_of(timeline: Timeline, time_base: Fraction) -> list[int] | None:
    """Return the pts of each frame of a file with a variable frame rate; None for a steady one."""
    if timeline.steady:
        return None
    return [timeline.pts_at(frame, time_base) for frame in range(len(timeline.times_s))]


def _span_in_file(start: int, end: int, timeline: Timeline, time_base: Fraction) -> Line:
    """Return the fields of a span that is given in frames of the edit."""
    return span_fields(timeline.frame_at(start), timeline.frame_at(end), timeline, time_base)
