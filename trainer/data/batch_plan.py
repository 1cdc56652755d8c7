"""Which samples every optimizer step reads: a pure function of (data digest, seed, step), in O(1).

An epoch is a keyed Feistel permutation (Luby and Rackoff 1988) of the sample numbers, walked along its
cycles until it lands inside the epoch. Batches run over the end of an epoch, so nothing is dropped.
"""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

ROUNDS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """An endless schedule of global batches."""

    num_samples: int
    """Samples of one epoch."""
    batch_size: int
    """Samples of one optimizer step, over all ranks and accumulated parts."""
    digest: str
    """Names the data: another digest is another order, and a resume on it is refused."""
    seed: int

    def __post_init__(self) -> None:
        if self.num_samples < 1 or self.batch_size < 1:
            raise ValueError(
                f"a plan needs samples and a batch size: got {self.num_samples}, {self.batch_size}"
            )

    def at(self, step: int) -> tuple[int, ...]:
        """Return the whole global batch of optimizer step `step`, as sample numbers."""
        first = step * self.batch_size
        return tuple(self._draw(position) for position in range(first, first + self.batch_size))

    def _draw(self, position: int) -> int:
        epoch, place = divmod(position, self.num_samples)
        return permuted(place, self.num_samples, f"{self.digest}/{self.seed}/{epoch}")

    @property
    def identity(self) -> dict[str, str | int]:
        """What must be equal for a resumed run to see the same batches."""
        return {"digest": self.digest, "seed": self.seed, "batch_size": self.batch_size}


def permuted(place: int, size: int, key: str) -> int:
    """Return where a permutation of range(size), named by `key`, sends `place`."""
    half_bits = max(1, (max(size - 1, 1).bit_length() + 1) // 2)
    mask = (1 << half_bits) - 1
    while True:
        left, right = place >> half_bits, place & mask
        for turn in range(ROUNDS):
            message = right.to_bytes(8, "little") + turn.to_bytes(1, "little")
            mixed = blake2b(
                message, key=blake2b(key.encode(), digest_size=32).digest(), digest_size=8
            ).digest()
            left, right = right, left ^ (int.from_bytes(mixed, "little") & mask)
        place = (left << half_bits) | right
        if place < size:
            return place


def share(batch: tuple[int, ...], *, rank: int, world_size: int, part: int, parts: int) -> tuple[int, ...]:
    """Return what one rank reads for one accumulated part of a global batch: one of equal slices.

    Neighbours stay together: in a batch sorted by bucket, a rank meets few shapes.
    """
    number, slices = rank * parts + part, world_size * parts
    return batch[number * len(batch) // slices : (number + 1) * len(batch) // slices]


def generator(*parts: str | float) -> np.random.Generator:
    """Return the generator that `parts` name, such as (seed, step, clip_id, "noise").

    The only source of randomness in training: no global state, so a resume draws the same numbers.
    """
    state = blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(state, "little")))


def held_out(clip_id: str, share_held: float) -> bool:
    """Say whether a clip belongs to the validation split: a fixed share, by its name alone."""
    draw = int.from_bytes(blake2b(clip_id.encode(), digest_size=8, person=b"validation").digest(), "little")
    return draw < share_held * 2**64
