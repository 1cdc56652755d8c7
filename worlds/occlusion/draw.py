"""Draw a thing and the wall that hides it.

Legend: T frames, C channels (RGB).
"""

import numpy as np

from worlds.family import Rendered
from worlds.occlusion.truth import OcclusionWorld, centers_T2, walls_T2
from worlds.palette import BACKGROUNDS, COLORS
from worlds.rasterize import blank, paint, paint_bar


def draw(world: OcclusionWorld) -> Rendered:
    """Render in the flat style; label 1 is the thing, 2 the wall."""
    rendered = blank(world.num_frames, world.height, world.width, BACKGROUNDS[world.background])
    side, color_C = world.short_side_px, np.array(COLORS[world.color], np.float32)
    wall_C = np.array(BACKGROUNDS[world.wall], np.float32)
    places = zip(centers_T2(world) * side, walls_T2(world) * side, strict=True)
    for frame, (center_2, (first, last)) in enumerate(places):
        paint(rendered, frame, 1, world.shape, world.size * side, center_2, color_C)
        paint_bar(rendered, frame, 2, world.axis, (first, last), wall_C)
    return rendered
