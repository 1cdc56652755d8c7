"""Feed packed shards to Lightning. The whole resume state is one integer.

Batch i of the endless stream is micro-batch i mod m of optimizer step i div m, where m is the number of
accumulated batches. It depends on the batch plan alone, not on the workers that prefetch.
"""

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import count
from typing import Annotated, Any

import lightning as L
import numpy as np
from lightning.pytorch.utilities import rank_zero_warn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from manifests.digest import digest_parts
from manifests.ranges import NonNegativeInt, PositiveInt, Range, check_values
from manifests.records import Bucket
from manifests.shards import ShardIndex
from trainer.data.batch_plan import BatchPlan, rank_slice
from trainer.data.decode import RawSample, read_sample
from trainer.data.stream import BLOCK_BYTES, BlockReader, block_size_of, rows_of_shards
from trainer.data.stream_plan import LANE_STEPS, Block, StreamPlan
from trainer.data.validation import share_of_rank, split_rows, stratify
from trainer.migrations import migrate_data_state
from trainer.rng import generator
from trainer.run.stopping import ignore_signals

PADDING = -1
"""Step of a validation batch that does not count: it gives every rank equally many."""


class ShardData(L.LightningDataModule):
    """Batch plan, validation split and exact resume of both trainings; subclasses read the batches."""

    def __init__(
        self,
        *,
        shards: str,
        batch_size: PositiveInt,
        seed: int = 0,
        num_workers: NonNegativeInt = 0,
        warmup_bucket_steps: NonNegativeInt = 0,
        window_steps: PositiveInt = 16,
        run_clips: PositiveInt = 16,
        validation_fraction: Annotated[float, Range(min=0, below=1)] = 0.03,
        validation_clips: PositiveInt = 64,
        streaming: bool = False,
        stream_lanes: PositiveInt = 8,
    ) -> None:
        """Args:
        shards: folder that `kinora pack` wrote.
        batch_size: clips of one optimizer step, over all ranks and micro-batches.
        seed: seed of the order of the clips and of every other random draw of the training.
        num_workers: processes that prefetch; the batches do not depend on it.
        warmup_bucket_steps: first steps that read one bucket only, the one with the squarest frames.
        window_steps: optimizer steps whose clips are sorted by bucket together.
        run_clips: clips of one bucket in a run. With as many as `batch_size` and long windows most steps have
            one shape, which costs least.
        validation_fraction: fraction of samples held out for validation, by whole sources; 0 turns it off.
        validation_clips: maximum number of them to validate on, spread over the buckets.
        streaming: read shards in long stretches, for sets on S3, in an order that allows it.
        stream_lanes: stretches that a step reads from at once; best a multiple of ranks times micro-batches.
        """
        super().__init__()
        check_values(ShardData.__init__, locals(), "data")
        self.shards, self.batch_size, self.seed, self.num_workers = shards, batch_size, seed, num_workers
        self.warmup_bucket_steps = warmup_bucket_steps
        self.window_steps, self.run_clips = window_steps, run_clips
        self.validation_fraction, self.validation_clips = validation_fraction, validation_clips
        self.streaming, self.stream_lanes = streaming, stream_lanes
        self.next_step = 0
        """Optimizer steps trained so far, equal on every rank."""
        self._newest_window: tuple[int, list[int]] = -1, []
        self._blocks: dict[int, Block] = {}
        self._reader: BlockReader | None = None

    def setup(self, stage: str) -> None:
        """Open the index and split it. Raises ValueError for a set too small to validate on."""
        self.index = ShardIndex.load(self.shards)
        split = split_rows(
            sources=self.index.column("source"),
            clip_ids=self.index.column("clip_id"),
            buckets=self.index.buckets,
            fraction=self.validation_fraction,
        )
        missing = np.array(self.missing_rows(), np.int32)
        self.training_rows = np.setdiff1d(split.training_rows, missing)
        self.validation_rows = self._validated(np.setdiff1d(split.held_rows, missing))
        if not len(self.training_rows) or (self.validation_fraction and not len(self.validation_rows)):
            raise ValueError(
                f"{self.shards}: {self.index.num_samples} clips are too few for data.validation_fraction="
                f"{self.validation_fraction}; set it to 0 to train on all, or pack more"
            )
        if split.warning:
            rank_zero_warn(f"{self.shards}: {split.warning}")
        self.warmup_rows = self._rows_of_warmup_bucket(self.training_rows)
        self.warmup_plan = self._batch_plan(self.warmup_rows)
        self.plan = self._stream_plan() if self.streaming else self._batch_plan(self.training_rows)

        if self.trainer and 0 < self.trainer.max_steps <= self.warmup_bucket_steps:
            rank_zero_warn(
                f"data.warmup_bucket_steps={self.warmup_bucket_steps} leaves none of the "
                f"{self.trainer.max_steps} steps for other buckets: lower it, or train longer"
            )

    def _batch_plan(self, rows: np.ndarray) -> BatchPlan:
        return BatchPlan(
            num_samples=len(rows), batch_size=self.batch_size, digest=self.data_digest(), seed=self.seed
        )

    def _stream_plan(self) -> StreamPlan:
        shards = rows_of_shards(self.index, self.training_rows)
        layout = "/".join(blake2b(rows.tobytes(), digest_size=16).hexdigest() for rows in shards)
        return StreamPlan(
            rows_of_shards=shards,
            batch_size=self.batch_size,
            digest=digest_parts(self.data_digest(), layout),
            seed=self.seed,
            lanes=self.stream_lanes,
            block_size=block_size_of(self.index),
        )

    def _validated(self, held_rows: np.ndarray) -> np.ndarray:
        """Return the rows to validate on, spread over the buckets."""
        rows = [int(row) for row in held_rows]
        keys, buckets = self.index.column("key"), self.index.buckets
        chosen = stratify(
            rows,
            keys={row: keys[row] for row in rows},
            buckets={row: buckets[row].name for row in rows},
            limit=self.validation_clips,
        )
        return np.array(chosen, np.int32)

    def _rows_of_warmup_bucket(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows of the bucket with the squarest frames; ties go to the one with most clips."""
        buckets = [self.index.buckets[int(row)] for row in rows]
        counts = Counter(buckets)

        def rank(bucket: Bucket) -> tuple[float, int, str]:
            sides = sorted((bucket.height, bucket.width))
            return sides[0] / sides[1], counts[bucket], bucket.name

        best = max(counts, key=rank)
        return rows[[bucket == best for bucket in buckets]]

    def missing_rows(self) -> Sequence[int]:
        """Return index rows that training and validation leave out. Override it to name some."""
        return ()

    def data_digest(self) -> str:
        """Return the digest of the training data. Override it to cover more than the index."""
        return self.index.digest

    def read(self, step: int, micro_batch: int) -> Any:
        """Return this rank's micro-batch of optimizer step `step`."""
        return self.read_rows(step, self.rows_of_rank(self.rows_of_step(step), micro_batch))

    @abstractmethod
    def read_rows(self, step: int, rows: Sequence[int]) -> Any:
        """Return a batch of these rows of the global batch of optimizer step `step`."""

    @abstractmethod
    def validation_batches(self, rows: Sequence[int]) -> Sequence[Any]:
        """Split the validation rows of all ranks into batches of one shape for `read_validation`."""

    @abstractmethod
    def read_validation(self, batch: Any) -> Any: ...

    def rows_of_step(self, step: int) -> tuple[int, ...]:
        """Return the index rows of the global batch: of the warm-up bucket, then runs of one bucket each, or
        of the lanes of a stream.

        A forward pass costs more the more shapes it has, so the clips of `window_steps` steps are sorted by
        bucket, cut into runs, and the runs shuffled; each clip is still read once per epoch.
        """
        if step < self.warmup_bucket_steps:
            return tuple(int(self.warmup_rows[index]) for index in self.warmup_plan.at(step))
        if isinstance(self.plan, StreamPlan):
            batch = self.plan.at(step - self.warmup_bucket_steps)
            self._blocks = dict(batch)
            return tuple(row for row, _ in batch)
        window, step_in_window = divmod(step - self.warmup_bucket_steps, self.window_steps)
        start = step_in_window * self.batch_size
        return tuple(self._window(self.plan, window)[start : start + self.batch_size])

    def read_sample(self, row: int) -> RawSample:
        """Read a sample: one of the newest step's from its block, where the set is streamed."""
        if row not in self._blocks:
            return read_sample(self.index, self.index.sample(row))
        if self._reader is None:
            waiting = self.stream_lanes * LANE_STEPS * BLOCK_BYTES / self._rank_and_world_size()[1]
            self._reader = BlockReader(self.index, buffer_bytes=round(2 * waiting))
        return self._reader.read(row, self._blocks[row])

    def _window(self, plan: BatchPlan, window: int) -> list[int]:
        if self._newest_window[0] != window:
            steps = range(window * self.window_steps, (window + 1) * self.window_steps)
            rows = [int(self.training_rows[index]) for step in steps for index in plan.at(step)]
            rows.sort(key=lambda row: self.index.buckets[row].name)
            runs = [rows[start : start + self.run_clips] for start in range(0, len(rows), self.run_clips)]
            order = generator(self.seed, window, "runs").permutation(len(runs))
            self._newest_window = window, [row for index in order for row in runs[index]]
        return self._newest_window[1]

    def rows_of_rank(self, rows: tuple[int, ...], micro_batch: int) -> tuple[int, ...]:
        """Return this rank's slice of a global batch for one micro-batch."""
        rank, world_size = self._rank_and_world_size()
        return rank_slice(
            rows,
            rank=rank,
            world_size=world_size,
            micro_batch=micro_batch,
            num_micro_batches=self.num_micro_batches,
        )

    @property
    def num_micro_batches(self) -> int:
        """Accumulated batches per optimizer step."""
        return self.trainer.accumulate_grad_batches if self.trainer else 1

    def train_dataloader(self) -> DataLoader[Any]:
        return _loader(_Steps(self, self.next_step), self.num_workers)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        if not self.validation_fraction:
            return []
        batches = self.validation_batches([int(row) for row in self.validation_rows])
        return _loader(_Validation(self, share_of_rank(batches, *self._rank_and_world_size())), 0)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        if self.trainer and self.trainer.training:  # not for prefetched batches
            self.next_step = batch.step + 1
        return batch

    @property
    def identity(self) -> dict[str, Any]:
        """Return what a resumed run must share to see the same batches: plain values by name."""
        return {
            **self.plan.identity,
            "num_samples": self.plan.num_samples,
            "validation_fraction": self.validation_fraction,
            "warmup_bucket_steps": self.warmup_bucket_steps,
            "window_steps": self.window_steps,
            "run_clips": self.run_clips,
        }

    def state_dict(self) -> dict[str, Any]:
        return {"next_step": self.next_step, **self.identity}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state_dict = migrate_data_state(state_dict)
        identity = self.identity  # a checkpoint of an older version lacks names
        changed = [key for key in identity if key in state_dict and state_dict[key] != identity[key]]
        if changed:
            values = ", ".join(f"{key}: {state_dict[key]} -> {identity[key]}" for key in changed)
            raise ValueError(
                f"cannot resume exactly: {', '.join(changed)} changed since the checkpoint ({values}); "
                "go back to the same data and settings, or start a new run with another --out"
            )
        self.next_step = state_dict["next_step"]

    def _rank_and_world_size(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)


class _Steps(IterableDataset[Any]):
    """Endless micro-batches from optimizer step `start`."""

    def __init__(self, data: ShardData, start: int) -> None:
        self.data, self.start, self.num_micro_batches = data, start, data.num_micro_batches

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        first, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        for index in count(self.start * self.num_micro_batches + first, stride):
            yield self.data.read(*divmod(index, self.num_micro_batches))


class _Validation(IterableDataset[Any]):
    """One rank's validation batches; iterable, so that Lightning does not divide them once more."""

    def __init__(self, data: ShardData, batches: Sequence[tuple[Any, bool]]) -> None:
        self.data, self.batches = data, batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        for batch, counts in self.batches:
            read = self.data.read_validation(batch)
            yield read if counts else read._replace(step=PADDING)


def _loader(dataset: IterableDataset[Any], num_workers: int) -> DataLoader[Any]:
    return DataLoader(
        dataset,
        batch_size=None,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        worker_init_fn=ignore_signals,
    )
