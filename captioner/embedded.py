"""The embedded captioner: a small Qwen2-VL trained on simulated worlds only.

It is a standard transformers model folder.
"""

import json
from pathlib import Path

from captioner.config import VlmConfig
from captioner.vlm import TransformersCaptioner

WEIGHTS = Path(__file__).parent / "weights" / "captioner"
FPS = 4.0
"""Rate of the frames that it is shown, from the start of a clip, as in training."""
LEAST_CHANCE = 0.02
"""Probability of all words of a clause below which it is left out. Of 515 sentences that state something
about 180 held-out worlds (others than those of `validate`) 30 were below it, and all were false."""
_AVOIDED = ("▁Step",)
"""Begins a sentence about a game that tells where the arrow points and what it does in one clause. Without it
the model tells them in two, and the first can stay without the other."""
REVISION = "embedded-2"
"""Part of the caption version: increment when the same weights answer otherwise."""
DENSE_PROMPT, SHORT_PROMPT = "worlds_dense", "worlds_short"


def load_embedded(batch_size: int = 64, weights: str = "") -> TransformersCaptioner:
    """Load the built-in weights, or those in a folder exported by `kinora train captioner fit`."""
    folder = Path(weights) if weights else WEIGHTS
    if not (folder / "model.safetensors").is_file():
        raise FileNotFoundError(
            f"{folder}: no model.safetensors; use the `export` folder of `kinora train captioner fit`"
        )
    config = VlmConfig(
        model=str(folder),
        frames=_count_frames(folder),
        fps=FPS,
        batch_size=batch_size,
        max_new_tokens=192,
        dtype="bfloat16",
        device="cpu",
    )
    captioner = TransformersCaptioner(
        config, captioner="embedded", name="kinora-embedded", least_chance=LEAST_CHANCE
    )
    vocabulary = captioner.processor.tokenizer.get_vocab()
    captioner.model.generation_config.suppress_tokens = [vocabulary[w] for w in _AVOIDED if w in vocabulary]
    return captioner


def _count_frames(folder: Path) -> int:
    """Return the number of frames that a model is shown: those of its one temporal patch."""
    config = json.loads((folder / "config.json").read_text())
    return config["vision_config"]["temporal_patch_size"]
