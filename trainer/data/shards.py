"""Feed packed shards to Lightning. The whole resume state is one integer.

Batch number i of the endless stream is part (i mod parts) of optimizer step (i div parts): a function of the
plan alone, so it does not depend on how many workers read ahead.
"""

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.utilities import rank_zero_warn
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from manifests.records import Bucket
from manifests.shards import ShardIndex
from trainer.data.batch_plan import Plan, generator, held_out, share

WINDOW_STEPS = 16
RUN_CLIPS = 16
"""Clips of one bucket that stay together, where a window holds so many."""


class ShardData(L.LightningDataModule):
    """What both trainings share: the plan, the split, and an exact resume. `read` says what a batch is."""

    def __init__(
        self,
        *,
        shards: str,
        batch_size: int,
        seed: int = 0,
        num_workers: int = 0,
        start_steps: int = 0,
        validation_share: float = 0.03,
        validation_clips: int = 64,
    ) -> None:
        """Args:
        shards: folder that `kinora pack` wrote.
        batch_size: clips of one optimizer step, over all processes and accumulated parts.
        seed: names the order of the clips and every other random draw of the training.
        num_workers: processes that read ahead; what a step reads does not depend on it.
        start_steps: so many first steps see one bucket only, that of the squarest frames: what is learned on
            one shape of frame carries over to the others, and on a mixture it is learned later.
        validation_share: share of clips kept out of training, chosen by their ids; 0 validates on none.
        validation_clips: at most so many of them are validated on.
        """
        super().__init__()
        self.shards, self.batch_size, self.seed, self.num_workers = shards, batch_size, seed, num_workers
        self.start_steps = start_steps
        self.validation_share, self.validation_clips = validation_share, validation_clips
        self.next_step = 0
        """First optimizer step that is not trained yet: equal on every rank."""
        self._newest_window: tuple[int, list[int]] = -1, []

    def setup(self, stage: str) -> None:
        """Open the index and split it. Raises ValueError for a set too small to validate on."""
        self.index = ShardIndex.load(self.shards)
        held = np.array(
            [
                held_out(self.index.sample(row).clip_id, self.validation_share)
                for row in range(self.index.num_samples)
            ],
            bool,
        )
        self.training_rows = np.flatnonzero(~held).astype(np.int32)
        self.validation_rows = np.flatnonzero(held).astype(np.int32)[: self.validation_clips]
        if not len(self.training_rows) or (self.validation_share and not len(self.validation_rows)):
            raise ValueError(
                f"{self.shards}: {len(held)} clips are too few for data.validation_share="
                f"{self.validation_share}; set it to 0 to train on all, or pack more"
            )
        self.start_rows = self._squarest(self.training_rows)
        self.start_plan, self.plan = (
            Plan(num_samples=len(rows), batch_size=self.batch_size, digest=self.data_digest(), seed=self.seed)
            for rows in (self.start_rows, self.training_rows)
        )

        if self.trainer and 0 < self.trainer.max_steps <= self.start_steps:
            rank_zero_warn(
                f"data.start_steps={self.start_steps} leaves none of the {self.trainer.max_steps} steps "
                "for other shapes of frame than the squarest: lower it, or train longer"
            )

    def _squarest(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows of the bucket with the squarest frames; of several, that of most clips."""
        buckets = [self.index.sample(int(row)).bucket for row in rows]
        counts = Counter(buckets)

        def rank(bucket: Bucket) -> tuple[float, int, str]:
            sides = sorted((bucket.height, bucket.width))
            return sides[0] / sides[1], counts[bucket], bucket.name

        best = max(counts, key=rank)
        return rows[[bucket == best for bucket in buckets]]

    def data_digest(self) -> str:
        """Name what the model sees. A data module that reads more than the index adds that."""
        return self.index.digest

    @abstractmethod
    def read(self, step: int, part: int) -> Any:
        """Return this rank's part of optimizer step `step`."""

    @abstractmethod
    def validation_batches(self, rows: Sequence[int]) -> Sequence[Any]:
        """Return what one rank validates on; each is read by `read_validation`."""

    @abstractmethod
    def read_validation(self, batch: Any) -> Any: ...

    def rows_of_step(self, step: int) -> tuple[int, ...]:
        """Return the index rows of the whole global batch: at the start of one bucket, then runs of such.

        A forward pass costs the more the more shapes it meets. So the clips of `WINDOW_STEPS` steps are
        sorted by bucket, cut into runs, and the runs dealt out anew: each clip is still read once an epoch.
        """
        if step < self.start_steps:
            return tuple(int(self.start_rows[number]) for number in self.start_plan.at(step))
        window, place = divmod(step - self.start_steps, WINDOW_STEPS)
        rows = self._window(window)
        return tuple(rows[place * self.batch_size : (place + 1) * self.batch_size])

    def _window(self, window: int) -> list[int]:
        if self._newest_window[0] != window:
            steps = range(window * WINDOW_STEPS, (window + 1) * WINDOW_STEPS)
            rows = [int(self.training_rows[number]) for step in steps for number in self.plan.at(step)]
            rows.sort(key=lambda row: self.index.sample(row).bucket.name)
            runs = [rows[start : start + RUN_CLIPS] for start in range(0, len(rows), RUN_CLIPS)]
            order = generator(self.seed, window, "runs").permutation(len(runs))
            self._newest_window = window, [row for number in order for row in runs[number]]
        return self._newest_window[1]

    def my_share(self, rows: tuple[int, ...], part: int) -> tuple[int, ...]:
        """Return what this rank reads of a global batch for one accumulated part."""
        rank, world_size = self._place()
        return share(rows, rank=rank, world_size=world_size, part=part, parts=self.parts)

    @property
    def parts(self) -> int:
        """Accumulated parts of one optimizer step."""
        return self.trainer.accumulate_grad_batches if self.trainer else 1

    def train_dataloader(self) -> DataLoader[Any]:
        return _loader(_Steps(self, self.next_step), self.num_workers)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        if not self.validation_share:
            return []
        rank, world_size = self._place()
        mine = [int(row) for row in self.validation_rows[rank::world_size]]
        return _loader(_Validation(self, self.validation_batches(mine)), 0)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        if self.trainer and self.trainer.training:  # count what is trained on, not what is read ahead
            self.next_step = batch.step + 1
        return batch

    @property
    def identity(self) -> dict[str, str | int]:
        """What must be equal for a resumed run to see the same batches."""
        return {**self.plan.identity, "start_steps": self.start_steps}

    def state_dict(self) -> dict[str, Any]:
        return {"next_step": self.next_step, **self.identity}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        changed = [key for key, value in self.identity.items() if state_dict.get(key) != value]
        if changed:
            raise ValueError(
                f"cannot resume exactly: {', '.join(changed)} changed since the checkpoint; "
                "go back to the same data and settings, or start a new run with another --out"
            )
        self.next_step = state_dict["next_step"]

    def _place(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)


class _Steps(IterableDataset[Any]):
    """Endless batches from optimizer step `start`."""

    def __init__(self, data: ShardData, start: int) -> None:
        self.data, self.start, self.parts = data, start, data.parts

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        first, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        for number in count(self.start * self.parts + first, stride):
            yield self.data.read(*divmod(number, self.parts))


class _Validation(Dataset[Any]):
    """A fixed list of batches."""

    def __init__(self, data: ShardData, batches: Sequence[Any]) -> None:
        self.data, self.batches = data, batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> Any:
        return self.data.read_validation(self.batches[number])


def _loader(dataset: Dataset[Any], num_workers: int) -> DataLoader[Any]:
    return DataLoader(dataset, batch_size=None, num_workers=num_workers, persistent_workers=num_workers > 0)
