"""Latents and text states beside the shards: what `kinora encode` writes and the transformer trains on.

`encoded/encoded.json` holds the digests of the index, the VAE and the text encoder, and the VAE's shape;
`encoded/part-00000.safetensors` holds the clips of rows 0 to 1023, and so on, memory-mapped when read.

Legend: C channels, T latent frames, H height, W width, L text tokens, D text width.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from manifests.shards import ShardIndex
from trainer.config import VaeConfig

FOLDER, ABOUT, PART_ROWS = "encoded", "encoded.json", 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Digests of what a set was encoded from."""

    index: str
    vae: str
    text: str


class EncodedSet:
    """The encoded clips of one packed set."""

    def __init__(self, folder: Path, origin: Origin, vae_config: VaeConfig) -> None:
        self.folder, self.origin, self.vae_config = folder, origin, vae_config
        self._parts: dict[int, safe_open] = {}

    @classmethod
    def load(cls, index: ShardIndex) -> "EncodedSet":
        """Open the set encoded for an index. Raises FileNotFoundError or ValueError, with the remedy."""
        path = Path(index.root) / FOLDER / ABOUT
        remedy = f"run `kinora encode --shards {index.root} --vae FOLDER`"
        if not path.is_file():
            raise FileNotFoundError(f"{path}: the clips are not encoded yet; {remedy}")
        about = json.loads(path.read_text())
        vae_config = VaeConfig(**about.pop("vae_config", {}))  # sets of older versions hold no shape
        origin = Origin(**about)
        if origin.index != index.digest:
            raise ValueError(f"{path}: made from other shards than those in {index.root}; {remedy} again")
        return cls(path.parent, origin, vae_config)

    def latent(self, row: int) -> np.ndarray:
        """Return latent_CTHW (float32) of index row `row`."""
        return self._get(row, "latent")

    def text(self, row: int, caption: str) -> np.ndarray:
        """Return state_LD (float32) of the `short` or `dense` caption of index row `row`."""
        return self._get(row, caption)

    def empty_text(self) -> np.ndarray:
        """Return state_LD (float32) of the empty text, for classifier-free guidance."""
        with safe_open(self.folder / "empty.safetensors", "np") as file:
            return file.get_tensor("empty").astype(np.float32)

    def _get(self, row: int, name: str) -> np.ndarray:
        part = row // PART_ROWS
        if part not in self._parts:
            self._parts[part] = safe_open(self.folder / part_name(part), "np")
        return self._parts[part].get_tensor(f"{row}.{name}").astype(np.float32)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_parts": {}}  # open files cannot be pickled


def part_name(part: int) -> str:
    return f"part-{part:05d}.safetensors"


def write_part(folder: Path, part: int, tensors: dict[str, np.ndarray]) -> None:
    """Write the clips of one part atomically."""
    partial = folder / f".{part_name(part)}.partial"
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    save_file(contiguous, partial)  # safetensors writes a strided view's memory as it lies, scrambled
    partial.replace(folder / part_name(part))


def write_about(folder: Path, origin: Origin, vae_config: VaeConfig, empty_LD: np.ndarray) -> None:
    """Write `encoded.json`, which marks the set as complete: call it last."""
    save_file({"empty": empty_LD}, folder / "empty.safetensors")
    partial = folder / f".{ABOUT}.partial"
    partial.write_text(json.dumps({**asdict(origin), "vae_config": asdict(vae_config)}, indent=1) + "\n")
    partial.replace(folder / ABOUT)
