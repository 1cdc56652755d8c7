"""One sampler: windows carry latents, a batch equals one by one, and what is given decides what is new."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from tiny_sampler import HEIGHT, WIDTH, tiny_model, video

from trainer.config import SampleConfig
from trainer.dit.model import Group
from trainer.dit.text import EncodedText
from trainer.sample import verbs
from trainer.sample.conditions import with_seeds
from trainer.sample.sampler import plan_of, sample

CONFIG = SampleConfig(steps=3)
SIZE = {"height": HEIGHT, "width": WIDTH}


@pytest.fixture
def model():
    return tiny_model()


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=0)


def record(model, monkeypatch) -> list[Group]:
    """Collect what the transformer is given."""
    seen: list[Group] = []
    forward = model.dit.forward

    def recorded(pack: list[Group], texts: list[EncodedText]) -> list[torch.Tensor]:
        seen.extend(pack)
        return forward(pack, texts)

    monkeypatch.setattr(model.dit, "forward", recorded)
    return seen


def every_verb(model) -> list:
    given = video(23)
    return [
        *with_seeds(verbs.text_to_video(model, "a", num_frames=33, **SIZE), 3),
        verbs.text_to_video(model, "another text", num_frames=33, negative_prompt="bad", **SIZE),
        verbs.text_to_video(model, [(0, "a"), (13, "bbbb")], num_frames=33, seed=2, **SIZE),
        verbs.text_to_video(model, [(0, "cc"), (13, "d")], num_frames=33, seed=3, **SIZE),
        verbs.animate(model, [(0, given[0]), (16, given[1])], "a", num_frames=33, seed=4),
        verbs.extend(model, given, "a", new_frames=20, seed=5),
        verbs.extend(model, given, "a", new_frames=21, direction="backward", seed=6),
        verbs.connect(model, given, given[5:], "a", new_frames=20, seed=7),
        verbs.loop(model, "a", num_frames=24, seed=8, **SIZE),
        verbs.edit(model, given, "a", strength=0.5, seed=9),
        verbs.edit(model, given, "a", strength=0.8, seed=10),
    ]


@pytest.mark.parametrize("config", [CONFIG, replace(CONFIG, guidance=1, condition_guidance=2.0)])
def test_a_batch_equals_one_by_one_for_every_verb(model, config):
    conditions = every_verb(model)
    together = sample(model, conditions, config)
    for each, latent_CTHW in zip(conditions, together, strict=True):
        close(latent_CTHW, sample(model, [each], config)[0])
    assert all((a - b).abs().max() > 0.1 for a, b in pairwise(together[:3]))


def test_a_result_does_not_depend_on_its_place_in_the_batch(model):
    conditions = every_verb(model)[:4]
    forward, backward = (sample(model, order, CONFIG) for order in (conditions, conditions[::-1]))
    for one, other in zip(forward, backward[::-1], strict=True):
        close(one, other)


def test_given_latents_stay_and_the_conditions_are_not_changed(model):
    conditions = every_verb(model)
    before = [(each.latent_CTHW.clone(), each.level_T.clone()) for each in conditions]
    for each, latent_CTHW in zip(conditions, sample(model, conditions, CONFIG), strict=True):
        given = each.level_T == 0
        assert torch.equal(latent_CTHW[:, given], each.latent_CTHW[:, given])
        assert not torch.equal(latent_CTHW[:, ~given], each.latent_CTHW[:, ~given])
    for each, (latent_CTHW, level_T) in zip(conditions, before, strict=True):
        assert torch.equal(each.latent_CTHW, latent_CTHW)
        assert torch.equal(each.level_T, level_T)


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_continuation_uses_several_latents_of_the_past(model, direction):
    conditions = verbs.extend(
        model, video(60), "a", new_frames=20 + (direction == "backward"), direction=direction
    )
    given = (conditions.level_T == 0).nonzero().flatten().tolist()
    assert len(given) >= 2
    base_CTHW = sample(model, [conditions], CONFIG)[0]
    for t in given:
        other_CTHW = conditions.latent_CTHW.clone()
        other_CTHW[:, t] += 1
        changed_CTHW = sample(model, [replace(conditions, latent_CTHW=other_CTHW)], CONFIG)[0]
        new = conditions.level_T > 0
        assert (changed_CTHW - base_CTHW)[:, new].abs().max() > 1e-4


def test_windows_carry_latents_and_never_pixels_in_bounded_memory(model, monkeypatch):
    conditions = verbs.text_to_video(model, "a", num_frames=1 + 4 * 40, **SIZE)
    seen = record(model, monkeypatch)
    monkeypatch.setattr(model.vae, "decode", lambda *args: pytest.fail("decoded"))
    monkeypatch.setattr(model.vae, "encode", lambda *args: pytest.fail("encoded"))
    (latent_CTHW,) = sample(model, [conditions], SampleConfig(steps=1))
    assert latent_CTHW.shape[1] == 41
    assert {group.latent_BCTHW.shape[2] for group in seen} == {5}
    assert len(plan_of(model, conditions, CONFIG)) == 1 + 36 // 2
    frame_change = latent_CTHW.diff(dim=1).abs().mean(dim=(0, 2, 3))
    assert frame_change.min() > 0


def test_the_window_and_its_overlap_are_settings(model):
    conditions = verbs.text_to_video(model, "a", num_frames=33, **SIZE)
    assert len(plan_of(model, conditions, CONFIG)) == 3
    assert len(plan_of(model, conditions, replace(CONFIG, window_latents=9))) == 1
    wide = plan_of(model, conditions, replace(CONFIG, overlap_latents=3))
    assert [len(window.made) for window in wide] == [5, 1, 1, 1, 1]
    assert len(plan_of(tiny_model(buckets=()), conditions, CONFIG)) == 1


def test_levels_between_skip_the_steps_above_them(model, monkeypatch):
    seen = record(model, monkeypatch)
    edited = verbs.edit(model, video(9), "a", strength=0.5)
    sample(model, [edited], SampleConfig(steps=8, guidance=1))
    assert float(seen[0].sigma_BT.max()) == pytest.approx(float(edited.level_T[0]))
    assert len(seen) == 4
    seen.clear()
    text = verbs.text_to_video(model, "a", num_frames=9, **SIZE)
    sample(model, [text], SampleConfig(sigmas=(1, 0.5, 0), guidance=1))
    assert [float(group.sigma_BT.max()) for group in seen] == [1, 0.5]
    with pytest.raises(ValueError, match=r"sigmas=\[1, 0.5\]: must fall from 1 to 0"):
        SampleConfig(sigmas=(1, 0.5))


def test_a_later_prompt_changes_the_frames_of_its_span_most(model):
    one, two = (
        verbs.text_to_video(model, texts, num_frames=17, **SIZE)
        for texts in ([(0, "a"), (9, "a")], [(0, "a"), (9, "other")])
    )
    first, second = sample(model, [one, two], CONFIG)
    plain = sample(model, [verbs.text_to_video(model, "a", num_frames=17, **SIZE)], CONFIG)[0]
    close(first, plain)
    change_T = (first - second).abs().mean(dim=(0, 2, 3))
    assert change_T[3:].min() > change_T[:3].max()
