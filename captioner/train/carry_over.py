"""Start a captioner from the weights of one with other words or fewer frames."""

from collections.abc import Mapping

import torch
from torch import Tensor

EMBEDDINGS = ("model.model.language_model.embed_tokens.weight", "model.lm_head.weight")
PATCH_EMBED = "model.model.visual.patch_embed.proj.weight"


def carry_over(
    weights: Mapping[str, Tensor],
    words: Mapping[str, int],
    fresh: Mapping[str, Tensor],
    vocab: Mapping[str, int],
) -> dict[str, Tensor]:
    """Return `weights` in the vocabulary and the number of frames of an untrained model.

    New words keep their untrained embeddings. Patch embeddings see nothing of new frames, but for those
    filters that look at new frames alone or at their difference from others: these stay untrained.

    Args:
        words: the vocabulary of `weights`.
        fresh: state of the untrained model.
        vocab: its vocabulary.
    """
    carried = dict(weights)
    if words != vocab:
        pairs = [(words[word], index) for word, index in vocab.items() if word in words]
        theirs, ours = torch.tensor(pairs).T
        for name in EMBEDDINGS:
            carried[name] = fresh[name].clone()
            carried[name][ours] = weights[name][theirs]
    old_DCTHW, new_DCTHW = weights.get(PATCH_EMBED), fresh[PATCH_EMBED]
    if old_DCTHW is not None and old_DCTHW.ndim == 5 and old_DCTHW.shape[2] < new_DCTHW.shape[2]:
        frames = old_DCTHW.shape[2]
        sees_new_D = new_DCTHW[:, :, frames:].abs().sum(dim=(1, 2, 3, 4)) > 0
        patches_DCTHW = new_DCTHW.clone()
        patches_DCTHW[~sees_new_D, :, :frames] = old_DCTHW[~sees_new_D]
        carried[PATCH_EMBED] = patches_DCTHW
    return carried
