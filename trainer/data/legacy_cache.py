"""Encoded sets of older versions: parts of 1024 rows of one index, with a tensor for each row and text."""

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from safetensors import safe_open

from manifests.shards import ShardIndex
from manifests.storage import ObjectInfo, open_storage

_FOLDER, _PART_ROWS, _EMPTY = "encoded", 1024, "empty.safetensors"
_MAX_OPEN = 32
"""Parts that are open at a time."""


class LegacyParts:
    """The tensors of an index, by row."""

    def __init__(self, index: ShardIndex) -> None:
        self._folder = Path(index.out_uri) / _FOLDER
        self._opened: OrderedDict[int, safe_open] = OrderedDict()

    def latent(self, row: int, start: int, suffix: int) -> np.ndarray:
        if start or suffix:
            raise ValueError(f"{self._folder}: holds no start {start} and no suffix; encode again")
        return self._get(row, "latent")

    def text(self, row: int, caption: str) -> np.ndarray:
        return self._get(row, caption)

    def empty_text(self) -> np.ndarray:
        with safe_open(self._folder / _EMPTY, "np") as file:
            return file.get_tensor("empty").astype(np.float32)

    def _get(self, row: int, name: str) -> np.ndarray:
        part = row // _PART_ROWS
        if part not in self._opened:
            self._opened[part] = safe_open(self._folder / _part_name(part), "np")
        self._opened.move_to_end(part)
        if len(self._opened) > _MAX_OPEN:
            self._opened.popitem(last=False)
        return self._opened[part].get_tensor(f"{row}.{name}").astype(np.float32)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_opened": OrderedDict()}  # open files cannot be pickled


def _part_name(part: int) -> str:
    return f"part-{part:05d}.safetensors"


def legacy_bytes(out_uri: str) -> int:
    """Return the size of the parts of an older version."""
    return sum(info.size for info in _files(out_uri))


def remove_legacy(out_uri: str) -> None:
    """Delete the parts of an older version, which a newer set replaced."""
    storage = open_storage(out_uri)
    for info in list(_files(out_uri)):
        storage.delete(info.key)


def _files(out_uri: str) -> Iterator[ObjectInfo]:
    for info in open_storage(out_uri).list(_FOLDER):
        name = info.key.removeprefix(f"{_FOLDER}/")
        if name == _EMPTY or (name.startswith("part-") and name.endswith(".safetensors")):
            yield info
