"""Generate answers with a transformers model, and how sure it was of their tokens.

Prompts about the same frames differ at their end alone. `Reading` keeps the cache of what they share, so that
the frames are read once.

Shapes: B prompts of a batch, L tokens, S steps, V words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList
from transformers.cache_utils import DynamicCache, DynamicLayer

from captioner.config import VlmConfig

TEXT_INPUTS = ("attention_mask", "mm_token_type_ids", "token_type_ids")
"""Inputs with an entry for each token, which later prompts need too."""
Groups = Sequence[Sequence[int]]
"""Ids of the tokens of each group."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Generated:
    """New tokens of a batch."""

    tokens_BL: torch.Tensor
    """Without the prompt."""
    ended_BL: torch.Tensor
    """Whether a token is an end token."""
    confidences: Sequence[float | None]
    """Mean probability of the tokens of each answer; None where the model does not tell it."""
    chances_BL: torch.Tensor | None = None
    """Probability of each token, where the likeliest one is taken; None as above."""
    first_scores_BV: torch.Tensor | None
    """Scores of the first token."""
    choices_BLG: torch.Tensor | None = None
    """Probability of each group of tokens at each step."""

    def answers(self, padding: int | None) -> list[list[int]]:
        """Return the tokens of each answer before its end token, without padding."""
        return [[token for token in row if token != padding] for row in self.unpadded()]

    def unpadded(self) -> list[list[int]]:
        """Return the tokens of each answer before its end token, one for each step."""
        ended_BL, width = self.ended_BL, self.tokens_BL.shape[1]
        length_B = torch.where(ended_BL.any(1), ended_BL.int().argmax(1), width).tolist()
        rows = zip(self.tokens_BL.tolist(), length_B, strict=True)
        return [row[:length] for row, length in rows]


class Reading:
    """The inputs of a batch, and what the model keeps of them after the first answer."""

    def __init__(self, model: Any, inputs: Mapping[str, Any], ends: torch.Tensor) -> None:
        self._model, self._inputs, self._ends = model, inputs, ends
        self._cache: Any = None
        self._shared: int = inputs["input_ids"].shape[1]  # tokens of the cache that are those of the inputs

    @property
    def can_go_on(self) -> bool:
        """Whether the cache is one from which the end of a prompt can be removed."""
        cache = self._cache
        return isinstance(cache, DynamicCache) and all(type(layer) is DynamicLayer for layer in cache.layers)

    def answer(
        self, config: VlmConfig, *, groups: Groups = (), max_new_tokens: int | None = None
    ) -> Generated:
        """Answer the prompts of the inputs.

        Args:
            groups: ids of tokens; the probability of each group is returned for each step.
        """
        limit = max_new_tokens or config.max_new_tokens
        generated, self._cache = _generate(self._model, self._inputs, config, self._ends, limit, groups)
        return generated

    def answer_other(
        self,
        removed: int,
        added: Sequence[int],
        config: VlmConfig,
        *,
        groups: Groups = (),
        max_new_tokens: int | None = None,
    ) -> Generated:
        """Answer the prompts that end in the tokens `added` instead of their last `removed` ones.

        Call `answer` first, and this only if `can_go_on`.
        """
        ids_BL = self._inputs["input_ids"]
        kept = ids_BL.shape[1] - removed
        if kept > self._shared:  # the prompt before this one differs earlier
            added = [*ids_BL[0, self._shared : kept].tolist(), *added]
        self._shared = kept = min(kept, self._shared)
        self._cache.crop(kept - self._cache.get_seq_length())
        added_BL = torch.tensor(added, device=ids_BL.device).expand(len(ids_BL), -1)
        inputs = {"input_ids": torch.cat([ids_BL[:, :kept], added_BL], 1), "past_key_values": self._cache}
        for name in TEXT_INPUTS:
            if name in self._inputs:
                old_BL = self._inputs[name]
                fill = old_BL[:, -1:].expand(-1, len(added))
                inputs[name] = torch.cat([old_BL[:, :kept], fill], 1)
        limit = max_new_tokens or config.max_new_tokens
        generated, self._cache = _generate(self._model, inputs, config, self._ends, limit, groups)
        return generated


