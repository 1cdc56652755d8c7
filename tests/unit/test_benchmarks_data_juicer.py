"""What the log of Data-Juicer tells."""

import pytest

from benchmarks.data_juicer import operators

LINES = "".join(
    f"x | INFO | dj:310 - [{n}/4] OP [{name}] Done in {n}.5s. Left 2 samples.\n"
    for n, name in enumerate(
        (
            "video_split_by_scene_mapper",
            "video_duration_filter",
            "video_aspect_ratio_filter",
            "video_motion_score_filter",
        ),
        1,
    )
)


def test_seconds_are_told_by_operator() -> None:
    assert operators(LINES, 2)["video_split_by_scene_mapper"] == 1.5
    assert sum(operators(LINES, 2).values()) == 12


def test_a_peer_that_lost_files_gives_no_time() -> None:
    with pytest.raises(RuntimeError, match="did not do video_motion_score_filter on 2 files"):
        operators(LINES.replace("4.5s. Left 2", "4.5s. Left 0"), 2)
