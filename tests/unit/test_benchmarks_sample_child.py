"""What one measurement of `benchmarks.sample` returns, on a small model."""

import pytest
from untrained_model import untrained

from benchmarks.sample_child import decode_video, peak_mb, sample_video
from trainer.config import SampleConfig


@pytest.fixture(scope="module")
def model():
    return untrained()


def test_the_transformer_is_a_part_of_the_time_of_a_video(model):
    cost = sample_video(model, 32, 32, 9, SampleConfig(steps=4))
    assert 0 < cost["transformer_cpu_s"] < cost["cpu_s"]
    assert peak_mb() > 10


def test_a_video_is_decoded_to_its_length(model):
    cost = decode_video(model, 64, 32, 17)
    assert cost["frames"] == 17
    assert cost["cpu_s"] > 0
