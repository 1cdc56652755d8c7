"""Each verb: how long its result is, what the model is given, and what the result keeps."""

import numpy as np
import pytest
import torch
from tiny_sampler import HEIGHT, WIDTH, tiny_model, video

from trainer.config import SampleConfig
from trainer.sample import verbs
from trainer.sample.conditions import Prompt
from trainer.sample.decode import decode, reconstruct
from trainer.sample.given import encode_middle, encode_start
from trainer.sample.sampler import generate, sample
from trainer.vae.boundaries import encode_given

CONFIG = SampleConfig(steps=3)
SIZE = {"height": HEIGHT, "width": WIDTH}


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def given_frames(conditions) -> list[int]:
    return [t for t, level in enumerate(conditions.level_T.tolist()) if level == 0]


def test_text_alone_is_all_new(model):
    conditions = verbs.text_to_video(model, "a", num_frames=9, seed=3, **SIZE)
    assert conditions.level_T.tolist() == [1, 1, 1]
    assert generate(model, [conditions], CONFIG)[0].shape == (9, HEIGHT, WIDTH, 3)
    with pytest.raises(ValueError, match="such as 9 frames"):
        verbs.text_to_video(model, "a", num_frames=10, **SIZE)


def test_images_are_given_at_any_frames(model):
    first, third, last = video(3)
    conditions = verbs.animate(model, [(16, last), (0, first), (6, third)], "a", num_frames=17)
    assert given_frames(conditions) == [0, 2, 4]
    image_CHW = encode_start(model, first[None])[:, 0]
    assert torch.equal(conditions.latent_CTHW[:, 0], image_CHW)
    group_CHW = encode_middle(model, np.stack([last] * 4))[:, 0]  # a whole group holds the last image
    assert torch.equal(conditions.latent_CTHW[:, 4], group_CHW)
    result_CTHW = sample(model, [conditions], CONFIG)[0]
    given = given_frames(conditions)
    assert torch.equal(result_CTHW[:, given], conditions.latent_CTHW[:, given])


def test_images_that_clash_or_lie_outside_are_refused(model):
    image = video(1)[0]
    with pytest.raises(ValueError, match="frames 5 to 8 share a latent frame"):
        verbs.animate(model, [(5, image), (7, image)], "a", num_frames=17)
    with pytest.raises(ValueError, match="the video has frames 0 to 16"):
        verbs.animate(model, [(17, image)], "a", num_frames=17)
    with pytest.raises(ValueError, match="frames of 64x16 beside others of 32x16"):
        verbs.animate(model, [(0, image), (9, video(1, width=64)[0])], "a", num_frames=17)
    with pytest.raises(ValueError, match="must be RGB, uint8"):
        verbs.animate(model, [(0, image[..., :1])], "a", num_frames=17)
    with pytest.raises(ValueError, match="use text_to_video"):
        verbs.animate(model, [], "a", num_frames=17)


@pytest.mark.parametrize("frames", [1, 2, 5, 23, 60])
@pytest.mark.parametrize("new", [4, 20])
def test_extension_forward_keeps_the_video_once_and_adds_what_was_asked(model, frames, new):
    given = video(frames)
    conditions = verbs.extend(model, given, "a", new_frames=new)
    (result,) = generate(model, [conditions], CONFIG)
    assert len(result) == conditions.num_frames(4) == frames + new
    assert np.array_equal(result[:frames], given)
    assert not any(np.array_equal(result[frames], frame) for frame in given)
    seen = len(given_frames(conditions))
    assert (
        frames >= 4 * seen - 3 > frames - 4 or seen <= 5
    )  # up to 3 frames are not seen, or the window is full


@pytest.mark.parametrize("frames", [4, 6, 23, 60])
@pytest.mark.parametrize("new", [1, 5, 21])
def test_extension_backward_keeps_the_video_at_the_end(model, frames, new):
    given = video(frames)
    conditions = verbs.extend(model, given, "a", new_frames=new, direction="backward")
    (result,) = generate(model, [conditions], CONFIG)
    assert len(result) == frames + new
    assert np.array_equal(result[new:], given)
    seen = len(given_frames(conditions))
    pixels_BCTHW = torch.from_numpy(given[None, : 4 * seen]).movedim(-1, 1) / 127.5 - 1
    expected_CTHW = encode_given(model.vae, pixels_BCTHW)[0]
    torch.testing.assert_close(conditions.latent_CTHW[:, -seen:], expected_CTHW, atol=1e-5, rtol=1e-5)


def test_lengths_that_cannot_be_added_are_refused_with_the_nearest(model):
    with pytest.raises(ValueError, match=r"10 new frames cannot be made: .* such as 8"):
        verbs.extend(model, video(9), "a", new_frames=10)
    with pytest.raises(ValueError, match="such as 9 frames"):
        verbs.extend(model, video(9), "a", new_frames=8, direction="backward")
    with pytest.raises(ValueError, match=r"too few frames to come after new ones \(3\): give 4 or more"):
        verbs.extend(model, video(3), "a", new_frames=9, direction="backward")
    with pytest.raises(ValueError, match="such as 9 frames of 32x16"):
        verbs.extend(model, video(9, height=18), "a", new_frames=8)


