"""Plan which samples each optimizer step reads: a pure function of (data digest, seed, step), in O(1).

An epoch is a keyed Feistel permutation (Luby and Rackoff 1988) of the sample indices, with cycle walking for
sizes that are no power of 4. Batches run over the end of an epoch, so that no sample is dropped.
"""

from dataclasses import dataclass
from hashlib import blake2b

ROUNDS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchPlan:
    """An endless sequence of global batches."""

    num_samples: int
    """Samples of one epoch."""
    batch_size: int
    """Samples of one optimizer step, over all ranks and micro-batches."""
    digest: str
    """Digest of the data: it determines the order, and a resume with another one is refused."""
    seed: int

    def __post_init__(self) -> None:
        if self.num_samples < 1 or self.batch_size < 1:
            raise ValueError(
                f"a plan needs samples and a batch size: got {self.num_samples}, {self.batch_size}"
            )

    def at(self, step: int) -> tuple[int, ...]:
        """Return the global batch of optimizer step `step`, as sample indices."""
        first = step * self.batch_size
        return tuple(self._sample_at(position) for position in range(first, first + self.batch_size))

    def _sample_at(self, position: int) -> int:
        epoch, index = divmod(position, self.num_samples)
        return permute(index, self.num_samples, f"{self.digest}/{self.seed}/{epoch}")

    @property
    def identity(self) -> dict[str, str | int]:
        """Return what a resumed run must share to see the same batches."""
        return {"digest": self.digest, "seed": self.seed, "batch_size": self.batch_size, "order": "samples"}


def permute(index: int, size: int, key: str) -> int:
    """Return the image of `index` under the permutation of range(size) that `key` names."""
    half_bits = max(1, (max(size - 1, 1).bit_length() + 1) // 2)
    mask = (1 << half_bits) - 1
    while True:
        left, right = index >> half_bits, index & mask
        for feistel_round in range(ROUNDS):
            message = right.to_bytes(8, "little") + feistel_round.to_bytes(1, "little")
            digest = blake2b(
                message, key=blake2b(key.encode(), digest_size=32).digest(), digest_size=8
            ).digest()
            left, right = right, left ^ (int.from_bytes(digest, "little") & mask)
        index = (left << half_bits) | right
        if index < size:
            return index


def rank_slice(
    batch: tuple[int, ...], *, rank: int, world_size: int, micro_batch: int, num_micro_batches: int
) -> tuple[int, ...]:
    """Return the contiguous slice of a global batch that one rank reads for one micro-batch.

    In a batch sorted by bucket, a rank then reads few shapes.
    """
    index, slices = rank * num_micro_batches + micro_batch, world_size * num_micro_batches
    return batch[index * len(batch) // slices : (index + 1) * len(batch) // slices]


def held_out(clip_id: str, fraction: float) -> bool:
    """Return whether a clip belongs to the validation split, by its id alone."""
    draw = int.from_bytes(blake2b(clip_id.encode(), digest_size=8, person=b"validation").digest(), "little")
    return draw < fraction * 2**64
