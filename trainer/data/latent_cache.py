"""Latents and text states beside the shards: what `kinora encode` writes and the transformer trains on.

`encoded/encoded.json` names the index, the compression network and the text encoder that it was made from;
`encoded/part-00000.safetensors` holds the clips of rows 0 to 1023, and so on, memory-mapped when read.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from manifests.shards import ShardIndex

FOLDER, ABOUT, PART_ROWS = "encoded", "encoded.json", 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What encoded clips were made from: digests."""

    index: str
    vae: str
    text: str


class EncodedSet:
    """The encoded clips of one packed set."""

    def __init__(self, folder: Path, origin: Origin) -> None:
        self.folder, self.origin = folder, origin
        self._parts: dict[int, safe_open] = {}

    @classmethod
    def load(cls, index: ShardIndex) -> "EncodedSet":
        """Open what was encoded for this index. Raises FileNotFoundError or ValueError, with the remedy."""
        path = Path(index.root) / FOLDER / ABOUT
        remedy = f"run `kinora encode --shards {index.root} --vae FOLDER`"
        if not path.is_file():
            raise FileNotFoundError(f"{path}: the clips are not encoded yet; {remedy}")
        origin = Origin(**json.loads(path.read_text()))
        if origin.index != index.digest:
            raise ValueError(f"{path}: made from other shards than those in {index.root}; {remedy} again")
        return cls(path.parent, origin)

    def latent(self, row: int) -> np.ndarray:
        """Return latent_CTHW (float32) of index row `row`."""
        return self._get(row, "latent")

    def text(self, row: int, kind: str) -> np.ndarray:
        """Return state_LD (float32) of the `short` or `dense` caption of index row `row`."""
        return self._get(row, kind)

    def empty_text(self) -> np.ndarray:
        """Return state_LD (float32) of no text at all, which is what guidance goes away from."""
        with safe_open(self.folder / "empty.safetensors", "np") as file:
            return file.get_tensor("empty").astype(np.float32)

    def _get(self, row: int, kind: str) -> np.ndarray:
        part = row // PART_ROWS
        if part not in self._parts:
            self._parts[part] = safe_open(self.folder / part_name(part), "np")
        return self._parts[part].get_tensor(f"{row}.{kind}").astype(np.float32)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_parts": {}}  # open files do not travel to another process


def part_name(part: int) -> str:
    return f"part-{part:05d}.safetensors"


def write_part(folder: Path, part: int, tensors: dict[str, np.ndarray]) -> None:
    """Write the clips of one part, whole or not at all."""
    partial = folder / f".{part_name(part)}.partial"
    plain = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    save_file(plain, partial)  # of a strided view it would write the memory as it lies, scrambled
    partial.replace(folder / part_name(part))


def write_about(folder: Path, origin: Origin, empty_LD: np.ndarray) -> None:
    """Say that all parts are there; comes last."""
    save_file({"empty": empty_LD}, folder / "empty.safetensors")
    partial = folder / f".{ABOUT}.partial"
    partial.write_text(json.dumps(asdict(origin), indent=1) + "\n")
    partial.replace(folder / ABOUT)
