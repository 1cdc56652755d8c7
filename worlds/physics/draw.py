"""Draw things and a floor at their simulated positions.

Legend: T frames, C channels (RGB).
"""

import numpy as np

from worlds.family import Rendered
from worlds.palette import BACKGROUNDS, COLORS
from worlds.physics.truth import PhysicsWorld, simulate_NT2
from worlds.rasterize import blank, paint, paint_bar


def draw(world: PhysicsWorld) -> Rendered:
    """Render in the flat style; labels 1 and 2 are the things, 3 the floor."""
    rendered = blank(world.num_frames, world.height, world.width, BACKGROUNDS[world.background])
    side, floor_C = world.short_side_px, np.array(BACKGROUNDS[world.floor], np.float32)
    for frame in range(world.num_frames):
        paint_bar(rendered, frame, 3, 1, (world.floor_y * side, world.height), floor_C)
    for label, (body, center_T2) in enumerate(zip(world.bodies, simulate_NT2(world), strict=True), 1):
        color_C = np.array(COLORS[body.color], np.float32)
        for frame, center_2 in enumerate(center_T2 * side):
            paint(rendered, frame, label, body.shape, body.size * side, center_2, color_C)
    return rendered
