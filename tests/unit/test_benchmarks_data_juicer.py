"""Parsing the log of Data-Juicer."""

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


def test_seconds_are_parsed_by_operator() -> None:
    assert operators(LINES, 2)["video_split_by_scene_mapper"] == 1.5
    assert sum(operators(LINES, 2).values()) == 12


def test_an_operator_that_skipped_files_raises() -> None:
    with pytest.raises(RuntimeError, match="did not do video_motion_score_filter on 2 files"):
        operators(LINES.replace("4.5s. Left 2", "4.5s. Left 0"), 2)
