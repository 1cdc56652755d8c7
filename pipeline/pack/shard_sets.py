"""Publish a shard set atomically: a folder by a rename, on S3 by one put.

S3 has no rename. A joined set lies below `set-<fingerprint>`, laid out as on a disk; the `pack.json` at the
top names the published one and is written last. The tars of split sets lie at the top, under names that end
in their digest, since a set shares with the one before it those that did not change.

What `kinora encode` and users keep beside the tars (a README.md, the dataset.yaml of Megatron-Energon) stays
when a set is replaced; indexes that other readers derived from the old tars go with them.
"""

import ctypes
import errno
import json
import os
import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, Protocol
from uuid import uuid4

import pyarrow as pa

from manifests.redact import redact
from manifests.shards import (
    CAPTION_TARS,
    ENCODED,
    INDEX_FILE,
    LAYOUT_KEY,
    MEDIA_TARS,
    PACK_FILE,
    PARQUET_FILE,
    SET_KEY,
    SPLIT,
    TARS,
    serialize_index,
)
from manifests.storage import DatasetError, Storage, describe_disk_full, open_storage

SPLIT_TARS = (MEDIA_TARS, CAPTION_TARS)
_OURS = {PACK_FILE, INDEX_FILE, PARQUET_FILE, TARS, *SPLIT_TARS, ENCODED}
OLD_BUCKETS = "ar_"
"""Prefix of the buckets' folders in sets of older versions, which had no folder of tars."""
_TOLERATED = {"README.md", "dataset_infos.json", ".nv-meta", ".gitattributes", ".cache", ".huggingface"}
"""Names that other readers of the tars, and the hubs that sets are uploaded to, leave in the folder."""
_DERIVED = {".info.json", ".info.yaml", "index.sqlite", "index.uuid", "split.yaml"}
"""Files in `.nv-meta` that `energon prepare` makes from the tars."""
SETS = "set-"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
"""Constants of renameat2(2)."""
_DIGEST_CHARS = 16
"""Length of the digest in the name of a tar of a split set on S3."""
_STALE_S = 24 * 3600.0
"""Age at which a later run removes what a killed run left on S3."""


class OutputRefused(ValueError):
    """The output folder holds something other than a shard set."""


class ShardSet(Protocol):
    """The output of one pack: `read_description`, `begin`, `keep`, write the tars, `publish`, `clean_up`."""

    uri: str
    """Absolute, without credentials."""

    def read_description(self) -> dict[str, Any]:
        """Return the `pack.json` of the published set, empty if there is none. Raises OutputRefused."""
        ...

    def tar_name(self, path: str, digest: str) -> str:
        """Return the name of a tar of a split set, relative to the URI that `begin` returns."""
        ...

    def begin(self, fingerprint: str, layout: str) -> str:
        """Return the URI to write the tars of a new set to."""
        ...

    def keep(self, tars: Collection[str]) -> None:
        """Take tars of the published split set over into the new one, which has begun."""
        ...

    def shared_uri(self) -> str:
        """Return the URI that every node of a cluster must see."""
        ...

    def publish(self, index: pa.Table, about: Mapping[str, Any], fps: float) -> None:
        """Write the index, and replace the published set by the new one."""
        ...

    def clean_up(self) -> None:
        """Remove what was not published."""
        ...

    def sizes(self, tars: Collection[str]) -> dict[str, int]:
        """Return the sizes of those of `tars` that the published set holds, in bytes."""
        ...


def open_shard_set(uri: str) -> ShardSet:
    """Return the output at `uri`: a path, `file://…` or `s3://bucket/prefix`."""
    if uri.startswith("s3://"):
        return S3ShardSet(open_storage(uri))
    if "://" in uri and not uri.startswith("file://"):
        raise OutputRefused(f"{redact(uri)}: shards lie in a folder or at s3://bucket/prefix; name one")
    return LocalShardSet(Path(uri.removeprefix("file://")))


