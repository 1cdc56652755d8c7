"""Models that embed pictures and, if they have a text tower, texts: names, digests and loading.

A model is named in one of three ways:

    local-dir:FOLDER   a folder as open_clip writes it: open_clip_config.json and weights
    FOLDER             a folder of a transformers model: config.json, preprocessor_config.json and weights
    NAME/TAG           an architecture and a pretrained tag of open_clip, with a file of weights

Each says which pixels and which activation its weights want. Imports no model before one is loaded.

Legend: N pictures, S texts, H x W pixels, C channels (RGB, uint8), D embedding dimensions.
"""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from manifests.digest import digest_parts, digest_stream

LOCAL = "local-dir:"
OPEN_CLIP_CONFIG, CONFIG = "open_clip_config.json", "config.json"
PREPROCESSORS = ("preprocessor_config.json", "processor_config.json")
REMEDY = (
    "name local-dir:FOLDER (an open_clip model with its open_clip_config.json), FOLDER (a transformers model "
    "of images, or of images and texts such as CLIP or SigLIP), or NAME/TAG of open_clip with a file of "
    "weights. No package ships such a model; where there is a hub, `hf download "
    "laion/CLIP-ViT-B-32-laion2B-s34B-b79K --local-dir FOLDER` gets one"
)
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")


class Embedder(Protocol):
    """Embeds pictures and texts into one space."""

    name: str

    def embed_images(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Return unit embeddings_ND (float32) of frames rgb_HWC."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return unit embeddings_SD (float32). Raises ValueError for a model without a text tower."""
        ...

    def count_tokens(self, text: str) -> tuple[int, int]:
        """Return how many tokens of a text the model sees, and how many the text has."""
        ...


def load_embedder(model: str, weights: str = "", device: str = "") -> Embedder:
    """Load a model.

    Args:
        model: as the module describes.
        weights: file of the weights of a NAME/TAG (.safetensors, or .pt that holds tensors only).
        device: a torch device; the GPU if there is one by default.

    Raises:
        ValueError: for a name that leaves pixels or activation open, or a model that cannot embed a picture.
    """
    check_embedder(model, weights)
    if weights or model.startswith(LOCAL):
        from captioner.open_clip_embedder import OpenClipEmbedder

        return OpenClipEmbedder(model, weights, device)
    from captioner.transformers_embedder import TransformersEmbedder

    return TransformersEmbedder(model, device)


def check_embedder(model: str, weights: str = "") -> None:
    """Raise ValueError, with the remedy, for a name that is not one of a model, or a file that is missing."""
    if not model:
        raise ValueError(f"clip_model: not set; {REMEDY}")
    if model.startswith(LOCAL):
        _check_open_clip_folder(Path(model.removeprefix(LOCAL)))
    elif weights:
        if not Path(weights).is_file():
            raise ValueError(
                f"clip_weights: {weights}: no such file; give the file of the weights of {model}"
            )
        from captioner.open_clip_embedder import pretrained_config

        pretrained_config(model)
    elif not Path(model).is_dir():
        tagged = " (a NAME/TAG of open_clip needs clip_weights, a file)" if "/" in model else ""
        raise ValueError(f"clip_model {model!r}: no such folder{tagged}; {REMEDY}")
    else:
        _check_transformers_folder(Path(model))


def packages_of(model: str, weights: str = "") -> tuple[str, ...]:
    """Return the packages that a model of this name needs."""
    return ("open_clip", "torch") if weights or model.startswith(LOCAL) else ("transformers", "torch")


def model_digest(model: str) -> str:
    """Return a digest of what decides embeddings in a folder or file; any other name as it is."""
    path = Path(model.removeprefix(LOCAL))
    if not model or not path.exists():
        return model
    if path.is_file():
        return _file_digest(path)
    files = sorted(_deciding_files(path))
    return digest_parts("model", *(f"{file.name} {_file_digest(file)}" for file in files))


def _deciding_files(folder: Path) -> Iterator[Path]:
    """Yield the configuration and the weights, without tokenizers and texts for people."""
    for file in folder.iterdir():
        if file.name in (OPEN_CLIP_CONFIG, CONFIG, *PREPROCESSORS) or file.suffix in _WEIGHTS:
            yield file


def _file_digest(path: Path) -> str:
    stat = path.stat()
    return _digest_of(str(path), stat.st_size, stat.st_mtime_ns)


@cache
def _digest_of(path: str, size_bytes: int, mtime_ns: int) -> str:
    with Path(path).open("rb") as content:
        return digest_stream(content)


def _check_open_clip_folder(folder: Path) -> None:
    config = _read_json(folder / OPEN_CLIP_CONFIG, "export the model with open_clip, which writes it")
    pixels = config.get("preprocess_cfg") or {}
    if missing := [name for name in ("mean", "std") if not pixels.get(name)]:
        raise ValueError(
            f"clip_model: {folder / OPEN_CLIP_CONFIG}: preprocess_cfg lacks {' and '.join(missing)}, so it "
            "does not say which pixels the weights want; write what they were trained with"
        )
    if not isinstance(config.get("model_cfg"), dict):
        raise ValueError(
            f"clip_model: {folder / OPEN_CLIP_CONFIG}: lacks model_cfg, the architecture; add it"
        )


def _check_transformers_folder(folder: Path) -> None:
    if not (folder / CONFIG).is_file() and (folder / OPEN_CLIP_CONFIG).is_file():
        raise ValueError(f"clip_model: {folder} holds an open_clip model; write {LOCAL}{folder}")
    config = _read_json(folder / CONFIG, REMEDY)
    if "pretrained_cfg" in config:  # of timm, which has its pixels there
        return
    if not any((folder / name).is_file() for name in PREPROCESSORS):
        raise ValueError(
            f"clip_model: {folder} has no {PREPROCESSORS[0]}; it says which pixels the weights want: copy it "
            "from the model's source"
        )


def _read_json(path: Path, remedy: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ValueError(f"clip_model: {path.parent} has no {path.name}; {remedy}") from None
    except ValueError as error:
        raise ValueError(f"clip_model: {path}: is not JSON ({error}); copy it again") from error
    if not isinstance(found, dict):
        raise ValueError(f"clip_model: {path}: holds no JSON object; copy it again")
    return found
