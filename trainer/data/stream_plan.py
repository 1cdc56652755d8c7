"""An order that reads shards in long stretches, for sets on S3: a pure function of (data digest, seed, step).

The shards of an epoch, in a keyed order, are one sequence of samples, divided into lanes of equal length. A
lane fills one range of the batch in every `LANE_STEPS`-th step, so that a rank reads few lanes, and one of
its workers all of a lane. Within a lane, blocks of consecutive samples are shuffled; a reader fetches one
block at a time. Batches run over the end of an epoch, so that no sample is dropped. See
docs/adr/0028-loader.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from trainer.data.batch_plan import permute

LANE_STEPS = 8
"""Steps after which a lane is read again: 1, 2, 4 or 8 workers share no lane."""

Block = tuple[int, ...]
"""Consecutive samples of one lane: their rows in the order of the shards."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamPlan:
    """An endless sequence of global batches."""

    rows_of_shards: Sequence[np.ndarray]
    """The rows of each shard in the order of the file; at least one row in all."""
    batch_size: int
    """Samples of one optimizer step, over all ranks and micro-batches."""
    digest: str
    """Digest of the data: it determines the order, and a resume with another one is refused."""
    seed: int
    lanes: int
    """Lanes of one step; a multiple of ranks times micro-batches reads each block once."""
    block_size: int
    """Samples of a block."""
    _epochs: dict[int, "_Epoch"] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.num_samples or min(self.batch_size, self.lanes, self.block_size) < 1:
            raise ValueError(
                f"a plan needs samples, a batch size, lanes and a block size: got {self.num_samples}, "
                f"{self.batch_size}, {self.lanes}, {self.block_size}"
            )

    @property
    def num_samples(self) -> int:
        """Samples of one epoch."""
        return sum(map(len, self.rows_of_shards))

    def at(self, step: int) -> list[tuple[int, Block]]:
        """Return the global batch of optimizer step `step`: each row with the block that holds it."""
        first, num_samples = step * self.batch_size, self.num_samples
        return [
            self._epoch(position // num_samples).sample_at(position)
            for position in range(first, first + self.batch_size)
        ]

    def _epoch(self, number: int) -> "_Epoch":
        if number not in self._epochs:
            while len(self._epochs) > 1:
                del self._epochs[min(self._epochs)]
            self._epochs[number] = _Epoch(self, number)
        return self._epochs[number]

    @property
    def identity(self) -> dict[str, str | int]:
        """Return what a resumed run must share to see the same batches."""
        return {
            "digest": self.digest,
            "seed": self.seed,
            "batch_size": self.batch_size,
            "order": f"stream of {self.lanes} lanes in blocks of {self.block_size}",
        }


class _Epoch:
    """The samples of one epoch, by their position in the endless sequence."""

    def __init__(self, plan: StreamPlan, number: int) -> None:
        self.plan, self.key = plan, f"{plan.digest}/{plan.seed}/{number}"
        count = len(plan.rows_of_shards)
        order = [permute(index, count, f"{self.key}/shards") for index in range(count)]
        self.rows_N = np.concatenate([plan.rows_of_shards[index] for index in order])
        self.num_lanes = min(plan.lanes, plan.batch_size)
        self.first = number * len(self.rows_N)
        lanes = [(lane, group) for lane in range(self.num_lanes) for group in range(LANE_STEPS)]
        sizes = [self._index(self.first + len(self.rows_N), *lane) for lane in lanes]
        starts = np.cumsum([0, *sizes]).tolist()
        self.lane_rows = {
            lane: self.rows_N[start : start + size]
            for lane, start, size in zip(lanes, starts, sizes, strict=False)
        }

    def sample_at(self, position: int) -> tuple[int, Block]:
        """Return the row at a position of this epoch, and its block."""
        step, slot = divmod(position, self.plan.batch_size)
        lane = slot * self.num_lanes // self.plan.batch_size, step % LANE_STEPS
        number, index = divmod(self._index(position, *lane), self.plan.block_size)
        start = number * self.plan.block_size
        block: Block = tuple(self.lane_rows[lane][start : start + self.plan.block_size].tolist())
        return block[permute(index, len(block), f"{self.key}/{lane}/{number}")], block

    def _index(self, position: int, lane: int, group: int) -> int:
        """Count the positions of this epoch before `position` that a lane fills."""
        return self._before(position, lane, group) - self._before(self.first, lane, group)

    def _before(self, position: int, lane: int, group: int) -> int:
        batch_size = self.plan.batch_size
        first_slot = -(-lane * batch_size // self.num_lanes)
        num_slots = -(-(lane + 1) * batch_size // self.num_lanes) - first_slot
        step, slot = divmod(position, batch_size)
        cycles, step_in_cycle = divmod(step, LANE_STEPS)
        filled = cycles * num_slots + num_slots * (group < step_in_cycle)
        if group == step_in_cycle:
            filled += min(max(slot - first_slot, 0), num_slots)
        return filled
