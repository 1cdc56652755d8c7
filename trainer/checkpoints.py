"""Weights on disk: safetensors beside a JSON file that says what they are. Nothing pickled is ever loaded.

A folder with a trained diffusion transformer holds the compression network that made its latents too, so
that the folder alone is enough to generate.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from jsonargparse import ArgumentParser
from safetensors.torch import load_file, save_file
from torch import nn

from trainer.config import DitConfig, VaeConfig
from trainer.digest import file_digest
from trainer.dit.model import Dit
from trainer.vae.model import VideoVae

Model = TypeVar("Model", bound=nn.Module)

VAE, DIT = "vae", "model"
"""File names, without the ending."""


def save_model(folder: Path | str, name: str, model: VideoVae | Dit, about: dict[str, Any]) -> str:
    """Write `<name>.safetensors` and `<name>.json`; return the digest of the weights."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    partial = folder / f".{name}.partial"
    save_file(state, partial)
    digest = file_digest(partial)
    partial.replace(folder / f"{name}.safetensors")
    content = {"config": asdict(model.config), "digest": digest, **about}
    (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    return digest


def load_vae(folder: Path | str) -> tuple[VideoVae, dict[str, Any]]:
    """Return a compression network in eval mode, and what its JSON file says of it."""
    about = read_about(folder, VAE)
    return _loaded(VideoVae(_parsed(VaeConfig, about["config"])), folder, VAE, about), about


def load_dit(folder: Path | str) -> tuple[Dit, dict[str, Any]]:
    """Return a diffusion transformer in eval mode, and what its JSON file says of it."""
    about = read_about(folder, DIT)
    return _loaded(Dit(_parsed(DitConfig, about["config"])), folder, DIT, about), about


def read_about(folder: Path | str, name: str) -> dict[str, Any]:
    """Return the JSON file beside some weights. Raises FileNotFoundError with the remedy."""
    path = Path(folder) / f"{name}.json"
    if not path.is_file():
        verb = "vae" if name == VAE else "dit"
        raise FileNotFoundError(
            f"{folder}: no {path.name}; train one with `kinora train {verb} fit --out {folder}`"
        )
    return json.loads(path.read_text())


def _parsed(kind: type, fields: dict[str, Any]) -> Any:
    """Build a config from JSON, with types checked and tuples as tuples."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "config")
    return parser.instantiate_classes(parser.parse_object({"config": fields}))["config"]


def _loaded(model: Model, folder: Path | str, name: str, about: dict[str, Any]) -> Model:
    path = Path(folder) / f"{name}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; train again, or copy the whole folder")
    if file_digest(path) != about["digest"]:
        raise ValueError(
            f"{path}: its content is not what {name}.json names; copy both files of one training"
        )
    model.load_state_dict(load_file(path))
    return model.eval().requires_grad_(False)
