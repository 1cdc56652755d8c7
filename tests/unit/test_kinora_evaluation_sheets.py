"""Contact sheets hold a line a video, whatever its shape."""

import numpy as np
import pytest

from kinora.evaluation.figures import average, share
from kinora.evaluation.plots import bars
from kinora.evaluation.sheets import CELL_PX, Strip, contact_sheet, png_bytes


def strip(frames, height, width, level=200):
    frames_THWC = np.full((frames, height, width, 3), level, np.uint8)
    return Strip("a prompt", [("color", True), ("shape", False)], frames_THWC)


def test_a_sheet_of_videos_and_an_image():
    sheet_HWC = contact_sheet([strip(17, 64, 64), strip(1, 144, 256), strip(3, 80, 48)])
    assert sheet_HWC.dtype == np.uint8
    assert sheet_HWC.shape[1] > 10 * CELL_PX
    filled = (sheet_HWC == 200).all(axis=-1)
    assert filled.sum() == 10 * CELL_PX**2 + CELL_PX * 54 + 3 * CELL_PX * 58
    assert png_bytes(sheet_HWC).startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="no videos"):
        contact_sheet([])


def test_a_plot_names_each_figure_and_stays_inside():
    figures = [
        share("colour", [True, False], goal=0.9, chance=[False], ceiling=[True]),
        average("psnr_db", [31.0], goal=30, digits=1),
    ]
    plot = bars(figures, "text")
    assert "colour" in plot
    assert "31.0" in plot
    assert plot.count('class="goal"') == 2
    assert "nan" not in plot
