"""Shapes: what was asked for, else the nearest that the model was trained on."""

import pytest

from kinora.generation.request import Request
from kinora.generation.shapes import (
    Size,
    describe_untrained,
    draft_size,
    nearest_size,
    num_frames,
    parse_size,
    trained_sizes,
)

BUCKETS = ("17x64x64", "17x48x80", "9x80x48", "1x32x32")
TRAINED = trained_sizes(BUCKETS)


def test_the_nearest_trained_size_has_the_aspect_of_the_input_and_is_the_largest():
    assert nearest_size(Size(1920, 1080), TRAINED) == Size(80, 48)
    assert nearest_size(Size(1080, 1920), TRAINED) == Size(48, 80)
    assert nearest_size(Size(10, 10), TRAINED) == Size(64, 64)
    with pytest.raises(ValueError, match="add --size"):
        nearest_size(Size(1, 1), [])


def test_a_draft_is_half_as_large_where_the_model_knows_such_sizes():
    assert draft_size(Size(64, 64), 16, TRAINED) == Size(32, 32)
    assert draft_size(Size(128, 96), 16, TRAINED) == Size(64, 48)
    assert draft_size(Size(128, 80), 16, TRAINED) is None  # 40 is no multiple of 16
    assert draft_size(Size(32, 32), 16, TRAINED) is None  # smaller than all


@pytest.mark.parametrize("text", ["big", "64", "64x", "8x64", "64x5000", "-64x64", "0x0"])
def test_sizes_that_cannot_be_are_refused(text):
    with pytest.raises(ValueError, match=f"--size {text}"):
        parse_size(text)


def test_sizes_are_width_by_height():
    assert parse_size("80X48") == (80, 48)


@pytest.mark.parametrize(
    ("options", "verb", "frames"),
    [
        ({}, "text", 17),
        ({"seconds": 0.01}, "text", 1),
        ({"seconds": 0.5}, "text", 5),
        ({"seconds": 2.2}, "animate", 17),
        ({"seconds": 2.0, "extend": "forward"}, "extend", 16),
        ({"seconds": 2.0, "extend": "backward"}, "extend", 17),
        ({"seconds": 0.1}, "connect", 4),
        ({"seconds": 1.0}, "loop", 8),
        ({"seconds": 9.0, "frames": 6}, "text", 6),
    ],
)
def test_seconds_become_the_nearest_length_that_can_be_made(options, verb, frames):
    assert num_frames(Request(prompt="a", **options), verb, 8, 4) == frames


def test_a_shape_that_was_never_trained_is_said():
    buckets = ("17x32x32", "1x32x32", "9x32x48")
    assert describe_untrained(17, 32, 32, buckets) == ""
    assert describe_untrained(None, 32, 32, buckets) == ""
    assert describe_untrained(17, 32, 48, buckets).endswith("never trained on 17 frames of 48x32")
    both = describe_untrained(81, 512, 512, buckets)
    assert both.endswith("512x512 (it knows 32x32, 48x32) and 81 frames (it knows 1, 9, 17)")
    assert "frames" not in describe_untrained(None, 512, 512, buckets)
