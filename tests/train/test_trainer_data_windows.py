"""The start within a window."""

from collections import Counter

import pytest

from trainer.data.windows import draw_encoded_start, draw_start, encoded_starts


def test_a_window_of_the_bucket_s_length_starts_at_0():
    assert {draw_start(0, step, "clip", 17, 17) for step in range(50)} == {0}
    assert draw_start(0, 0, "image", 1, 1) == 0


def test_a_set_that_claims_fewer_frames_than_its_bucket_starts_at_0():
    assert draw_start(0, 3, "clip", 16, 17) == 0


def test_starts_are_uniform_over_all_that_fit():
    counts = Counter(draw_start(0, step, "clip", 34, 17) for step in range(3600))
    assert sorted(counts) == list(range(18))
    assert min(counts.values()) > 140
    assert max(counts.values()) < 260


def test_a_start_depends_on_seed_step_and_key_alone():
    draws = [draw_start(1, step, key, 100, 17) for step in range(8) for key in ("a", "b")]
    assert draws == [draw_start(1, step, key, 100, 17) for step in range(8) for key in ("a", "b")]
    assert draws != [draw_start(2, step, key, 100, 17) for step in range(8) for key in ("a", "b")]
    assert draws[::2] != draws[1::2]


@pytest.mark.parametrize(
    ("window_frames", "max_starts", "starts"),
    [
        (17, 4, (0,)),
        (18, 4, (0, 1)),
        (34, 1, (0,)),
        (34, 2, (0, 17)),
        (34, 3, (0, 8, 17)),
        (20, 99, (0, 1, 2, 3)),
        (9, 4, (0,)),
    ],
)
def test_encoded_starts_are_spread_from_the_first_to_the_last(window_frames, max_starts, starts):
    assert encoded_starts(window_frames, 17, max_starts) == starts


def test_encoded_starts_are_distinct_and_rise():
    for window_frames in range(17, 120):
        starts = encoded_starts(window_frames, 17, 8)
        assert list(starts) == sorted(set(starts))
        assert starts[0] == 0
        assert starts[-1] == window_frames - 17
        assert {draw_encoded_start(0, step, "clip", starts) for step in range(200)} == set(starts)


def test_no_start_at_all_is_refused():
    with pytest.raises(ValueError, match="max_starts is 0"):
        encoded_starts(34, 17, 0)
