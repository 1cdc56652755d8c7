"""What is held out and validated on: whole sources, every bucket, one division among ranks."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from trainer.config import CropConfig
from trainer.data.batch_plan import held_out
from trainer.data.pixels import PixelData
from trainer.data.validation import NO_SOURCES, ONE_SOURCE, Split, share_of_rank, split_rows, stratify


def split(sources: list[str], fraction: float = 0.1, buckets: list[str] | None = None, **more) -> Split:
    clip_ids = more.pop("clip_ids", [f"clip-{row}" for row in range(len(sources))])
    buckets = buckets or ["a"] * len(sources)
    return split_rows(sources=sources, clip_ids=clip_ids, buckets=buckets, fraction=fraction)


def films(number: int, clips: int) -> list[str]:
    return [f"film-{film}" for film in range(number) for _ in range(clips)]


def test_a_source_is_on_one_side():
    sources = films(100, 20)
    found = split(sources)
    held, trained = ({sources[row] for row in rows} for rows in (found.held_rows, found.training_rows))
    assert not held & trained
    assert found.warning is None
    assert 0.05 < len(found.held_rows) / len(sources) < 0.2
    assert sorted([*found.held_rows, *found.training_rows]) == list(range(len(sources)))


def test_the_split_does_not_depend_on_the_order_of_the_rows():
    sources, buckets = films(30, 7), [f"bucket-{row % 4}" for row in range(210)]
    order = np.random.default_rng(0).permutation(210)
    found = split(sources, 0.1, buckets)
    other = split([sources[row] for row in order], 0.1, [buckets[row] for row in order])
    assert {sources[row] for row in found.held_rows} == {sources[order[row]] for row in other.held_rows}


def test_sources_of_very_different_length():
    for seed in range(40):
        sources = [f"{seed}-long"] * 900 + [f"{seed}-{film}" for film in range(20) for _ in range(5)]
        found = split(sources, 0.05)
        assert 5 <= len(found.held_rows) <= 100
        assert f"{seed}-long" not in {sources[row] for row in found.held_rows}


def test_two_sources_give_the_smaller_one():
    found = split(["a"] * 90 + ["b"] * 10, 0.03)
    assert found.held_rows.tolist() == list(range(90, 100))
    assert found.warning is None


def test_each_bucket_gets_a_source_where_the_fraction_allows_it():
    sources = films(60, 5)
    buckets = ["rare" if film in (17, 41) else "common" for film in range(60) for _ in range(5)]
    for fraction in (0.05, 0.1, 0.2):
        found = split(sources, fraction, buckets)
        assert {buckets[row] for row in found.held_rows} == {"rare", "common"}
        assert len(found.held_rows) <= 2 * fraction * 300


def test_one_source_is_split_by_clip_and_says_so():
    clip_ids = [f"clip-{row // 3}" for row in range(120)]  # three windows each
    found = split(["film"] * 120, 0.1, clip_ids=clip_ids)
    assert found.warning == ONE_SOURCE
    assert len(found.held_rows)
    assert not {clip_ids[row] for row in found.held_rows} & {clip_ids[row] for row in found.training_rows}


def test_sets_without_sources_are_split_by_clip_as_before_and_say_so():
    clip_ids = [f"clip-{row}" for row in range(200)]
    found = split([""] * 200, 0.1, clip_ids=clip_ids)
    assert found.warning == NO_SOURCES
    assert found.held_rows.tolist() == [r for r, clip_id in enumerate(clip_ids) if held_out(clip_id, 0.1)]


def test_no_fraction_holds_nothing_out():
    for sources in (["film"] * 5, [""] * 5, films(5, 1)):
        found = split(sources, 0.0)
        assert found.training_rows.tolist() == list(range(5))
        assert found.warning is None


@pytest.mark.parametrize("sources", [["film"], [], [""]])
def test_a_set_that_is_too_small_holds_nothing_out(sources):
    assert not len(split(sources, 0.1).held_rows)


def chosen(counts: dict[str, int], limit: int) -> Counter[str]:
    names = [name for name, count in counts.items() for _ in range(count)]
    rows = stratify(
        range(len(names)),
        keys={row: f"{name}-{row}" for row, name in enumerate(names)},
        buckets=dict(enumerate(names)),
        limit=limit,
    )
    assert len(set(rows)) == len(rows)
    return Counter(names[row] for row in rows)


@pytest.mark.parametrize(
    ("counts", "limit", "quotas"),
    [
        ({"a": 500, "b": 300, "c": 200}, 10, {"a": 5, "b": 3, "c": 2}),
        ({"a": 1000, "b": 1, "c": 1}, 10, {"a": 8, "b": 1, "c": 1}),
        ({"a": 4, "b": 3}, 64, {"a": 4, "b": 3}),
        ({"a": 9, "b": 5, "c": 2}, 2, {"a": 1, "b": 1}),
        ({"a": 50, "b": 50, "c": 50}, 64, {"a": 22, "b": 21, "c": 21}),
        ({}, 5, {}),
    ],
)
def test_validated_samples_are_spread_over_the_buckets(counts, limit, quotas):
    assert chosen(counts, limit) == quotas


def test_the_choice_within_a_bucket_does_not_depend_on_the_order_of_the_rows():
    keys, buckets = {row: f"key-{row}" for row in range(50)}, dict.fromkeys(range(50), "a")
    rows = stratify(range(50), keys=keys, buckets=buckets, limit=7)
    assert rows == stratify(range(49, -1, -1), keys=keys, buckets=buckets, limit=7)
    assert rows != list(range(7))


@pytest.mark.parametrize(("batches", "ranks"), [*product([0, 1, 5, 6, 7], [1, 2, 3, 8])])
def test_every_rank_gets_equally_many_batches_and_each_counts_once(batches, ranks):
    shares = [share_of_rank([f"batch-{n}" for n in range(batches)], rank, ranks) for rank in range(ranks)]
    assert len({len(share) for share in shares}) == 1
    counted = [batch for share in shares for batch, counts in share if counts]
    assert sorted(counted) == sorted(f"batch-{n}" for n in range(batches))


@pytest.mark.filterwarnings("ignore:.*did not record the source")
def test_all_buckets_of_a_set_are_validated_on(packer, tmp_path):
    shards = packer(tmp_path, clips_a_bucket=20)
    data = PixelData(
        shards=str(shards),
        batch_size=4,
        validation_fraction=0.5,
        validation_clips=6,
        crop=CropConfig(side_px=16),
    )
    data.setup("fit")
    assert len(data.validation_rows) == 6
    assert len({data.index.sample(int(row)).bucket for row in data.validation_rows}) == 3
    batches = list(data.val_dataloader())
    assert sum(len(batch.frames_BTHWC[0]) for batch in batches) == 6
