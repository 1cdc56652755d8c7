"""Load the network of a text encoder in float32: an encoder, or the text part of a larger model.

Legend: B texts, L tokens, D width.
"""

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForTextEncoding,
    AutoTokenizer,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES

from trainer.text_files import TOKENIZER_JSON, tokenizer_file, tokenizer_folder, weight_files

_LAST_BUT_ONE = frozenset(
    {
        "albert",
        "bert",
        "camembert",
        "data2vec-text",
        "deberta",
        "deberta-v2",
        "distilbert",
        "electra",
        "mpnet",
    }
    | {"roberta", "xlm-roberta", "xlm-roberta-xl"}
)
"""Encoders of the BERT family, whose last layer is made for another task (docs/adr/0007)."""
_OFFSET_POSITIONS = frozenset(
    {"camembert", "data2vec-text", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl"}
)
"""Families whose positions begin after the padding token's id."""
_TOWERS = ("language_model", "text_model")
"""Names of the text part of a model for several modalities."""


class ModelTokenizer:
    """A tokenizer of transformers."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer, self._folder = load_tokenizer(folder), folder

    def token_ids(self, texts: Sequence[str], max_length: int | None = None) -> list[list[int]]:
        """Return the token ids of each text, without padding or its end beyond `max_length`.

        Raises ValueError where the empty text has no token.
        """
        limit = {} if max_length is None else {"truncation": True, "max_length": max_length}
        tokens = self._tokenizer([*texts], padding=False, return_attention_mask=True, verbose=False, **limit)
        pairs = zip(tokens["input_ids"], tokens["attention_mask"], strict=True)
        token_ids = [[token for token, kept in zip(ids, mask, strict=True) if kept] for ids, mask in pairs]
        return [ids or self._empty_ids() for ids in token_ids]

    def _empty_ids(self) -> list[int]:
        """Return the special token that stands for a text without tokens."""
        special = self._tokenizer
        ids = (special.bos_token_id, special.cls_token_id, special.eos_token_id, special.pad_token_id)
        found = [token for token in ids if token is not None]
        if not found:
            raise ValueError(
                f"{self._folder}: its tokenizer gives no token for the empty text, which guidance needs, and "
                "has no special token; add a bos, eos or pad token to it"
            )
        return found[:1]


class ModelNetwork:
    """A network of transformers."""

    def __init__(self, folder: Path) -> None:
        self._model: Any = load_network(folder)

    def to(self, device: str) -> Self:
        self._model = self._model.to(device)
        return self

    def states(self, ids_BL: Tensor, layer: int) -> Tensor:
        """Return state_BLD of a hidden layer, -1 for the last one, with the final norm."""
        mask_BL = torch.ones_like(ids_BL)
        out = self._model(input_ids=ids_BL, attention_mask=mask_BL, output_hidden_states=layer != -1)
        return out.last_hidden_state if layer == -1 else out.hidden_states[layer]


def describe(folder: Path) -> tuple[int, int]:
    """Return the layer whose states are used, and the most tokens that the encoder takes."""
    config = read_config(folder)
    return hidden_layer(config), max_positions(config, load_tokenizer(folder))


def load_network(folder: Path) -> nn.Module:
    """Return the network of a folder, in eval mode: the encoder of an encoder-decoder, a decoder-only model,
    or the text part of a model for text and images.

    Raises ValueError for a folder that holds no such network, or not all of its weights.
    """
    weight_files(folder)
    config = read_config(folder)
    by_text = config.model_type in MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES
    auto: Any = AutoModelForTextEncoding if by_text else AutoModel
    with quiet():
        try:
            model, report = auto.from_pretrained(
                str(folder), use_safetensors=True, dtype=torch.float32, output_loading_info=True
            )
        except (KeyError, OSError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"{folder}: cannot be loaded as a text encoder ({_first_line(error)})"
            ) from error
    absent = sorted(key for key in report["missing_keys"] if "pooler" not in key)
    if absent:
        raise ValueError(
            f"{folder}: the weights lack {len(absent)} tensors of {type(model).__name__}, such as "
            f"{absent[0]}; name the folder of a whole text encoder"
        )
    if not by_text:
        model = _text_part(model, folder)
    return model.eval().requires_grad_(False)


def read_config(folder: Path) -> Any:
    """Return the configuration of the model. Raises ValueError for a folder without one."""
    try:
        return AutoConfig.from_pretrained(str(folder))
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(
            f"{folder}: no configuration of a text encoder that transformers knows ({_first_line(error)})"
        ) from error


def load_tokenizer(folder: Path) -> Any:
    """Return the tokenizer, which drops the end of a text that is too long.

    A tokenizer.json is read as it is: AutoTokenizer of transformers 5.23 may replace its rules by those of
    the model's family.
    """
    place, file = tokenizer_folder(folder), tokenizer_file(folder)
    tokenizer_class: Any = PreTrainedTokenizerFast if file.name == TOKENIZER_JSON else AutoTokenizer
    with quiet():
        try:
            tokenizer = tokenizer_class.from_pretrained(str(place))
        except Exception as error:  # the tokenizers library raises a bare Exception for a broken file
            raise ValueError(f"{file}: no tokenizer that can be loaded ({_first_line(error)})") from error
    tokenizer.truncation_side = "right"
    return tokenizer


def hidden_layer(config: Any) -> int:
    """Return the hidden layer whose states are used, -1 for the last one, with the final norm."""
    return -2 if config.model_type in _LAST_BUT_ONE else -1


def max_positions(config: Any, tokenizer: Any) -> int:
    """Return the most tokens that the encoder takes, by its positions and its tokenizer."""
    text = config.get_text_config()
    limits = [tokenizer.model_max_length]
    positions = getattr(text, "max_position_embeddings", None)
    if positions and positions > 0:
        offset = (text.pad_token_id or 0) + 1 if config.model_type in _OFFSET_POSITIONS else 0
        limits.append(positions - offset)
    return int(min(limits))


def _text_part(model: Any, folder: Path) -> nn.Module:
    """Return the part of a model that reads text."""
    if model.config.is_encoder_decoder:
        return model.get_encoder()
    part = next((getattr(model, name) for name in _TOWERS if hasattr(model, name)), model)
    if part.get_input_embeddings() is None or not hasattr(part.config.get_text_config(), "vocab_size"):
        raise ValueError(f"{folder}: {type(model).__name__} does not read text; name a text encoder")
    return part


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextmanager
def quiet() -> Generator[None, None, None]:
    """Silence the reports and progress bars of transformers."""
    from transformers.utils import logging as transformers_logging

    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
