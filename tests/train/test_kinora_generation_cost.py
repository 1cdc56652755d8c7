"""What takes more than a minute is told before, and small requests measure nothing."""

import kinora
from kinora import Request, SampleConfig
from kinora.generation import cost
from kinora.generation.inputs import MediaReader
from kinora.generation.prepare import prepare


def test_a_cost_is_told_from_a_minute_on(legacy_model, monkeypatch):
    model = kinora.load_model(legacy_model, device="cpu")
    with MediaReader() as reader:
        video = prepare(model, Request(prompt="x", size=(32, 32), frames=5), SampleConfig(steps=2), reader)
    estimated = []

    def estimate(model, conditions, config):
        estimated.append(len(conditions))
        return cost.Cost(70.0, 1_200_000_000)

    monkeypatch.setattr(cost, "estimate_cost", estimate)
    assert cost.describe_cost(model, [video]) == ""
    assert estimated == []
    monkeypatch.setattr(cost, "_SMALL_PIXELS", 1)
    assert cost.describe_cost(model, [video]) == "this will take about 70 s and 1.2 GB beside the weights"
    assert cost.describe_cost(model, [video] * 700).startswith("this will take about ")
    assert cost.describe_cost(model, [video], told_from_s=71) == ""


def test_the_real_estimate_is_a_time_and_a_memory(legacy_model, monkeypatch):
    model = kinora.load_model(legacy_model, device="cpu")
    with MediaReader() as reader:
        video = prepare(model, Request(prompt="x", size=(32, 32), frames=5), SampleConfig(steps=2), reader)
    monkeypatch.setattr(cost, "_SMALL_PIXELS", 1)
    assert "GB beside the weights" in cost.describe_cost(model, [video], told_from_s=0)
