"""Guidance combines the branches as its formula says, and texts are encoded once."""

import pytest
import torch
from tiny_sampler import HEIGHT, WIDTH, tiny_model, video

from trainer.config import SampleConfig
from trainer.dit.model import Group
from trainer.sample import verbs
from trainer.sample.guidance import Guidance, WindowText, prompt_at
from trainer.sample.sampler import plan_of, sample

SIGMA = 0.6


@pytest.fixture
def model():
    return tiny_model()


@torch.inference_mode()
@pytest.mark.parametrize(("scale", "condition_scale"), [(1, 1), (3, 1), (1, 2), (4, 0.5)])
def test_the_velocity_is_that_of_the_formula(model, scale, condition_scale):
    conditions = verbs.animate(model, [(0, video(1)[0])], "text", num_frames=9, negative_prompt="not")
    config = SampleConfig(guidance=scale, condition_guidance=condition_scale)
    data_BCTHW, noise_BCTHW = conditions.latent_CTHW[None], torch.randn(1, *conditions.latent_CTHW.shape)
    given_BT = conditions.level_T[None] == 0
    text, (window,) = WindowText(model, [conditions]), plan_of(model, conditions, config)
    guidance = Guidance(
        model, text, window, config, data_BCTHW=data_BCTHW, noise_BCTHW=noise_BCTHW, given_BT=given_BT
    )
    x_BCTHW, sigma_BT = torch.randn_like(noise_BCTHW), SIGMA * (~given_BT).float()
    x_BCTHW[:, :, 0] = data_BCTHW[:, :, 0]
    all_BT = torch.full_like(sigma_BT, SIGMA)
    dropped_BCTHW = x_BCTHW.clone()
    dropped_BCTHW[:, :, 0] = torch.lerp(data_BCTHW, noise_BCTHW, SIGMA)[:, :, 0]
    _, positive = text.spans(window)
    full, no_text, neither = (
        model.dit([Group(x, sigma)], [words])[0]
        for x, sigma, words in (
            (x_BCTHW, sigma_BT, positive),
            (x_BCTHW, sigma_BT, text.negative()),
            (dropped_BCTHW, all_BT, text.negative()),
        )
    )
    expected = neither + condition_scale * (no_text - neither) + scale * (full - no_text)
    torch.testing.assert_close(guidance(x_BCTHW, sigma_BT), expected, atol=1e-4, rtol=1e-4)


def test_texts_are_encoded_once_for_all_steps_and_windows(model, monkeypatch):
    calls = []
    encode_text = model.dit.encode_text
    monkeypatch.setattr(model.dit, "encode_text", lambda padded: calls.append(1) or encode_text(padded))
    conditions = verbs.text_to_video(model, "a", num_frames=49, height=HEIGHT, width=WIDTH)
    sample(model, [conditions], SampleConfig(steps=3))
    assert len(plan_of(model, conditions, SampleConfig())) > 3
    assert len(calls) == 2  # the prompt, and the empty text


def test_spans_of_a_window_follow_the_prompts_of_its_latents(model):
    texts = [(0, "a"), (13, "bb"), (29, "ccc")]
    conditions = verbs.text_to_video(model, texts, num_frames=49, height=HEIGHT, width=WIDTH)
    text = WindowText(model, [conditions, conditions])
    plan = plan_of(model, conditions, SampleConfig())
    spans = {window.latents: text.spans(window) for window in plan}
    assert spans[0, 1, 2, 3, 4][0] == (0, 4)
    assert spans[3, 4, 5, 6][0] == (0, 2)  # the lead, and latent frame 3, are before the second prompt
    assert spans[5, 6, 7, 8][0] == (0, 4)
    assert spans[3, 4, 5, 6][1].pooled_BD.shape[0] == 2 * 2
    assert [prompt_at(conditions.prompts, t) for t in (0, 3, 4, 7, 8, 12)] == [0, 0, 1, 1, 2, 2]
