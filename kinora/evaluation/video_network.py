"""Networks that turn a video into features: a video model of transformers, or a function of your own.

Legend: T frames, H height, W width, C channels (RGB), L tokens, F features.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoVideoProcessor

from kinora.generation.weights import PICKLES
from manifests.own_functions import call_own

FRAMES = 16
"""Frames of a clip for a network that names no number."""
_FRAME_FIELDS = ("num_frames", "frames_per_clip")
"""Fields of transformers' configurations with the number of frames of the training."""
_OPTIONAL = ("pooler",)
"""Weights that classifiers lack, and that these features do not need."""


class VideoNetwork:
    """Computes features. `name`: for the report; `frames`: frames that it was made for, if it says so."""

    name: str
    frames: int | None = None

    def __call__(self, frames_THWC: np.ndarray) -> np.ndarray:
        """Return the features_F (float64) of a clip (uint8). Raises ValueError for what is no vector."""
        raise NotImplementedError


class OwnNetwork(VideoNetwork):
    """A function, or a class that is made once, given as `module:name`: frames_THWC (uint8) to features_F."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._call: Callable[[np.ndarray], Any] = call_own(name, "--network")

    def __call__(self, frames_THWC: np.ndarray) -> np.ndarray:
        features = self._call(frames_THWC)
        features = features.detach().cpu().numpy() if isinstance(features, torch.Tensor) else features
        features_F = np.asarray(features, np.float64)
        if features_F.ndim != 1 or not features_F.size:
            raise ValueError(f"--network {self.name} returned the shape {features_F.shape}: must be a vector")
        return features_F


class TransformersNetwork(VideoNetwork):
    """A video model in a folder, as safetensors: the mean of its last layer's tokens."""

    def __init__(self, folder: Path, device: str | None = None) -> None:
        """Load it. Raises ValueError or FileNotFoundError, with the remedy, for any other folder."""
        _check_folder(folder)
        self.name = folder.resolve().name
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            config: Any = AutoConfig.from_pretrained(folder, local_files_only=True)
            model, info = AutoModel.from_pretrained(
                folder, config=config, use_safetensors=True, local_files_only=True, output_loading_info=True
            )
            self._processor: Any = _processor(folder)
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"--network {folder}: no video model that transformers loads ({reason})"
            ) from error
        missing = [key for key in info["missing_keys"] if not key.startswith(_OPTIONAL)]
        if missing:
            raise ValueError(
                f"--network {folder}: its weights lack {sorted(missing)[0]!r}, which would be random; copy "
                "the whole folder again"
            )
        self._model: Any = model.eval().requires_grad_(False).to(self._device)
        self._input = str(model.main_input_name)
        self._more = {"skip_predictor": True} if config.model_type == "vjepa2" else {}
        self.frames = next((int(n) for name in _FRAME_FIELDS if (n := getattr(config, name, None))), None)

    def __call__(self, frames_THWC: np.ndarray) -> np.ndarray:
        read = self._processor([*frames_THWC], return_tensors="pt")
        pixels = next(value for key, value in read.items() if key.startswith("pixel_values"))
        try:
            states_BLF = self._model(**{self._input: pixels.to(self._device)}, **self._more).last_hidden_state
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"--network {self.name} cannot read {len(frames_THWC)} frames ({reason})"
            ) from error
        return states_BLF[0].double().mean(dim=0).cpu().numpy()


def load_network(name: str, device: str | None = None) -> VideoNetwork:
    """Return the network of a folder or of `module:name`. Raises ValueError or OSError with the remedy."""
    if Path(name).exists() or ":" not in name:
        return TransformersNetwork(Path(name), device)
    return OwnNetwork(name)


def _processor(folder: Path) -> Any:
    """Return what resizes and normalises frames as the model wants them."""
    try:
        processor = AutoVideoProcessor.from_pretrained(folder, local_files_only=True)
        return lambda frames, **more: processor(np.stack(frames), do_sample_frames=False, **more)
    except (OSError, ValueError):
        return AutoImageProcessor.from_pretrained(folder, local_files_only=True)


def _check_folder(folder: Path) -> None:
    """Raise FileNotFoundError or ValueError for what is no folder of a model as safetensors."""
    if folder.is_file():
        raise ValueError(
            f"--network {folder}: this is a file; name the folder of a video model of transformers with "
            "model.safetensors, or a function as MODULE:FUNCTION"
        )
    if not folder.is_dir():
        raise FileNotFoundError(
            f"--network {folder}: no such folder; name one with a video model, or give MODULE:FUNCTION"
        )
    if any(folder.glob("*.safetensors")):
        return
    pickles = sorted(file.name for file in folder.iterdir() if file.suffix in PICKLES)
    found = (
        f"{pickles[0]} is in Python's pickle format, which can execute code and is never loaded; store it as "
        "safetensors (`save_pretrained` of a model that you trust)"
        if pickles
        else "no model.safetensors; name the folder of a video model"
    )
    raise ValueError(f"--network {folder}: {found}")
