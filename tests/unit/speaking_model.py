"""Make a tiny model of tests/unit/vlm_models.py say one text, whatever it is asked."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

_GAIN = 4.0
"""Logits of what follows are this times the width's root above the others' spread."""


def make_say(folder: Path, text: str) -> None:
    """Change the weights so that each token is followed by the one after it in `text`, in which no character
    may have two followers. In JSON the text ends with a quotation mark instead of the end token."""
    processor: Any = AutoProcessor.from_pretrained(folder)
    model: Any = AutoModelForImageTextToText.from_pretrained(folder)
    tokenizer, weights = processor.tokenizer, dict(model.named_parameters())
    for name, weight in weights.items():  # what a layer adds to a token's embedding
        if "language_model" in name and name.endswith(("o_proj.weight", "down_proj.weight")):
            weight.data.zero_()
    embeddings, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert head is not embeddings
    said = tokenizer(f"\n{text}", add_special_tokens=False)["input_ids"]
    quote = tokenizer('"', add_special_tokens=False)["input_ids"][0]
    follows = [(*pair, 1.0) for pair in pairwise([*said, tokenizer.eos_token_id])]
    follows += [(said[-1], quote, 0.75), (quote, said[1], 1.0)]
    assert len({before for before, _, strength in follows if strength == 1.0}) == len(said) + 1, text
    with torch.no_grad():
        head.zero_()
        for before, after, strength in follows:
            head[after] += strength * _GAIN * torch.nn.functional.normalize(embeddings[before], dim=0)
    model.save_pretrained(folder)