def _generate(
    model: Any,
    inputs: Mapping[str, Any],
    config: VlmConfig,
    ends: torch.Tensor,
    max_new_tokens: int,
    groups: Groups,
) -> tuple[Generated, Any]:
    """Decode a batch up to its end tokens or the token limit; return the answers and the cache."""
    confidence = _TokenConfidence(groups)
    out = model.generate(
        **inputs,
        max_new_tokens=max_new_tokens,
        logits_processor=LogitsProcessorList([confidence]),
        return_dict_in_generate=True,
        **_sampling(config),
        **({"max_time": config.timeout_s} if config.timeout_s else {}),
    )
    out_BL, cache = (out, None) if isinstance(out, torch.Tensor) else (out.sequences, _cache_of(out))
    # An encoder-decoder answers after its start token, others after their prompt or at once; models of
    # diffusion, and those that drop the logits processor, after their prompt.
    prompt = inputs["input_ids"].shape[1]
    told = bool(confidence.steps) and confidence.is_by_token
    out_BL = out_BL[:, -len(confidence.steps) :] if told else out_BL[:, prompt:]
    ended_BL = torch.isin(out_BL, ends.to(out_BL.device))
    chances_BL = torch.stack(confidence.steps, 1) if told else None
    return Generated(
        tokens_BL=out_BL,
        ended_BL=ended_BL,
        confidences=[None] * len(out_BL) if chances_BL is None else _mean_chances(chances_BL, ended_BL),
        chances_BL=chances_BL,
        first_scores_BV=confidence.first_BV,
        choices_BLG=confidence.choices() if told else None,
    ), cache


def _cache_of(out: Any) -> Any:
    return getattr(out, "past_key_values", None)


def end_tokens(model: Any, tokenizer: Any) -> torch.Tensor:
    """Return the ids of the end tokens of a model."""
    ends = model.generation_config.eos_token_id
    if ends is None:
        ends = tokenizer.eos_token_id
    return torch.tensor([] if ends is None else ends).flatten().long()


class _TokenConfidence(LogitsProcessor):
    """Records the probability of the most likely token, and of groups of tokens, at each step."""

    def __init__(self, groups: Groups = ()) -> None:
        self._groups = groups
        self._group_steps: list[torch.Tensor] = []
        self.steps: list[torch.Tensor] = []
        self.first_BV: torch.Tensor | None = None

    @property
    def is_by_token(self) -> bool:
        """Whether the scores are of one token each, not of a block of tokens as in models of diffusion."""
        return self.first_BV is not None and self.first_BV.ndim == 2

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores_BV = scores.float()
        if self.first_BV is None:
            self.first_BV = scores_BV
        total_B = scores_BV.logsumexp(-1)
        self.steps.append((scores_BV.amax(-1) - total_B).exp())
        if self._groups and scores_BV.ndim == 2:
            groups = [(scores_BV[:, [*ids]] - total_B[:, None]).exp().sum(-1) for ids in self._groups]
            self._group_steps.append(torch.stack(groups, -1))
        return scores

    def choices(self) -> torch.Tensor | None:
        """Return the probability of each group at each step, of shape B, L, G."""
        return torch.stack(self._group_steps, 1) if self._group_steps else None


def _mean_chances(chances_BL: torch.Tensor, ended_BL: torch.Tensor) -> list[float]:
    """Return the mean of each answer over its tokens, including the first end token."""
    padding_BL = ended_BL.cumsum(1) - ended_BL.long() > 0
    answer_BL = (~padding_BL).float()
    return ((chances_BL * answer_BL).sum(1) / answer_BL.sum(1)).tolist()


def _sampling(config: VlmConfig) -> dict[str, Any]:
    if config.temperature == 0:
        return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    return {"do_sample": True, "temperature": config.temperature}
