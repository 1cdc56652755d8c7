"""The estimate counts the memory and the steps that sampling and decoding then need."""

from dataclasses import replace

import pytest
import torch
from tiny_sampler import tiny_model, video

from trainer.config import SampleConfig
from trainer.sample import cost, verbs
from trainer.sample.conditions import Conditions, with_seeds
from trainer.sample.cost import LiveBytes, count_memory, estimate_cost
from trainer.sample.decode import decode
from trainer.sample.sampler import sample

CONFIG = SampleConfig(steps=4)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def used_bytes(model, conditions: list[Conditions], config: SampleConfig) -> int:
    """Return the peak of tensors that sampling and streamed decoding really hold."""
    with LiveBytes() as live:
        latents = sample(model, conditions, config)
        for each, latent_CTHW in zip(conditions, latents, strict=True):
            for _ in decode(model, latent_CTHW, loop=each.loop):
                pass
    return live.peak


@pytest.mark.parametrize("videos", [1, 6])
@pytest.mark.parametrize("side", [32, 96])
def test_memory_is_within_a_quarter_of_what_is_used(model, videos, side):
    text = verbs.text_to_video(model, "a", num_frames=25, height=side, width=side)
    conditions = with_seeds(text, videos)
    estimated, used = (
        estimate_cost(model, conditions, CONFIG).memory_bytes,
        used_bytes(model, conditions, CONFIG),
    )
    assert 0.75 * used <= estimated <= 1.25 * used


def test_memory_does_not_grow_with_the_length(model):
    short, long = (
        verbs.text_to_video(model, "a", num_frames=frames, height=64, width=64) for frames in (801, 1441)
    )
    config = replace(CONFIG, steps=1)
    before, after = (estimate_cost(model, [each], config).memory_bytes for each in (short, long))
    assert after - before == 2 * (
        long.latent_CTHW.nbytes - short.latent_CTHW.nbytes
    )  # the latents themselves


@pytest.mark.parametrize("verb", ["text", "long", "extend", "edit", "loop"])
def test_time_is_that_of_a_step_times_the_steps_that_are_made(model, monkeypatch, verb):
    given = video(9, height=32, width=32)
    size = {"height": 32, "width": 32}
    conditions = {
        "text": lambda: verbs.text_to_video(model, "a", num_frames=9, **size),
        "long": lambda: verbs.text_to_video(model, [(0, "a"), (20, "b")], num_frames=49, **size),
        "extend": lambda: verbs.extend(model, given, "a", new_frames=40),
        "edit": lambda: verbs.edit(model, given, "a", strength=0.5),
        "loop": lambda: verbs.loop(model, "a", num_frames=32, **size),
    }[verb]()
    monkeypatch.setattr(cost, "_seconds", lambda call, device: 1.0)
    seconds = estimate_cost(model, [conditions], CONFIG).seconds
    steps, forward = [], model.dit.forward
    monkeypatch.setattr(model.dit, "forward", lambda *args: steps.append(1) or forward(*args))
    sample(model, [conditions], CONFIG)
    assert seconds == len(steps) + (2 if verb == "loop" else 1)  # chunks: a loop has a warm-up


def test_live_tensors_are_counted_once_and_given_back():
    def call() -> None:
        first = torch.zeros(1000)  # 4000 bytes
        view = first[10:].view(-1, 2)
        second = view + 1  # 3960 bytes
        del first, view
        torch.zeros(500), second  # after the first is gone

    assert count_memory(call) == 4000 + 3960
