"""The captioner that ships in the repository: a small Qwen2-VL that knows simulated worlds, and nothing else.

It is an ordinary model folder, loaded by the same class as any model of the hub.
"""

from pathlib import Path

from captioner.config import VlmConfig
from captioner.vlm import TransformersCaptioner

WEIGHTS = Path(__file__).parent / "weights" / "embedded"
FRAMES, RATE_HZ = 8, 4.0
"""It is shown the first two seconds, four frames a second: so it was trained, and so it can tell a speed."""
DENSE_PROMPT, SHORT_PROMPT = "worlds_dense", "worlds_short"


def load_embedded(batch_size: int = 64, weights: str = "") -> TransformersCaptioner:
    """Load the shipped weights, or those that `kinora train captioner fit` exported to `weights`."""
    folder = Path(weights) if weights else WEIGHTS
    if not (folder / "model.safetensors").is_file():
        raise FileNotFoundError(
            f"no model.safetensors in {folder}: give the `export` folder of `kinora train captioner fit`"
        )
    config = VlmConfig(
        model=str(folder),
        frames=FRAMES,
        rate_hz=RATE_HZ,
        batch_size=batch_size,
        max_new_tokens=192,
        dtype="bfloat16",
        device="cpu",
    )
    return TransformersCaptioner(config, captioner="embedded", name="kinora-embedded")
