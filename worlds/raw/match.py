"""Match clips of raw videos with the truth file."""

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
"""Maximum fraction of a clip outside of its shot, since shot detectors miss cuts by a few frames."""
EQUAL_S = 1e-6
"""Times closer than this are equal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrueShot:
    """The span of a raw file that shows one shot alone; all of a still."""

    start_s: float
    end_s: float
    world_start_s: float
    """Start of its world: before `start_s` after a transition, or if the first frames are missing."""
    short: str
    dense: str | None
    """None for an empty slate."""
    world: AnyWorld


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipTruth:
    """The content of a clip."""

    world: AnyWorld
    """For `shapes`, the world from the start of the clip on; for other families, that of the whole shot with
    the number of frames of the clip."""
    unobservable: str
    """Why the clip does not show everything that captions state; empty if captions can be judged."""

    def judge_caption(self, text: str) -> CaptionScore:
        """Score the claims of a caption. Valid only if `unobservable` is empty."""
        claimed = families.parse_claims(self.world.family, text)
        return score_claims(claimed, families.claims(self.world))


def load_truth(path: str | Path) -> dict[str, tuple[TrueShot, ...]]:
    """Read `truth.jsonl`: the shots of each raw file, by file name."""
    truth = {}
    for number, line in enumerate(Path(path).read_bytes().splitlines(), start=1):
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
            reason = f"{type(error).__name__}: {error}"
            raise ValueError(
                f"{path}, line {number}: not a line of truth ({reason}); render it again"
            ) from error
    return truth


def covering_shot(shots: Sequence[TrueShot], start_s: float, end_s: float) -> TrueShot | None:
    """Return the shot that [start_s, end_s) shows; None if it shows several or none.

    A still always matches its only shot. A clip may extend by `SLACK` into a transition or past a hard cut,
    but not through a gradual transition into the next shot.
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
    """Return whether [start_s, end_s) reaches from `shot` into `other` across a gap."""
    apart = other.start_s > shot.end_s + EQUAL_S or other.end_s < shot.start_s - EQUAL_S
    return apart and start_s < other.end_s - EQUAL_S and end_s > other.start_s + EQUAL_S


def clip_truth(
    truth: Mapping[str, Sequence[TrueShot]], source: str, start_s: float, end_s: float
) -> ClipTruth | None:
    """Return the content of a clip; None if it shows several shots or none.

    Args:
        truth: from `load_truth`.
        source: path or name of the raw file.
        start_s, end_s: span of the clip in the file.

    Raises:
        KeyError: if the file is not in the truth.
    """
    name = Path(source).name
    if name not in truth:
        raise KeyError(f"{name} is not in the truth file: was it rendered in another run?")
    shot = covering_shot(truth[name], start_s, end_s)
    if shot is None:
        return None
    world, offset_s = shot.world, start_s - shot.world_start_s
    num_frames = max(1, round((end_s - start_s) * world.fps))
    if world.num_frames == 1:
        return ClipTruth(world=world, unobservable="")
    if isinstance(world, World):
        return ClipTruth(world=from_time(world, offset_s, num_frames), unobservable="")
    first = round(offset_s * world.fps)
    return ClipTruth(
        world=replace(cast(Any, world), num_frames=num_frames),
        unobservable=families.unobservable(world, first, first + num_frames),
    )
