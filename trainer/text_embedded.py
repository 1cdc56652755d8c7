"""The embedded text encoder without transformers, whose import takes longer than encoding hundreds of texts.

all-MiniLM-L6-v2 (Wang et al. 2020, arXiv 2002.10957) is a BERT (Devlin et al. 2019, arXiv 1810.04805).

Legend: B texts, L tokens, D width, N heads, K channels of a head.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from trainer.text_files import TOKENIZER_JSON, WEIGHTS


class EmbeddedTokenizer:
    """The tokenizer of the embedded encoder."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_JSON))
        self._tokenizer.no_padding()

    def token_ids(self, texts: Sequence[str], max_length: int | None = None) -> list[list[int]]:
        """Return the token ids of each text, special ones included, without its end beyond `max_length`."""
        if max_length is None:
            self._tokenizer.no_truncation()
        else:
            self._tokenizer.enable_truncation(max_length)
        return [encoding.ids for encoding in self._tokenizer.encode_batch([*texts])]


class EmbeddedNetwork:
    """The layers of the embedded encoder."""

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        self._heads, self._eps = config["num_attention_heads"], config["layer_norm_eps"]
        self._layers: int = config["num_hidden_layers"]
        self._weights = load_file(folder / WEIGHTS)

    def to(self, device: str) -> Self:
        self._weights = {name: weight.to(device) for name, weight in self._weights.items()}
        return self

    def states(self, ids_BL: Tensor, layer: int) -> Tensor:
        """Return state_BLD of a hidden layer, -1 for the last one; later layers are not computed."""
        embed = "embeddings.{}_embeddings.weight".format
        token_BLD = F.embedding(ids_BL, self._weights[embed("word")])
        position_LD = self._weights[embed("position")][: ids_BL.shape[1]]
        state_BLD = token_BLD + self._weights[embed("token_type")][0] + position_LD
        state_BLD = self._norm("embeddings", state_BLD)
        for number in range(self._layers + 1 + layer):
            state_BLD = self._block(f"encoder.layer.{number}", state_BLD)
        return state_BLD

    def _block(self, name: str, state_BLD: Tensor) -> Tensor:
        parts = (f"{name}.attention.self.{part}" for part in ("query", "key", "value"))
        q_BNLK, k_BNLK, v_BNLK = (
            self._linear(part, state_BLD).unflatten(-1, (self._heads, -1)).transpose(1, 2) for part in parts
        )
        mixed_BLD = F.scaled_dot_product_attention(q_BNLK, k_BNLK, v_BNLK).transpose(1, 2).flatten(2)
        mixed_BLD = self._linear(f"{name}.attention.output.dense", mixed_BLD)
        state_BLD = self._norm(f"{name}.attention.output", mixed_BLD + state_BLD)
        hidden_BLD = F.gelu(self._linear(f"{name}.intermediate.dense", state_BLD))
        return self._norm(f"{name}.output", self._linear(f"{name}.output.dense", hidden_BLD) + state_BLD)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, name: str, x: Tensor) -> Tensor:
        weight, bias = (self._weights[f"{name}.LayerNorm.{part}"] for part in ("weight", "bias"))
        return F.layer_norm(x, x.shape[-1:], weight, bias, self._eps)
