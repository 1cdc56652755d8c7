"""How many windows a clip has, and the name of each."""

import numpy as np
import pytest

from pipeline.cut.windows import count_windows, media_id_of


@pytest.mark.parametrize(
    ("duration_s", "num_frames", "window_s", "windows"),
    [
        (4.25, 100, 4.25, 1),
        (4.26, 100, 4.25, 2),
        (20.0, 500, 4.25, 5),
        (8.5, 200, 4.25, 2),
        (0.3 * 3, 30, 0.3, 3),  # 0.8999999999999999
        (20.0, 500, 0.0, 1),
        (20.0, 3, 4.25, 3),  # at most one a frame
        (0.0, 1, 4.25, 1),
        (1e6, 25_000_000, 4.25, 235_295),
    ],
)
def test_equal_windows_of_more_than_half_the_limit(duration_s, num_frames, window_s, windows):
    [found] = count_windows(np.array([duration_s]), np.array([num_frames]), window_s)
    assert found == windows
    if 1 < found < num_frames:
        assert window_s / 2 < duration_s / found <= window_s + 1e-9


def test_a_medium_is_named_by_what_it_shows():
    ids = {
        media_id_of("c", None, (0, 100)),
        media_id_of("c", None, (0, 50)),
        media_id_of("c", None, (50, 100)),
        media_id_of("c", (0, 0, 64, 48), (0, 100)),
        media_id_of("c", (0, 2, 64, 48), (0, 100)),
        media_id_of("d", None, (0, 100)),
    }
    assert len(ids) == 6
