"""What each part of a frame shows: the classes that the captioner's vision tower is trained to tell.

Shapes: T frames, H x W pixels, R x S cells, A attributes.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np

from captioner.train.data import IGNORED
from worlds.canvas.truth import FOODS, FORMS, TURNS, CanvasWorld
from worlds.canvas.truth import SIDES as BITTEN_SIDES
from worlds.family import AnyWorld, Rendered
from worlds.grid.rules import FACING_NAMES, WALL
from worlds.grid.truth import GOALS, GridWorld, tasks
from worlds.occlusion.captions import LENGTHS, hidden_long
from worlds.occlusion.truth import OcclusionWorld
from worlds.palette import BACKGROUNDS, COLORS, MOTIONS, SHAPES, SPEEDS, STILL
from worlds.physics.truth import EVENTS, PhysicsWorld
from worlds.rooms.truth import CAMERA_MOTIONS, KINDS, RoomWorld
from worlds.shapes.truth import World

MIN_SHARE, MIN_PART = 0.15, 0.35
"""A cell shows a thing that covers at least the first fraction of it, or of which it has the second one."""

THING_KINDS = (
    *SHAPES,
    *(f"rooms {kind}" for kind in KINDS),
    *(f"canvas {kind}" for kind in (*FORMS, *FOODS)),
    *(f"grid {kind}" for kind in ("key", "ball", "box", "door", WALL)),
    *(f"arrow {facing}" for facing in FACING_NAMES),
)
THING_MOTIONS = (*MOTIONS, *TURNS, "pick up", "toggle")
PACES = (*SPEEDS, *LENGTHS)
"""How fast a thing moves, or how long it is hidden."""
SIDE_SETS = [" ".join(sides) for count in (1, 2) for sides in combinations(sorted(BITTEN_SIDES), count)]
HAPPENINGS = (
    *(f"{count} shapes" for count in (1, 2, 3)),
    *(f"hidden {variant}" for variant in ("thing", "camera_wall", "camera_out")),
    *EVENTS,
    *(f"camera {motion}" for motion in CAMERA_MOTIONS),
    *(f"{count} strokes" for count in (1, 2)),
    *(f"bitten {sides}" for sides in SIDE_SETS),
    *GOALS,
)
"""What happens in the clip as a whole; asked of every cell."""
GROUND, COLOR, KIND, MOTION, PACE, HAPPENING = range(6)
NUM_CELL_CLASSES = (
    len(BACKGROUNDS),
    len(COLORS) + 1,
    len(THING_KINDS),
    len(THING_MOTIONS),
    len(PACES),
    len(HAPPENINGS),
)
"""Classes of a cell: ground; colour of the thing there, or none; its kind, motion and pace; the happening."""


class Seen(NamedTuple):
    """The thing of one label, or a part of the ground; empty for what is not asked about."""

    color: str = ""
    kind: str = ""
    motion: str = ""
    pace: str = ""
    ground: str = ""
    """Colour of a floor or a wall that is part of the ground."""


def classify_cells(
    labels_HW: np.ndarray, seen: Mapping[int, Seen], happening: str, rows: int, columns: int
) -> np.ndarray:
    """Return classes_RSA, the attribute classes of each cell of a labelled frame or of a part of it.

    A cell has the classes of the thing that fills most of it, or of which it has most; the latter tells small
    things from the walls around them. Its ground is that of most of the rest.

    Args:
        seen: what each label is; 0 is the ground.
        happening: one of `HAPPENINGS`, or empty for a part of the frame, which need not show it.
    """
    height, width = labels_HW.shape
    row_H = np.arange(height) * rows // height
    column_W = np.arange(width) * columns // width
    cell_HW = row_H[:, None] * columns + column_W
    count_CL = np.zeros((rows * columns, 256), int)
    np.add.at(count_CL, (cell_HW.ravel(), labels_HW.ravel()), 1)
    things = [label for label, what in seen.items() if not what.ground]
    grounds = [label for label, what in seen.items() if what.ground]
    classes_CA = np.full((rows * columns, len(NUM_CELL_CLASSES)), IGNORED)
    if happening:
        classes_CA[:, HAPPENING] = HAPPENINGS.index(happening)
    classes_CA[:, COLOR] = 0
    share_CL = count_CL / np.maximum(count_CL.sum(axis=1, keepdims=True), 1)
    part_CL = count_CL / np.maximum(count_CL.sum(axis=0), 1)
    shown_CL = np.maximum(share_CL, part_CL) * ((share_CL >= MIN_SHARE) | (part_CL >= MIN_PART))
    for cell, (count_L, shown_L) in enumerate(zip(count_CL, shown_CL, strict=True)):
        ground = max(grounds, key=lambda label: count_L[label])
        if count_L[ground]:
            classes_CA[cell, GROUND] = list(BACKGROUNDS).index(seen[ground].ground)
        thing = max(things, key=lambda label: shown_L[label], default=0)
        if thing and shown_L[thing]:
            classes_CA[cell, COLOR : PACE + 1] = _classes(seen[thing])
    return classes_CA.reshape(rows, columns, -1)


def _classes(seen: Seen) -> tuple[int, int, int, int]:
    return (
        list(COLORS).index(seen.color) + 1 if seen.color else 0,
        THING_KINDS.index(seen.kind),
        THING_MOTIONS.index(seen.motion) if seen.motion else IGNORED,
        PACES.index(seen.pace) if seen.pace else IGNORED,
    )


def labelled_frame(world: AnyWorld, rendered: Rendered) -> np.ndarray:
    """Return labels_HW of the frame that cells are asked about: the first one, or the last of a painting."""
    paints = isinstance(world, CanvasWorld) and world.food is None
    return rendered.labels_THW[-1 if paints else 0]


def describe(world: AnyWorld) -> tuple[dict[int, Seen], str]:
    """Return what each label of a world is, and what happens in it as one of `HAPPENINGS`."""
    if isinstance(world, World):
        return _shapes(world)
    if isinstance(world, OcclusionWorld):
        return _occlusion(world)
    if isinstance(world, PhysicsWorld):
        return _physics(world)
    if isinstance(world, RoomWorld):
        return _rooms(world)
    if isinstance(world, CanvasWorld):
        return _canvas(world)
    assert isinstance(world, GridWorld)
    return _grid(world)


def _shapes(world: World) -> tuple[dict[int, Seen], str]:
    seen = {0: Seen(ground=world.background)}
    for label, thing in enumerate(world.things, 1):
        seen[label] = Seen(thing.color, thing.shape, thing.direction, thing.speed or "")
    return seen, f"{len(world.things)} shapes"


def _occlusion(world: OcclusionWorld) -> tuple[dict[int, Seen], str]:
    seen = {
        0: Seen(ground=world.background),
        1: Seen(world.color, world.shape, world.direction, hidden_long(world)),
        2: Seen(ground=world.wall),
    }
    return seen, f"hidden {world.variant}"


def _physics(world: PhysicsWorld) -> tuple[dict[int, Seen], str]:
    seen = {0: Seen(ground=world.background), 3: Seen(ground=world.floor)}
    for label, (body, motion) in enumerate(zip(world.bodies, (world.direction, STILL), strict=False), 1):
        seen[label] = Seen(body.color, body.shape, motion)
    return seen, world.event


def _rooms(world: RoomWorld) -> tuple[dict[int, Seen], str]:
    seen = {0: Seen(ground=world.floor)}
    for label, solid in enumerate(world.solids, 1):
        seen[label] = Seen(solid.color, f"rooms {solid.kind}")
    return seen, f"camera {world.camera}"


def _canvas(world: CanvasWorld) -> tuple[dict[int, Seen], str]:
    seen = {0: Seen(ground=world.background)}
    if world.food is not None:
        seen[1] = Seen(world.food.color, f"canvas {world.food.kind}")
        return seen, "bitten " + " ".join(sorted(bite.side for bite in world.food.bites))
    for label, stroke in enumerate(world.strokes, 1):
        motion = stroke.direction if world.moves else ""
        seen[label] = Seen(stroke.color, f"canvas {stroke.form}", motion)
    return seen, f"{len(world.strokes)} strokes"


def _grid(world: GridWorld) -> tuple[dict[int, Seen], str]:
    contents = dict.fromkeys(cell for line in world.start.cells for cell in line if cell not in ("", WALL))
    done = {thing: action for action, thing in tasks(world.goal, world.target)} if world.moves else {}
    seen = {0: Seen(ground=world.floor), 1: Seen(kind=f"grid {WALL}")}
    for label, thing in enumerate(contents, 2):
        color, kind = thing.split()
        seen[label] = Seen(color, f"grid {kind}", done.get(thing, STILL))
    seen[2 + len(contents)] = Seen(kind=f"arrow {FACING_NAMES[world.start.facing]}")
    return seen, world.goal
