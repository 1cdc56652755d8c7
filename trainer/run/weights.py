"""The weights of a run: of its newest checkpoint, or those that it exported."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from trainer.checkpoints import VAE, load_dit, load_vae
from trainer.migrations import migrate_checkpoint
from trainer.model_files import folder_of
from trainer.run.saving import FOLDER, SETTINGS, newest_checkpoint, read_checkpoint
from trainer.run.settings import Settings


class RunWeights(NamedTuple):
    """Weights of a network and where they are from."""

    ema: dict[str, Tensor]
    """EMA of the weights, by the names of the network's state."""
    step: int
    path: Path
    settings: Settings
    """Of the run; empty for an older version's, and for exported weights."""


def load_run_weights(run: Path, name: str) -> RunWeights:
    """Return the EMA weights of a run of `vae` or `model`; `shipped` is the run in the package.

    Raises FileNotFoundError where there are none.
    """
    run = folder_of(run)
    if not run.is_dir():
        raise FileNotFoundError(f"{run}: no such folder; name the --out of a run")
    newest = newest_checkpoint(run / FOLDER)
    if newest is not None:
        checkpoint = read_checkpoint(newest)
        migrate_checkpoint(checkpoint, name)
        state: Mapping[str, Any] = checkpoint["state_dict"]
        ema = {key.removeprefix("ema."): state[key] for key in state if key.startswith("ema.")}
        return RunWeights(ema, checkpoint["global_step"], newest, checkpoint.get(SETTINGS, {}))
    path = run / f"{name}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"{run}: holds no checkpoint and no {path.name}; name the --out of a run")
    model, about = (load_vae if name == VAE else load_dit)(run)
    return RunWeights(model.state_dict(), int(about["steps"]), path, {})


def check_shapes(weights: RunWeights, expected: Mapping[str, Tensor]) -> None:
    """Raise ValueError where the weights are those of a network of another shape."""
    for name in sorted(weights.ema.keys() | expected.keys()):
        theirs, ours = (tuple(s[name].shape) if name in s else None for s in (weights.ema, expected))
        if theirs != ours:
            raise ValueError(
                f"{weights.path}: {name} is {theirs or 'missing'}, but {ours or 'missing'} in the network "
                "that is configured: use the configuration of that run (OUT/logs/version_0/config.yaml)"
            )
