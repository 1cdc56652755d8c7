"""The share of failures, which decides the exit code."""

import pytest

from pipeline.jobs.report import CurateReport


@pytest.mark.parametrize(
    ("counts", "share"),
    [
        ({}, 0),
        ({"analyzed": 3, "failed": {"NOT_MEDIA": 1}, "to_cut": 4, "cut_failed": {"CHANGED": 1}}, 2 / 8),
        ({"analyzed": 9, "clips": 10, "unscored": 4}, 4 / 10),  # scored while they were analyzed
        ({"rescored": 3, "scored": 2, "unscored": 1}, 1 / 3),  # of earlier runs
        ({"analyzed": 1, "clips": 2, "rescored": 6, "scored": 2, "unscored": 5}, 5 / 8),
    ],
)
def test_files_and_cuts_that_fail_count_and_clips_that_a_scorer_fails_on(counts, share):
    assert CurateReport(listed=9, already_done=0, **counts).failed_share == pytest.approx(share)
