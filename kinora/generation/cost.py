"""Say what a request costs before it starts, where that is more than a minute."""

from collections.abc import Sequence

from kinora.generation.prepare import Prepared
from kinora.generation.run import batches
from trainer.sample.cost import Cost, estimate_cost
from trainer.sample.model import TextToVideo

TOLD_FROM_S = 60.0
"""Shortest time that is told."""
_SMALL_FLOP, _SMALL_PIXELS = 2e11, 2e7
"""Work below which nothing is measured: some 10 s of one core. A measurement runs a few steps itself."""
_BRANCHES = 2


def describe_cost(
    model: TextToVideo, prepared: Sequence[Prepared], *, told_from_s: float = TOLD_FROM_S
) -> str:
    """Return a line with the time and the memory that videos will take; empty where that is little."""
    if _is_small(model, prepared):
        return ""
    seconds, memory = 0.0, 0
    known: dict[object, Cost] = {}
    for places in batches(model, prepared):
        batch = [prepared[place] for place in places]
        first = batch[0]
        key = (len(batch), first.config, first.conditions.latent_CTHW.shape, first.verb)
        if key not in known:
            known[key] = estimate_cost(model, [each.conditions for each in batch], first.config)
        seconds, memory = seconds + known[key].seconds, max(memory, known[key].memory_bytes)
    if seconds < told_from_s:
        return ""
    duration = f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} minutes"
    return f"this will take about {duration} and {memory / 1e9:.1f} GB beside the weights"


def _is_small(model: TextToVideo, prepared: Sequence[Prepared]) -> bool:
    parameters = sum(parameter.numel() for parameter in model.dit.parameters())
    flop = pixels = 0
    for each in prepared:
        tokens = model.dit.config.num_tokens(tuple(each.conditions.latent_CTHW.shape))
        steps = len(each.config.sigmas) or each.config.steps
        flop += 2 * parameters * tokens * steps * _BRANCHES
        pixels += each.frames * each.size.width * each.size.height
    return flop < _SMALL_FLOP and pixels < _SMALL_PIXELS
