"""Former names in stored weights and checkpoints: files of older versions load.

Former names of configuration fields are in manifests/renamed_fields.py.
"""

from collections.abc import Mapping
from typing import Any

from trainer.masks import FIXED_MASKS

RENAMED_MODULES: Mapping[str, Mapping[str, str]] = {
    "vae": {
        "stem": "conv_in",
        "shrink": "downsample",
        "grow": "upsample",
        "head": "conv_out",
        "space": "spatial_conv",
        "time": "temporal_conv",
        "latent_spread_CC": "latent_scale_CC",
    },
    "model": {
        "enter": "patch_embed",
        "place": "pos_embed",
        "level": "timestep_embed",
        "project": "proj_in",
        "attends": "self_attns",
        "thinks": "mlps",
        "summary": "pooled_text_proj",
        "norm_words": "norm_cross",
        "attend": "self_attn",
        "read": "cross_attn",
        "think": "mlp",
        "leave": "proj_out",
    },
}
"""New names of submodules by their old ones, for each network: `vae` and `model` (the transformer)."""

RENAMED_DATA_STATE = {"start_steps": "warmup_bucket_steps"}
"""New names in the data modules' part of a checkpoint."""


def migrate_state(state: Mapping[str, Any], network: str) -> dict[str, Any]:
    """Return the weights of `vae` or `model` under today's names."""
    renamed = RENAMED_MODULES[network]
    return {".".join(renamed.get(part, part) for part in key.split(".")): state[key] for key in state}


def migrate_checkpoint(checkpoint: dict[str, Any], network: str) -> None:
    """Rename, in place, the EMA, submodules and optimizer state of a checkpoint of an older version.

    Optimizer state is stored by position, so that it needs only the name of each optimizer.
    """
    state = {_ema_key(key): value for key, value in checkpoint["state_dict"].items()}
    checkpoint["state_dict"] = migrate_state(state, network)
    checkpoint["optimizer_states"] = [
        dict(zip(("muon", "adamw"), each["both"], strict=True)) if "both" in each else each
        for each in checkpoint["optimizer_states"]
    ]


def _ema_key(key: str) -> str:
    return f"ema.{key.removeprefix('average.')}" if key.startswith("average.") else key


def migrate_data_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a data module's state under today's names, with what older versions always had."""
    migrated: dict[str, Any] = {
        "order": "samples",
        "window_steps": 16,
        "run_clips": 16,
        "first_frame_steps": 0,
    } | {RENAMED_DATA_STATE.get(key, key): value for key, value in state.items()}
    if "flow" in migrated:
        migrated["flow"] = {"masks": FIXED_MASKS, "given_noise": 0.0, **migrated["flow"]}
    return migrated
