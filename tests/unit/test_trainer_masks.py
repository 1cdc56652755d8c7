"""Masks leave clean what sampling gives: first frames, a window's past, both sides of a gap."""

import numpy as np
import pytest

from trainer.config import FlowConfig
from trainer.flow import draw_sigmas
from trainer.masks import FIXED_MASKS, MASKS, clean_frames, clean_suffix, draw_clean_frames, suffix_lengths


def drawn(mask: str, frames: int) -> set[tuple[int, ...]]:
    return {tuple(draw_clean_frames(mask, frames, np.random.default_rng(seed))) for seed in range(300)}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("frames", [2, 3, 4, 5, 9])
def test_a_mask_has_clean_frames_and_never_all_and_few_suffixes(mask, frames):
    for clean in drawn(mask, frames):
        assert 0 < len({*clean}) == len(clean) < frames
        assert 0 <= min(clean) <= max(clean) < frames
        suffix = clean_suffix([t in clean for t in range(frames)])
        assert suffix in (0, *suffix_lengths(frames))


def test_what_the_drawn_masks_leave_clean():
    assert drawn("start", 4) == {(0,), (0, 1), (0, 1, 2)}
    assert drawn("continue", 5) == {(1,), (1, 2), (1, 2, 3)}
    assert drawn("continue", 2) == {(0,)}
    assert drawn("bridge", 3) == {(0, 2), (0,)}
    bridges = drawn("bridge", 5)
    assert {(0, 4), (1, 4), (0, 1, 2, 4), (1, 2, 4), (0, 3, 4), (1, 3, 4), (0, 1, 3, 4)} <= bridges
    assert (1, 2, 3, 4) not in bridges


def test_the_default_draws_what_older_versions_drew():
    flow = FlowConfig(clean_prob=1.0, uniform_prob=0.0)
    for seed in range(50):
        rng = np.random.default_rng(seed)
        rng.standard_normal(), rng.random(), rng.random()
        before = clean_frames(FIXED_MASKS[rng.integers(len(FIXED_MASKS))], 5)
        sigma_T = draw_sigmas(np.random.default_rng(seed), 5, 80, flow)
        assert np.flatnonzero(sigma_T == 0).tolist() == before


def test_unknown_masks_are_refused():
    with pytest.raises(ValueError, match=r"masks=\['middle'\]: must be one or more of first, last"):
        FlowConfig(masks=("middle",))
    with pytest.raises(ValueError, match="masks="):
        FlowConfig(masks=())
