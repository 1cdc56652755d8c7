"""Frames and latent frames: one conversion, exact or refused with the nearest length."""

import pytest

from trainer.config import VaeConfig
from trainer.sample.frames import (
    first_frame_of,
    frames_in,
    groups_of,
    latent_of,
    latent_shape,
    latents_in,
    nearest_length,
)


@pytest.mark.parametrize("factor", [1, 4, 8])
@pytest.mark.parametrize("loop", [False, True])
def test_lengths_and_places_go_there_and_back(factor, loop):
    for latents in range(1, 9):
        frames = frames_in(latents, factor, loop=loop)
        assert latents_in(frames, factor, loop=loop) == latents
        assert latent_of(frames - 1, factor, loop=loop) == latents - 1
        held = [latent_of(frame, factor, loop=loop) for frame in range(frames)]
        assert [held.index(t) for t in range(latents)] == [
            first_frame_of(t, factor, loop=loop) for t in range(latents)
        ]


def test_a_length_between_is_refused_with_the_nearest():
    for frames, loop, nearest in ((8, False, 9), (6, False, 5), (0, False, 1), (9, True, 8), (1, True, 4)):
        with pytest.raises(ValueError, match=f"{frames} frames cannot be made: .* such as {nearest}$"):
            latents_in(frames, 4, loop=loop)
        assert nearest_length(frames, 4, loop=loop) == nearest
    with pytest.raises(ValueError, match="10 new frames cannot be made: must be a multiple of 4, such as 8"):
        groups_of(10, 4)
    assert groups_of(12, 4) == 3


def test_a_duration_is_rounded_to_frames_that_the_vae_makes():
    assert [nearest_length(seconds * 8, 4) for seconds in (0.01, 0.5, 2, 2.2)] == [1, 5, 17, 17]


def test_the_shape_of_a_loop_has_no_frame_more():
    vae = VaeConfig()
    assert latent_shape(vae, 2, 17, 32, 48) == (8, 5, 4, 6)
    assert latent_shape(vae, 2, 16, 32, 48, loop=True) == (8, 4, 4, 6)
    with pytest.raises(ValueError, match="frames 1 more than a multiple of 4, such as 17 frames of 48x32"):
        latent_shape(vae, 2, 16, 33, 48)
    with pytest.raises(ValueError, match="frames a multiple of 4, such as 16 frames of 48x32"):
        latent_shape(vae, 2, 17, 32, 48, loop=True)
