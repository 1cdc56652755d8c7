"""The model of tests/golden/legacy in one folder, which needs no training."""

import shutil
from pathlib import Path

LEGACY = Path(__file__).parents[1] / "golden" / "legacy"


def copy_legacy_model(folder: Path) -> Path:
    """Copy the transformer, trained on 9 frames of 64x64 and 80x48, and its VAE."""
    folder.mkdir(parents=True)
    for part, name in (("dit", "model"), ("vae", "vae")):
        for ending in ("json", "safetensors"):
            shutil.copyfile(LEGACY / part / f"{name}.{ending}", folder / f"{name}.{ending}")
    return folder
