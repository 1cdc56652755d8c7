"""With offload, each network is on the device only while it is used, and the results are the same."""

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from tiny_sampler import HEIGHT, WIDTH, tiny_model, video

from trainer.config import SampleConfig
from trainer.sample import verbs
from trainer.sample.cost import estimate_cost
from trainer.sample.model import TextToVideo
from trainer.sample.sampler import generate

CONFIG = SampleConfig(steps=2)
CPU = torch.device("cpu")


class Device:
    """Notes what enters and leaves a device; `cpu` stands for both, so that the numbers are computed."""

    def __init__(self, model: TextToVideo) -> None:
        self.entered: list[str] = []
        self.held: str | None = None
        for name in ("text", "dit", "vae"):
            cast(Any, getattr(model, name)).to = lambda _, name=name: self._move(name)

    def _move(self, name: str) -> None:
        if self.held == name:
            self.held = None
            return
        assert self.held is None, f"{name} enters while {self.held} is on the device"
        self.held = name
        self.entered.append(name)


@pytest.fixture
def model():
    return replace(tiny_model(), offload_from=CPU)


def test_one_network_at_a_time_is_on_the_device(model):
    device = Device(model)
    conditions = verbs.extend(model, video(9), "a", new_frames=8)
    assert device.entered == ["vae"]
    (result,) = generate(model, [conditions], CONFIG)
    assert device.entered == ["vae", "text", "dit", "vae"]
    assert device.held is None
    expected = generate(tiny_model(), [conditions], CONFIG)[0]
    assert np.array_equal(result, expected)


def test_a_network_leaves_the_device_when_sampling_fails(model, monkeypatch):
    device = Device(model)
    conditions = verbs.text_to_video(model, "a", num_frames=9, height=HEIGHT, width=WIDTH)

    def fails(*_: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("trainer.sample.sampler.sample_adams_bashforth", fails)
    with pytest.raises(RuntimeError, match="out of memory"):
        generate(model, [conditions], CONFIG)
    assert (device.entered, device.held) == (["text", "dit"], None)


def test_the_estimate_of_a_cost_moves_networks_as_sampling_does(model):
    device = Device(model)
    conditions = verbs.text_to_video(model, "a", num_frames=9, height=HEIGHT, width=WIDTH)
    assert estimate_cost(model, [conditions], CONFIG).seconds > 0
    assert device.held is None
    assert set(device.entered) == {"text", "dit", "vae"}
