"""Which clips make the loss of a step NaN or infinite."""

from typing import Any, cast

import lightning as L
import torch
from torch import distributed as dist


@torch.no_grad()
def nonfinite_clips(trainer: L.Trainer, step: int) -> list[str]:
    """Return the keys of the clips of an optimizer step whose own loss is not finite, or of all its clips.

    Collective: call on all ranks. Computes the loss of each clip alone.
    """
    data, module = cast(Any, trainer).datamodule, cast(Any, trainer.lightning_module)
    rows = data.rows_of_step(step)
    bad: list[str] = []
    for row in rows[trainer.global_rank :: trainer.world_size]:
        batch = trainer.strategy.batch_to_device(data.read_rows(step, (row,)))
        with trainer.precision_plugin.forward_context():
            if not bool(module.loss_sum(batch).isfinite()):
                bad.append(data.index.sample(row).key)
    if trainer.world_size > 1:
        gathered: list[list[str] | None] = [None] * trainer.world_size
        dist.all_gather_object(gathered, bad)
        bad = [key for keys in gathered for key in keys or ()]
    return bad or [data.index.sample(row).key for row in rows]
