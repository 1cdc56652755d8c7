"""Checkpoints of a run: whole optimizer steps, written beside their place and renamed, the newest two kept.

`OUT/checkpoints/step=N.ckpt` is the state after optimizer step N, wherever in the loop it was written: the
progress of a step that was begun, and not ended, is left out.
"""

import errno
import os
import shutil
import sys
import zipfile
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from trainer.run.stopping import NonFiniteError, first_nonfinite

FOLDER, PARTIAL, KEPT = "checkpoints", ".partial", 2
SETTINGS = "settings"
"""Key of the run's settings in a checkpoint."""


class FileCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint to a file and wait for the disk.

    An OSError of a `.partial` file is stored in `error`, not raised: the other ranks wait in a barrier.
    """

    def __init__(self) -> None:
        self.error = ""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        path, self.error = Path(path), ""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(checkpoint, path)
        except OSError as error:
            path.unlink(missing_ok=True)
            if path.suffix != PARTIAL:
                raise
            if error.errno in (errno.ENOSPC, errno.EDQUOT) and _drop_all_but_newest(path.parent):
                self.save_checkpoint(checkpoint, path)
            else:
                self.error = f"{path.parent}: {error.strerror or error}"


class SaveSteps(Checkpoint):
    """Save every `every_n_steps` optimizer steps and at the end of the run."""

    def __init__(self, folder: Path, every_n_steps: int, settings: Mapping[str, Any] | None = None) -> None:
        self.folder, self.every_n_steps = folder, every_n_steps
        self.settings = dict(settings or {})
        self.io = FileCheckpointIO()
        """Give it to the trainer as a plugin."""
        self._step = self._saved_step = -1
        self._loop: dict[str, Any] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._remember(trainer)
        if trainer.is_global_zero:
            for leftover in self.folder.glob(f".*{PARTIAL}"):
                _remove(leftover)
        is_saved = trainer.strategy.broadcast(self.path(self._step).exists())
        self._saved_step = self._step if is_saved else -1

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self._step:  # inside an accumulation
            return
        self._remember(trainer)
        if self._step % self.every_n_steps == 0:
            error = self._write(trainer)
            if error and trainer.is_global_zero:
                print(
                    f"step {self._step} is not saved, the run goes on: {error}", file=sys.stderr, flush=True
                )

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.save(trainer)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put the loop and the data back to the last whole step, and add the run's settings."""
        if self._loop:
            checkpoint["loops"]["fit_loop"] = deepcopy(self._loop)
        data = checkpoint.get(type(cast(Any, trainer).datamodule).__qualname__)
        if data and "next_step" in data:
            data["next_step"] = trainer.global_step
        checkpoint[SETTINGS] = dict(self.settings)

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Recount the micro-batches of the steps so far, which another accumulation has more or fewer of."""
        progress, steps = (
            checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"],
            checkpoint["global_step"],
        )
        if not steps or progress["total"]["ready"] % steps:
            return
        before, now = progress["total"]["ready"] // steps, trainer.accumulate_grad_batches
        for counts in (progress["total"], progress["current"]):
            ready = counts["ready"]
            for name, count in counts.items():  # `completed` is one behind
                counts[name] = ready // before * now - (ready - count)

    def save(self, trainer: L.Trainer) -> None:
        """Save the last whole step, unless it is saved. Call it on all ranks.

        Raises OSError where it cannot be written, NonFiniteError for weights that are not finite.
        """
        if self._saved_step == self._step:
            return
        error = self._write(trainer)
        if error:
            raise OSError(f"step {self._step} is not saved: {error}; {self.kept()}")

    def save_first(self, trainer: L.Trainer) -> str:
        """Save the last whole step where the run has no checkpoint yet; return what there is."""
        if not trainer.strategy.broadcast(bool(checkpoint_paths(self.folder))):
            self.save(trainer)
        return self.kept()

    def path(self, step: int) -> Path:
        return self.folder / f"step={step}.ckpt"

    def _remember(self, trainer: L.Trainer) -> None:
        self._step = trainer.global_step
        self._loop = deepcopy(trainer.fit_loop.state_dict())

    def _write(self, trainer: L.Trainer) -> str:
        """Write the checkpoint; return what the disk refused. The same on all ranks."""
        if name := first_nonfinite(trainer.lightning_module.state_dict()):
            raise NonFiniteError(f"step {self._step}: the weights {name} are not finite; {self.kept()}")
        partial = self.folder / f".step={self._step}{PARTIAL}"
        trainer.save_checkpoint(partial)
        error = self.io.error
        if trainer.is_global_zero and not error:
            try:
                _replace(partial, self.path(self._step))
                self._prune()
            except OSError as refused:
                error = f"{self.folder}: {refused.strerror or refused}"
        error = trainer.strategy.broadcast(error)
        self._saved_step = self._saved_step if error else self._step
        return error

    def _prune(self) -> None:
        """Remove all but the newest two, and those of steps that were left for an earlier one."""
        paths = checkpoint_paths(self.folder)
        old = [path for path in paths if step_of(path) > self._step]
        for path in [*old, *[path for path in paths if path not in old][KEPT:]]:
            _remove(path)

    def kept(self) -> str:
        """Say which checkpoint there is."""
        newest = next(iter(checkpoint_paths(self.folder)), None)
        return f"the last good checkpoint is {newest}" if newest else "there is no checkpoint"


def step_of(path: Path) -> int:
    """Return the optimizer step in the name of a checkpoint."""
    return int(path.stem.removeprefix("step="))


def checkpoint_paths(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, newest first."""
    paths = [path for path in folder.glob("step=*.ckpt") if path.stem.removeprefix("step=").isdecimal()]
    return sorted(paths, key=step_of, reverse=True)


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint that can be read, or None where there is none.

    Prints which one is damaged, and why. Raises ValueError where all are.
    """
    paths, damaged = checkpoint_paths(folder), list[str]()
    for path in paths:
        why = damage(path)
        if why is None:
            for line in damaged:
                print(f"{line}: skipped, using {path}", file=sys.stderr, flush=True)
            return path
        damaged.append(f"{path}: damaged checkpoint ({why})")
    if damaged:
        raise ValueError(
            f"{'; '.join(damaged)}; there is no other: bring back a copy, or start anew with another --out"
        )
    return None


def damage(path: Path) -> str | None:
    """Return why a checkpoint cannot be read, or None. Reads all of it, to compare checksums."""
    if path.is_dir():  # of a sharded strategy
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            wrong = archive.testzip()
    except (OSError, zipfile.BadZipFile, EOFError, ValueError) as error:
        return f"{path.stat().st_size} bytes: {error}"
    return f"wrong checksum of {wrong}" if wrong else None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint, memory-mapped. Nothing is unpickled but tensors and plain values."""
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True)


def _write(checkpoint: dict[str, Any], path: Path) -> None:
    with path.open("wb") as file:
        try:
            torch.save(checkpoint, file)
        except RuntimeError as error:  # torch's own, raised while it handles that of a write
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, OSError):
                cause = cause.__cause__ or cause.__context__
            raise cause or OSError(errno.EIO, str(error)) from error
        file.flush()
        os.fsync(file.fileno())


def _replace(partial: Path, path: Path) -> None:
    """Rename a complete file or folder, and wait for the disk."""
    if path.is_dir():
        shutil.rmtree(path)
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _drop_all_but_newest(folder: Path) -> bool:
    """Make room on a full disk; return whether there was anything to remove."""
    older = checkpoint_paths(folder)[1:]
    for path in older:
        _remove(path)
    return bool(older)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
