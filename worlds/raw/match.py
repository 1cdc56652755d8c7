"""Find the truth about a clip that was cut out of a raw video."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from worlds import families
from worlds.claims import CaptionScore, score_claims
from worlds.family import AnyWorld
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
    world: AnyWorld


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipTruth:
    """What is in a clip that was cut out of a shot."""

    world: AnyWorld
    """Of `shapes`, as it goes on from where the clip begins; of another family, that of the whole shot, with
    as many frames as the clip has."""
    untold: str
    """Why the clip does not show what captions tell of the world, so that they cannot be judged; empty where
    it does."""

    def judge_caption(self, text: str) -> CaptionScore:
        """Score the claims of a caption. Only for a clip that tells all."""
        said = families.parse_claims(self.world.family, text)
        return score_claims(said, families.claims(self.world))


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
                    world=families.from_json(shot["world"]),
                )
                for shot in fields["shots"]
            )
        except (KeyError, TypeError, ValueError) as error:
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


def clip_truth(
    truth: Mapping[str, Sequence[TrueShot]], source: str, start_s: float, end_s: float
) -> ClipTruth | None:
    """Return what is in a clip; None if it shows more than one shot, or none.

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
    world, begun_s = shot.world, start_s - shot.world_start_s
    num_frames = max(1, round((end_s - start_s) * world.fps))
    if world.num_frames == 1:
        return ClipTruth(world=world, untold="")
    if isinstance(world, World):
        return ClipTruth(world=from_time(world, begun_s, num_frames), untold="")
    first = round(begun_s * world.fps)
    return ClipTruth(
        world=replace(cast(Any, world), num_frames=num_frames),
        untold=families.untold(world, first, first + num_frames),
    )
