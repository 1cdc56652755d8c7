"""Weights on disk: safetensors, and a JSON file with their configuration and digest. Nothing is unpickled.

The folder of a trained transformer also holds the VAE of its latents, so that it suffices to generate.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from jsonargparse import ArgumentError, ArgumentParser
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from manifests.digest import digest_file
from trainer.config import DitConfig, VaeConfig
from trainer.dit.model import Dit
from trainer.migrations import migrate_state
from trainer.model_files import DIT, VAE, folder_of, read_about
from trainer.vae.model import VideoVae

Model = TypeVar("Model", bound=nn.Module)


def save_model(
    folder: Path | str,
    name: str,
    model: VideoVae | Dit,
    about: dict[str, Any],
    *,
    matrices: torch.dtype = torch.float32,
) -> str:
    """Write `<name>.safetensors` and `<name>.json`; return the digest of the weights file.

    Args:
        matrices: type in which weight matrices are stored; biases, norms and statistics stay as they are.

    Raises OSError, with the remedy, where they cannot be written; an earlier pair of files then stands.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    for key, value in model.named_parameters():
        if value.ndim > 1 and value.is_floating_point():
            state[key] = state[key].to(matrices)
    weights, about_file = folder / f".{name}.partial", folder / f".{name}.json.partial"
    try:
        save_file(state, weights)
        digest = digest_file(weights)
        content = {"config": asdict(model.config), "digest": digest, **about}
        about_file.write_text(json.dumps(content, indent=1) + "\n")
        weights.chmod(about_file.stat().st_mode)  # safetensors lets the owner alone read
        weights.replace(folder / f"{name}.safetensors")
        about_file.replace(folder / f"{name}.json")
    except (SafetensorError, OSError) as error:  # safetensors raises no OSError for a full disk
        for partial in (weights, about_file):
            partial.unlink(missing_ok=True)
        raise OSError(
            f"{folder}: the weights of {name} cannot be written ({error}); make room there and run the same "
            "command again, a training with --resume: its last checkpoint stands"
        ) from error
    return digest


def load_vae(folder: Path | str) -> tuple[VideoVae, dict[str, Any]]:
    """Return a VAE in eval mode, and its JSON file."""
    about = read_about(folder, VAE)
    return _load_weights(VideoVae(read_vae_config(folder)), folder, VAE, about), about


def read_vae_config(folder: Path | str) -> VaeConfig:
    """Return the shape of a stored VAE, without its weights."""
    return _parse_config(VaeConfig, read_about(folder, VAE)["config"])


def load_dit(folder: Path | str) -> tuple[Dit, dict[str, Any]]:
    """Return a diffusion transformer in eval mode, and its JSON file."""
    about = read_about(folder, DIT)
    return _load_weights(Dit(_parse_config(DitConfig, about["config"])), folder, DIT, about), about


def _parse_config(cls: type, fields: dict[str, Any]) -> Any:
    """Build a configuration from JSON, with its types checked and lists as tuples."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(cls, "config")
    try:
        return parser.instantiate(parser.parse_object({"config": fields}))["config"]
    except ArgumentError as error:
        raise ValueError(
            f"no configuration of a {cls.__name__} ({error}): of another version or kind"
        ) from error


def _load_weights(model: Model, folder: Path | str, name: str, about: dict[str, Any]) -> Model:
    path = folder_of(folder) / f"{name}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; train again, or copy the whole folder")
    if digest_file(path) != about["digest"]:
        raise ValueError(
            f"{path}: its content is not what {name}.json names; copy both files of one training"
        )
    try:
        model.load_state_dict(migrate_state(load_file(path), name))
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{path}: no weights of this model ({reason}); copy the whole folder again"
        ) from error
    return model.eval().requires_grad_(False)
