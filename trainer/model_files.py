"""Where weights lie, and the JSON files beside them. Imports no torch."""

import json
from pathlib import Path
from typing import Any

from manifests.digest import digest_parts

SHIPPED = "shipped"
"""Names the weights in the package, wherever a folder of weights is asked for."""
SHIPPED_FOLDER = Path(__file__).with_name("weights")
VAE, DIT = "vae", "model"
"""File names, without the suffix."""
_FILE_KEYS = {"config", "digest"}
_MODEL_KEYS = {"vae_digest", "fps", "buckets", "flow", "text_encoder", "text_digest"}
_KEYS = {VAE: _FILE_KEYS, DIT: _FILE_KEYS | _MODEL_KEYS}
"""Keys that each JSON file must have."""


def folder_of(name: Path | str) -> Path:
    """Return the folder of weights, for `shipped` that in the package."""
    return SHIPPED_FOLDER if str(name) == SHIPPED else Path(name)


def latents_digest(about: dict[str, Any]) -> str:
    """Return the digest that names a VAE's latents, from its JSON file.

    It is that of its weights, or of the VAE whose encoder it kept.
    """
    return str(about.get("latents_digest", about["digest"]))


def pixels_digest(folder: Path | str) -> str:
    """Return one digest for all that decides the pixels of a generated video: transformer and VAE."""
    return digest_parts(*(str(read_about(folder, name)["digest"]) for name in (DIT, VAE)))


def read_about(folder: Path | str, name: str) -> dict[str, Any]:
    """Return the JSON file of weights. Raises FileNotFoundError with the remedy."""
    path = folder_of(folder) / f"{name}.json"
    if not path.is_file() and str(folder) == SHIPPED:
        raise FileNotFoundError(
            f"{path}: the weights that ship with Kinora are missing; install it again, or name a folder of "
            "your own"
        )
    if not path.is_file():
        verb = "vae" if name == VAE else "dit"
        raise FileNotFoundError(
            f"{folder}: no {path.name}; train one with `kinora train {verb} fit --out {folder}`"
        )
    try:
        about = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: damaged ({error}); copy the whole folder again") from error
    missing = sorted(_KEYS[name] - set(about if isinstance(about, dict) else ()))
    if missing:
        raise ValueError(
            f"{path}: lacks {missing[0]!r}, so it is of another kind; name a folder that `kinora train` wrote"
        )
    return about
