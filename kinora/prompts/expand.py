"""Expand prompts with what a configuration names."""

from collections.abc import Sequence

from captioner.text_config import TextModelConfig
from captioner.upsample import Upsampled, upsample
from kinora.prompts.worlds_upsampler import upsample_worlds


def expand_prompts(
    prompts: Sequence[str], config: TextModelConfig, *, still: bool = False, seed: int = 0
) -> list[Upsampled]:
    """Expand prompts with the language model of `config`, or, if it names none, for the simulated worlds.

    Raises:
        ValueError: for an endpoint without a model, or one that does not answer.
        OSError: for a model that does not exist.
    """
    if not config.model and not config.endpoint:
        return upsample_worlds(prompts, still=still, seed=seed)
    from captioner.text_model import load_text_model

    return upsample(prompts, load_text_model(config).answer)