class LocalShardSet:
    """A folder. A new set is written beside it under a hidden name."""

    def __init__(self, out: Path) -> None:
        self._out, self.uri = out, str(out.absolute())
        self._new = out.absolute().with_name(f".{out.name}.{uuid4().hex}.partial")

    def read_description(self) -> dict[str, Any]:
        out = self._out
        if not out.exists() or (out.is_dir() and not any(out.iterdir())):
            return {}
        if not out.is_dir():
            raise OutputRefused(f"{out}: is a file; name a folder for the shards")
        names = {path.name for path in out.iterdir()}
        foreign = [name for name in names if not _belongs(name)]
        if foreign or (names - _TOLERATED and not (out / PACK_FILE).is_file()):
            raise _refused(str(out), foreign)
        if PACK_FILE not in names:
            return {}
        return _parse((out / PACK_FILE).read_text())

    def shared_uri(self) -> str:
        self._out.parent.mkdir(parents=True, exist_ok=True)
        return str(self._out.absolute().parent)

    def tar_name(self, path: str, digest: str) -> str:
        return path

    def begin(self, fingerprint: str, layout: str) -> str:
        for moved in self._out.parent.glob(f".{self._out.name}.*.old"):
            if not self._out.exists() and (moved / PACK_FILE).is_file():
                moved.rename(self._out)  # a run was killed between the two renames of `publish`
        with describe_disk_full(self.uri, self._new.parent):
            self._new.mkdir(parents=True)
        return str(self._new)

    def keep(self, tars: Collection[str]) -> None:
        with describe_disk_full(self.uri, self._new.parent):
            for name in tars:
                self._link(name)

    def publish(self, index: pa.Table, about: Mapping[str, Any], fps: float) -> None:
        with describe_disk_full(self.uri, self._new.parent):
            for name, data in serialize_index(index, fps=fps).items():
                (self._new / name).write_bytes(data)
            (self._new / PACK_FILE).write_bytes(_text(about))
            self._keep_others()
        if not self._out.exists():
            self._new.rename(self._out)
            return
        old = self._new.with_suffix(".old")
        if exchange(self._out, self._new):
            self._new.rename(old)
        else:
            self._out.rename(old)
            self._new.rename(self._out)
        shutil.rmtree(old, ignore_errors=True)

    def _keep_others(self) -> None:
        """Link what is not of the old tars into the new set."""
        for path in [path for path in self._out.rglob("*") if path.is_file()]:
            name = path.relative_to(self._out)
            if not _is_replaced(name) and not (self._new / name).exists():
                self._link(name)

    def _link(self, name: PurePath | str) -> None:
        """Make a file of the published set one of the new set too."""
        target = self._new / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.hardlink_to(self._out / name)
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                raise
            shutil.copy2(self._out / name, target)  # a file system without hard links

    def clean_up(self) -> None:
        shutil.rmtree(self._new, ignore_errors=True)

    def sizes(self, tars: Collection[str]) -> dict[str, int]:
        paths = {tar: self._out / tar for tar in tars}
        return {tar: path.stat().st_size for tar, path in paths.items() if path.is_file()}


