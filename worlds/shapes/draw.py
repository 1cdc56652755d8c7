"""Draw moving flat things at their true positions.

Legend: T frames, H height, W width, C channels (RGB).
"""

import numpy as np

from worlds.family import Rendered
from worlds.palette import BACKGROUNDS, COLORS
from worlds.rasterize import blank, paint
from worlds.shapes.truth import World, centers_px_NT2
from worlds.styles import apply_style


def render(world: World) -> np.ndarray:
    """Render `world` in its style as frames_THWC (RGB, uint8)."""
    return apply_style(draw(world), world.style, world.seed)


def draw(world: World) -> Rendered:
    """Render in the flat style, with anti-aliased edges and sub-pixel motion."""
    rendered = blank(world.num_frames, world.height, world.width, BACKGROUNDS[world.background])
    for label, (thing, center_T2) in enumerate(zip(world.things, centers_px_NT2(world), strict=True), 1):
        size_px, color_C = thing.size * world.short_side_px, np.array(COLORS[thing.color], np.float32)
        for frame, center_2 in enumerate(center_T2):
            paint(rendered, frame, label, thing.shape, size_px, center_2, color_C, wraps=True)
    return rendered
