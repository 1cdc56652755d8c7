"""A captioner that starts from one with other words or fewer frames knows what that one knew."""

from dataclasses import replace

import torch
from tiny_captioner import TINY

from captioner.train.build import build_model, build_tokenizer, init_patch_embed
from captioner.train.carry_over import EMBEDDINGS, PATCH_EMBED, carry_over
from captioner.train.config import ModelConfig

OLD, NEW = ("a red circle",), ("a blue circle", "a red star", "zebras")


def state_of(tokenizer, model: ModelConfig) -> dict[str, torch.Tensor]:
    return {f"model.{name}": tensor for name, tensor in build_model(tokenizer, model).state_dict().items()}


def test_kept_words_keep_their_embeddings() -> None:
    old, new = build_tokenizer(OLD), build_tokenizer(NEW)
    theirs, fresh = state_of(old, TINY), state_of(new, TINY)
    carried = carry_over(theirs, old.get_vocab(), fresh, new.get_vocab())
    for name in EMBEDDINGS:
        assert carried[name].shape == fresh[name].shape
        for word, index in new.get_vocab().items():
            known = old.get_vocab().get(word)
            expected = fresh[name][index] if known is None else theirs[name][known]
            assert torch.equal(carried[name][index], expected), word
    assert carried[PATCH_EMBED] is theirs[PATCH_EMBED]


def test_new_frames_are_seen_by_their_own_filters_alone() -> None:
    tokenizer, longer = build_tokenizer(OLD), replace(TINY, frames=11)
    words = tokenizer.get_vocab()
    theirs, fresh = state_of(tokenizer, TINY), state_of(tokenizer, longer)
    old_DCTHW = theirs[PATCH_EMBED] = torch.rand_like(theirs[PATCH_EMBED])
    new_DCTHW = carry_over(theirs, words, fresh, words)[PATCH_EMBED]
    sees_new_D = new_DCTHW[:, :, 8:].flatten(1).any(dim=1)
    assert 0 < sees_new_D.sum() <= 3 * 3
    assert torch.equal(new_DCTHW[~sees_new_D][:, :, :8], old_DCTHW[~sees_new_D])
    assert torch.equal(new_DCTHW[sees_new_D], fresh[PATCH_EMBED][sees_new_D])


def test_filters_of_more_frames_keep_their_places() -> None:
    short_DK, long_DK = (init_patch_embed(ModelConfig(frames=frames)) for frames in (8, 16))
    short_DCTK, long_DCTK = (w.reshape(192, 3, -1, 100) for w in (short_DK, long_DK))
    is_old_D = ~long_DCTK[:, :, 8:].any(axis=(1, 2, 3))
    assert is_old_D.sum() == 192 - 3 * 8
    assert (long_DCTK[is_old_D][:, :, :8] == short_DCTK[is_old_D]).all()
