"""The streamed order: every sample once per epoch, a new order in each, blocks that readers do not share."""

from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pytest

from trainer.data.batch_plan import rank_slice
from trainer.data.stream_plan import LANE_STEPS, Block, StreamPlan


def plan(shards: int = 6, samples: int = 50, **more) -> StreamPlan:
    """Return the order of `shards` tars of about `samples` each."""
    sizes = [samples + index % 3 for index in range(shards)]
    starts = np.cumsum([0, *sizes])
    rows = [np.arange(start, start + size) for start, size in zip(starts, sizes, strict=False)]
    settings = {"batch_size": 16, "digest": "d", "seed": 0, "lanes": 4, "block_size": 5, **more}
    return StreamPlan(rows_of_shards=rows, **settings)


def drawn(order: StreamPlan, count: int) -> list[int]:
    steps = range(-(-count // order.batch_size))
    return [row for step in steps for row, _ in order.at(step)][:count]


@pytest.mark.parametrize(
    ("shards", "samples", "batch_size", "lanes", "block_size"),
    [
        (1, 1, 1, 1, 1),
        (1, 3, 16, 8, 4),
        (6, 50, 16, 4, 5),
        (3, 7, 5, 8, 64),
        (40, 11, 6, 4, 3),
        (2, 100, 7, 3, 9),
    ],
)
def test_epochs_drop_nothing_and_differ(shards, samples, batch_size, lanes, block_size):
    order = plan(shards, samples, batch_size=batch_size, lanes=lanes, block_size=block_size)
    size = order.num_samples
    rows = drawn(order, 3 * size)
    for epoch in range(3):
        assert sorted(rows[epoch * size : (epoch + 1) * size]) == list(range(size))
    assert size < 20 or rows[:size] != rows[size : 2 * size]


def test_a_row_comes_from_the_block_that_holds_it():
    order = plan()
    for step in range(40):
        for row, block in order.at(step):
            assert row in block
            assert len(block) <= 5


def test_each_step_can_be_asked_for_alone_and_in_any_order():
    order = plan()
    steps = {step: order.at(step) for step in range(60)}
    assert all(plan().at(step) == steps[step] for step in (59, 3, 40, 0))
    assert len(plan(seed=1).at(10**9)) == 16


def test_seed_and_data_determine_the_order():
    first = [plan().at(0), plan(seed=1).at(0), plan(digest="e").at(0)]
    assert len({tuple(row for row, _ in batch) for batch in first}) == 3


def test_shards_come_in_another_order_in_each_epoch():
    order = plan(shards=12, samples=20, lanes=1, batch_size=4, block_size=1)
    seen = []
    for epoch in range(4):
        rows = order._epoch(epoch).rows_N
        seen.append(tuple(dict.fromkeys((rows // 21).tolist())))
    assert len(set(seen)) == 4


@pytest.mark.parametrize(("workers", "ranks", "micro_batches"), [*product([1, 2, 4, 8], [1, 2, 4], [1, 2])])
def test_no_block_is_read_by_two_workers(workers, ranks, micro_batches):
    order = plan(shards=20, samples=64, lanes=8, batch_size=32)
    readers: defaultdict[Block, set[tuple[int, int]]] = defaultdict(set)
    for step in range(order.num_samples // 32):  # within an epoch
        batch = tuple(order.at(step))
        for rank, micro_batch in product(range(ranks), range(micro_batches)):
            worker = (step * micro_batches + micro_batch) % workers
            share = rank_slice(
                batch,
                rank=rank,
                world_size=ranks,
                micro_batch=micro_batch,
                num_micro_batches=micro_batches,
            )
            for _, block in share:
                readers[block].add((rank, worker))
    assert {len(found) for found in readers.values()} == {1}


def test_few_blocks_wait_at_a_time():
    order = plan(shards=20, samples=64, lanes=4, batch_size=32, block_size=8)
    waiting: Counter[Block] = Counter()
    most = 0
    for step in range(order.num_samples // 32):
        for _, block in order.at(step):
            waiting[block] += 1
            if waiting[block] == len(block):
                del waiting[block]
        most = max(most, len(waiting))
    assert most <= 4 * LANE_STEPS


def test_an_empty_plan_is_refused():
    with pytest.raises(ValueError, match="a plan needs samples"):
        StreamPlan(rows_of_shards=[], batch_size=1, digest="d", seed=0, lanes=1, block_size=1)
