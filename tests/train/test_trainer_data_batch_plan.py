"""The batch plan: every clip once per epoch, none dropped, a function of its arguments alone."""

from collections import Counter

import pytest

from trainer.data.batch_plan import BatchPlan, held_out, permute, rank_slice
from trainer.rng import generator


@pytest.mark.parametrize("size", [1, 2, 3, 64, 65, 1000])
def test_a_permutation_hits_everything_once(size):
    assert sorted(permute(index, size, "key") for index in range(size)) == list(range(size))


def test_epochs_drop_nothing_and_differ():
    plan = BatchPlan(num_samples=10, batch_size=4, digest="d", seed=0)
    drawn = [number for step in range(5) for number in plan.at(step)]  # 20 draws: two epochs
    assert Counter(drawn) == dict.fromkeys(range(10), 2)
    assert Counter(drawn[:10]) == dict.fromkeys(range(10), 1)
    assert drawn[:10] != drawn[10:]


def test_data_and_seed_determine_the_order():
    def order(digest: str, seed: int) -> tuple[int, ...]:
        return BatchPlan(num_samples=100, batch_size=100, digest=digest, seed=seed).at(0)

    assert order("a", 0) == order("a", 0)
    assert len({order("a", 0), order("b", 0), order("a", 1)}) == 3


def test_a_late_step_of_a_huge_set_is_computed_directly():
    numbers = BatchPlan(num_samples=10**12, batch_size=3, digest="d", seed=0).at(10**9)
    assert len({*numbers}) == 3
    assert all(0 <= number < 10**12 for number in numbers)


@pytest.mark.parametrize(("world_size", "num_micro_batches"), [(1, 1), (2, 1), (1, 4), (2, 3)])
def test_rank_slices_tile_the_batch(world_size, num_micro_batches):
    batch = tuple(range(13))
    slices = [
        rank_slice(
            batch,
            rank=rank,
            world_size=world_size,
            micro_batch=micro_batch,
            num_micro_batches=num_micro_batches,
        )
        for rank in range(world_size)
        for micro_batch in range(num_micro_batches)
    ]
    assert sorted(number for each in slices for number in each) == list(batch)


def test_the_validation_split_depends_on_the_id_alone_and_has_the_given_fraction():
    names = [f"clip-{number}" for number in range(5000)]
    held = [held_out(name, 0.1) for name in names]
    assert held == [held_out(name, 0.1) for name in names]
    assert 0.08 < sum(held) / len(held) < 0.12
    assert not any(held_out(name, 0.0) for name in names)


def test_generators_differ_by_purpose_and_repeat_by_name():
    first, again = generator(0, 7, "clip", "noise"), generator(0, 7, "clip", "noise")
    other = generator(0, 7, "clip", "level")
    numbers = first.random(8).tolist()
    assert numbers == again.random(8).tolist()
    assert numbers != other.random(8).tolist()