class S3ShardSet:
    """A prefix of a bucket. A new set is written below a name made of its fingerprint."""

    def __init__(self, storage: Storage) -> None:
        self._storage, self.uri = storage, storage.uri
        self._before: dict[str, Any] = {}
        self._set, self._is_split = "", False

    def read_description(self) -> dict[str, Any]:
        names = self._storage.list_root()
        foreign = [name for name in names if not _belongs(name) and not name.startswith(SETS)]
        if foreign:
            raise _refused(self.uri, foreign)
        self._before = _parse(self._storage.read(PACK_FILE).decode()) if PACK_FILE in names else {}
        self._set, self._is_split = self._before.get(SET_KEY, ""), is_split(self._before)
        return self._before

    def shared_uri(self) -> str:
        return self.uri

    def tar_name(self, path: str, digest: str) -> str:
        pure = PurePosixPath(path)
        return str(pure.with_name(f"{pure.stem}-{digest[:_DIGEST_CHARS]}{pure.suffix}"))

    def begin(self, fingerprint: str, layout: str) -> str:
        self._set, self._is_split = f"{SETS}{fingerprint}", layout == SPLIT
        return self.uri if self._is_split else f"{self.uri}/{self._set}"

    def keep(self, tars: Collection[str]) -> None:
        """Do nothing: sets share their tars."""

    def publish(self, index: pa.Table, about: Mapping[str, Any], fps: float) -> None:
        self._check(tar_names(about))
        for name, data in serialize_index(index, fps=fps).items():
            self._storage.put(f"{self._set}/{name}", data)
        self._storage.put(f"{self._set}/{PACK_FILE}", _text(about))
        self._keep_others()
        self._storage.put(PACK_FILE, _text({**about, SET_KEY: self._set}))
        with suppress(DatasetError, OSError):  # the new set is published; a later run clears
            self._clear(tar_names(about) if self._is_split else set())

    def _keep_others(self) -> None:
        """Copy what users keep among the old tars into the new set."""
        old = str(self._before.get(SET_KEY, ""))
        for found in [*self._storage.list(old)] if old and old != self._set else []:
            name = PurePosixPath(found.key).relative_to(old)
            if not _is_replaced(name):
                self._storage.put(f"{self._set}/{name}", self._storage.read(found.key))

    def clean_up(self) -> None:
        """Leave the keys: the next run of the same set overwrites them, and a later one removes them."""

    def sizes(self, tars: Collection[str]) -> dict[str, int]:
        stored = self._sizes()
        return {tar: stored[tar] for tar in tars if tar in stored}

    def _sizes(self) -> dict[str, int]:
        """Return the sizes of the tars of the set, or, in the split layout, of all sets."""
        if self._is_split:
            return {found.key: found.size for folder in SPLIT_TARS for found in self._storage.list(folder)}
        below = f"{self._set}/"
        return {found.key.removeprefix(below): found.size for found in self._storage.list(self._set)}

    def _check(self, tars: Collection[str]) -> None:
        stored = self._sizes()
        missing = next((tar for tar in sorted(tars) if not stored.get(tar)), "")
        if missing:
            where = self.uri if self._is_split else f"{self.uri}/{self._set}"
            raise DatasetError(f"{where}/{missing}: was removed meanwhile; pack again")

    def _clear(self, published: Collection[str]) -> None:
        """Remove the set published before, and what killed runs left more than `_STALE_S` ago.

        Args:
            published: the tars of the split set that is published now.
        """
        newest: dict[str, float] = {}
        keys: dict[str, list[str]] = {}
        replaced = {*tar_names(self._before)} if is_split(self._before) else set[str]()
        for found in self._storage.list():
            folder = found.key.partition("/")[0]
            name = found.key if folder in SPLIT_TARS and found.key.endswith(".tar") else folder
            if (name.startswith(SETS) and name != self._set) or (name != folder and name not in published):
                newest[name] = max(newest.get(name, 0.0), found.modified_s)
                keys.setdefault(name, []).append(found.key)
        replaced |= {str(self._before.get(SET_KEY))}
        for name, own in keys.items():
            if name in replaced or newest[name] < time.time() - _STALE_S:
                for key in own:
                    self._storage.delete(key)


def is_split(about: Mapping[str, Any]) -> bool:
    """Return whether a `pack.json` describes a split set."""
    return about.get(LAYOUT_KEY) == SPLIT


def tar_names(about: Mapping[str, Any]) -> set[str]:
    """Return the names of all tars of the set that a `pack.json` describes."""
    return {*about.get("shards", ()), *about.get("sidecars", ())}


def exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step, so that one is there at any time; False where the system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    done = rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    if done == 0:
        return True
    error = ctypes.get_errno()
    if error not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        raise OSError(error, os.strerror(error), str(one))
    return False


def _belongs(name: str) -> bool:
    """Return whether a name at the top may lie in a shard set."""
    return name in _OURS or name in _TOLERATED or name.startswith(OLD_BUCKETS)


def _is_replaced(name: PurePath) -> bool:
    """Return whether a file of the old set goes with its tars."""
    if len(name.parts) == 1:
        return name.name in _OURS
    derived = ".nv-meta" in name.parts and name.name in _DERIVED
    return derived or (name.suffix in (".tar", ".idx") and name.parts[0] != ENCODED)


def _parse(text: str) -> dict[str, Any]:
    """Return the content of a `pack.json`; of a damaged one, what is wrong: it describes no known set."""
    try:
        return json.loads(text)
    except ValueError as error:
        return {"damaged": str(error)}


def _text(about: Mapping[str, Any]) -> bytes:
    return (json.dumps(about, indent=1) + "\n").encode()


def _refused(where: str, foreign: Sequence[str]) -> OutputRefused:
    held = ", ".join(sorted(foreign)[:3]) or f"no {PACK_FILE}"
    return OutputRefused(
        f"{where}: the folder already holds something that is not a shard set of Kinora ({held}); "
        "nothing was written. Name an empty or new folder"
    )
