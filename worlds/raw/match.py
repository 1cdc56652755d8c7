"""Find the truth about a clip that was cut out of a raw video."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worlds.shapes.truth import World, from_time

SLACK = 0.1
"""Share of a clip that may lie outside of the shot it is matched with: a shot detector misses a cut by some
frames."""
EQUAL_S = 1e-6
"""Times that are closer than this are the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrueShot:
    """One shot of a raw file, where it is seen alone; the whole of a still."""

    start_s: float
    end_s: float
    world_start_s: float
    """When its world begins: before `start_s` where a transition leads into the shot, or where the file is a
    copy without its first frames."""
    short: str
    dense: str | None
    """None for a slate, which holds nothing."""
    world: World


def load_truth(path: str | Path) -> dict[str, tuple[TrueShot, ...]]:
    """Read `truth.jsonl`: the shots of each raw file, by file name."""
    truth = {}
    for number, line in enumerate(Path(path).read_text().splitlines(), start=1):
        try:
            fields = json.loads(line)
            truth[fields["file"]] = tuple(
                TrueShot(
                    start_s=shot["start_s"],
                    end_s=shot["end_s"],
                    world_start_s=shot.get("world_start_s", shot["start_s"]),
                    short=shot["short"],
                    dense=shot["dense"],
                    world=World.from_json(shot["world"]),
                )
                for shot in fields["shots"]
            )
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(
                f"{path}, line {number}: not a line of truth ({error!r}); render it again"
            ) from error
    return truth


def covering_shot(shots: Sequence[TrueShot], start_s: float, end_s: float) -> TrueShot | None:
    """Return the shot that [start_s, end_s) shows, or None if it shows more than one (or lies outside).

    For a still, whatever its span, that is its only shot. A clip may reach a little into a transition, or
    over a hard cut, but never through a transition that takes time into the next shot.
    """
    if len(shots) == 1 and shots[0].world.num_frames == 1:
        return shots[0]
    slack_s = SLACK * (end_s - start_s)
    for shot in shots:
        outside_s = max(0.0, shot.start_s - start_s) + max(0.0, end_s - shot.end_s)
        if outside_s <= slack_s:
            return None if any(_spans_transition(shot, other, start_s, end_s) for other in shots) else shot
    return None


def _spans_transition(shot: TrueShot, other: TrueShot, start_s: float, end_s: float) -> bool:
    """Return whether [start_s, end_s), which shows `shot`, also shows `other`, with time between the two."""
    apart = other.start_s > shot.end_s + EQUAL_S or other.end_s < shot.start_s - EQUAL_S
    return apart and start_s < other.end_s - EQUAL_S and end_s > other.start_s + EQUAL_S


def world_of_clip(
    truth: Mapping[str, Sequence[TrueShot]], source: str, start_s: float, end_s: float
) -> World | None:
    """Return what is in a clip, as a world that begins with the clip; None if it shows more than one shot.

    Args:
        truth: from `load_truth`.
        source: path or name of the raw file.
        start_s, end_s: span of the clip in it.

    Raises:
        KeyError: if the truth does not know the file.
    """
    name = Path(source).name
    if name not in truth:
        raise KeyError(f"{name} is not in the truth file: was it rendered in another run?")
    shot = covering_shot(truth[name], start_s, end_s)
    if shot is None:
        return None
    num_frames = max(1, round((end_s - start_s) * shot.world.fps))
    if shot.world.num_frames == 1:
        return shot.world
    return from_time(shot.world, start_s - shot.world_start_s, num_frames)