@pytest.mark.parametrize("new", [4, 8, 40])
def test_a_connection_keeps_both_videos(model, new):
    one, other = video(11, 1), video(9, 2)
    conditions = verbs.connect(model, one, other, "a", new_frames=new)
    (result,) = generate(model, [conditions], CONFIG)
    assert len(result) == 11 + new + 9
    assert np.array_equal(result[:11], one)
    assert np.array_equal(result[-9:], other)
    with pytest.raises(ValueError, match="resize them to one size"):
        verbs.connect(model, one, video(9, width=64), "a", new_frames=new)


@pytest.mark.parametrize("frames", [8, 20, 48])
def test_a_loop_shows_no_frame_twice_and_does_not_go_back(model, frames):
    conditions = verbs.loop(model, "a", num_frames=frames, seed=1, **SIZE)
    result = generate(model, [conditions], CONFIG)[0].astype(int)
    assert len(result) == frames
    steps = np.abs(np.diff(result, axis=0, append=result[:1])).mean(axis=(1, 2, 3))
    assert steps.min() > 0
    backward = np.roll(result[::-1], 1, axis=0)
    apart = np.abs(result - backward).mean(axis=(1, 2, 3))
    assert np.delete(apart, [0, frames // 2]).min() > 0.25 * np.median(steps)


def test_a_loop_goes_on_from_a_video_and_returns_to_it(model):
    given = video(12)
    conditions = verbs.loop(model, "a", num_frames=32, video_THWC=given, **SIZE)
    (result,) = generate(model, [conditions], CONFIG)
    assert len(result) == 32
    assert np.array_equal(result[:12], given)
    with pytest.raises(ValueError, match="leaves none to join the 32 given ones"):
        verbs.loop(model, "a", num_frames=32, video_THWC=video(32), **SIZE)
    with pytest.raises(ValueError, match="frames a multiple of 4, such as 32 frames"):
        verbs.loop(model, "a", num_frames=33, **SIZE)


@pytest.mark.parametrize("frames", [1, 9, 11, 30])
def test_an_edit_of_strength_0_is_the_round_trip_of_the_vae(model, frames):
    given = video(frames)
    (result,) = generate(model, [verbs.edit(model, given, "a", strength=0)], CONFIG)
    assert result.shape == given.shape
    padded = np.concatenate([given, *[given[-1:]] * (-(frames - 1) % 4)])
    round_trip = reconstruct(model.vae, padded[None], dtype=model.dtype)[0][:frames]
    assert np.abs(result.astype(int) - round_trip).max() <= 1


@pytest.mark.parametrize("frames", [9, 29])
def test_an_edit_of_strength_1_is_text_alone_and_between_it_is_monotone(model, frames):
    given = video(frames)
    strengths = [0, 0.2, 0.4, 0.6, 0.8, 1]
    edits = [verbs.edit(model, given, "a", strength=strength, seed=5) for strength in strengths]
    text = verbs.text_to_video(model, "a", num_frames=frames, seed=5, **SIZE)
    *latents, text_CTHW = sample(model, [*edits, text], SampleConfig(steps=6))
    torch.testing.assert_close(latents[-1], text_CTHW, atol=1e-5, rtol=1e-5)
    changed = [float((latent - edits[0].latent_CTHW).square().mean()) for latent in latents]
    assert changed == sorted(changed)
    with pytest.raises(ValueError, match=r"strength=1.5: must be from 0"):
        verbs.edit(model, given, "a", strength=1.5)


def test_a_draft_is_made_again_at_another_size(model):
    draft = video(9)
    same = verbs.from_draft(model, draft, "a", height=2 * HEIGHT, width=2 * WIDTH, strength=0)
    (result,) = generate(model, [same], CONFIG)
    assert result.shape == (9, 2 * HEIGHT, 2 * WIDTH, 3)
    frames = [*decode(model, same.latent_CTHW)]
    assert np.array_equal(result, np.concatenate(frames))


def test_prompts_hold_from_frames_of_the_result(model):
    texts = [(0, "a"), (9, "bb"), (30, "ccc")]
    conditions = verbs.text_to_video(model, texts, num_frames=33, **SIZE)
    assert conditions.prompts == (Prompt("a", 0), Prompt("bb", 3), Prompt("ccc", 8))
    extended = verbs.extend(model, video(8), [(0, "a"), (8, "bb")], new_frames=8)
    assert extended.frames_before == 3
    assert extended.prompts == (Prompt("a", 0), Prompt("bb", 2))
    whole = verbs.loop(model, texts, num_frames=32, **SIZE)
    assert whole.prompts == (Prompt("a", 0), Prompt("bb", 2), Prompt("ccc", 7))
    for wrong in ([(4, "a")], [(0, "a"), (40, "b")], [(0, "a"), (9, "b"), (5, "c")], []):
        with pytest.raises(ValueError, match="prompt"):
            verbs.text_to_video(model, wrong, num_frames=33, **SIZE)
