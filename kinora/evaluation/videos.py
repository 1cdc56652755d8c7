"""Sample videos and keep them on disk by weights and conditions, so that a run that was ended goes on.

Legend: T frames, H height, W width, C channels (RGB).
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from manifests.replacing import replacing
from trainer.config import SampleConfig
from trainer.sample.conditions import Conditions
from trainer.sample.model import TextToVideo
from trainer.sample.sampler import generate


class Stored(NamedTuple):
    """A video in the store, and the processor time that it took."""

    frames_THWC: np.ndarray
    seconds: float


class VideoStore:
    """Files NAME.npz in a folder, each written whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, name: str) -> Stored | None:
        """Return a video; None where it is not stored."""
        path = self._folder / f"{name}.npz"
        if not path.exists():
            return None
        with np.load(path) as arrays:
            return Stored(arrays["frames"], float(arrays["seconds"]))

    def put(self, name: str, video: Stored) -> None:
        """Store a video."""
        with replacing(self._folder / f"{name}.npz") as partial, partial.open("wb") as file:
            np.savez_compressed(file, frames=video.frames_THWC, seconds=video.seconds)


class StoringMaker:
    """Samples what is not stored yet. `seconds`: processor time of each video, by name of the call."""

    def __init__(self, model: TextToVideo, config: SampleConfig, store: VideoStore) -> None:
        self.model, self.config, self._store = model, config, store
        self.seconds: dict[str, list[float]] = {}

    def __call__(self, conditions: Sequence[Conditions], *, name: str = "video") -> list[np.ndarray]:
        """Return frames_THWC (uint8) of each."""
        names = [conditions_digest(each, self.config) for each in conditions]
        found = {key: stored for key in names if (stored := self._store.get(key)) is not None}
        missing = {key: each for key, each in zip(names, conditions, strict=True) if key not in found}
        if missing:
            begin = time.process_time()
            made = generate(self.model, list(missing.values()), self.config)
            seconds = (time.process_time() - begin) / len(missing)
            for key, frames_THWC in zip(missing, made, strict=True):
                found[key] = Stored(frames_THWC, seconds)
                self._store.put(key, found[key])
        self.seconds[name] = [found[key].seconds for key in names]
        return [found[key].frames_THWC for key in names]


def conditions_digest(conditions: Conditions, config: SampleConfig) -> str:
    """Return a digest of all that a video depends on, besides the weights."""
    digest = hashlib.sha256()
    for array in (conditions.latent_CTHW.numpy(), conditions.level_T.numpy()):
        digest.update(f"{array.shape}{array.dtype}".encode() + np.ascontiguousarray(array).tobytes())
    for start, frames_THWC in conditions.kept:
        digest.update(f"{start}{frames_THWC.shape}".encode() + np.ascontiguousarray(frames_THWC).tobytes())
    rest = {
        "prompts": conditions.prompts,
        "negative_prompt": conditions.negative_prompt,
        "seed": conditions.seed,
        "loop": conditions.loop,
        "frames": (conditions.frames_before, conditions.frames_after),
        "sample": asdict(config),
    }
    digest.update(json.dumps(rest, sort_keys=True).encode())
    return digest.hexdigest()[:32]
