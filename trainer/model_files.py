"""The JSON files beside weights. Imports no torch."""

import json
from pathlib import Path
from typing import Any

VAE, DIT = "vae", "model"
"""File names, without the suffix."""


def read_about(folder: Path | str, name: str) -> dict[str, Any]:
    """Return the JSON file of weights. Raises FileNotFoundError with the remedy."""
    path = Path(folder) / f"{name}.json"
    if not path.is_file():
        verb = "vae" if name == VAE else "dit"
        raise FileNotFoundError(
            f"{folder}: no {path.name}; train one with `kinora train {verb} fit --out {folder}`"
        )
    return json.loads(path.read_text())
