"""Coverage masks have the area of the outline that they fill."""

import numpy as np
import pytest

from worlds.palette import SHAPES
from worlds.rasterize import coverage, outline_P2


@pytest.mark.parametrize("shape", SHAPES)
def test_coverage_is_the_area_of_the_outline(shape):
    x, y = outline_P2(shape).T * 10
    area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    assert coverage(shape, 20, (15.3, 14.7), (30, 30)).sum() == pytest.approx(area, rel=0.08)
