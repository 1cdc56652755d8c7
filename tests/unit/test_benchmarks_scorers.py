"""`benchmarks.scorers` counts precision, recall and false alarms."""

import pytest

from benchmarks.scorers import Scored, accuracy, false_alarms, subtitled


def scored(subtitle: bool, mark: bool, area: float, mark_score: bool | None, nsfw: float = 0.1) -> Scored:
    columns = {"text_area": area, "corner_mark": mark_score, "corner_logo": None, "nsfw": nsfw}
    return Scored(
        subtitled=subtitle, marked=mark, columns=columns | {"text_language": "en" if area else None}
    )


def test_undecidable_clips_count_as_not_detected():
    figures = accuracy(
        [
            scored(True, False, 0.1, False),
            scored(False, True, 0.0, None),
            scored(False, True, 0.1, True),
            scored(False, False, 0.1, True),
        ]
    )
    assert figures["text_precision"] == figures["text_recall"] == pytest.approx(2 / 3)
    assert (figures["corner_mark_precision"], figures["corner_mark_recall"]) == (0.5, 0.5)
    assert (figures["corner_mark_told"], figures["corner_logo_told"]) == (0.75, 0)
    assert 0 < figures["text_recall_low"] < figures["text_recall"]


def test_false_alarms_are_counted_at_both_thresholds():
    figures = false_alarms("worlds", [scored(False, False, 0, None, nsfw) for nsfw in (0.1, 0.2, 0.83, 0.99)])
    assert (figures["nsfw_worlds_kept"], figures["nsfw_worlds_kept_n"]) == (0.75, 4)
    assert figures["nsfw_worlds_dropped"] == figures["nsfw_worlds_reviewed"] == 0.25


def test_a_clip_is_subtitled_when_a_line_is_on_for_half_of_it():
    line = {"fps": "10", "time_base": "1/10", "num_frames": 60, "pts": None}
    line["defects"] = [{"kind": "subtitle", "start_frame": 0, "end_frame": 30}]
    assert subtitled(line, {"start_pts": 0, "end_pts": 60})
    assert not subtitled(line, {"start_pts": 10, "end_pts": 60})
    assert not subtitled(None, {"start_pts": 0, "end_pts": 60})


@pytest.mark.slow
def test_a_quick_run_times_clips_and_scorers():
    from benchmarks.scorers import bench

    figures = bench(quick=True, seed=0).figures
    assert figures["clips_timed"] >= 4
    assert figures["text_over_decode"] > 0
