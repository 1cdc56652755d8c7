"""The benchmark of captions: what is true by counts, by chance, and the swaps that an audit has to find."""

import pytest

from benchmarks.captions import judge, measure, of_another_world, sample_clips, swapped
from captioner.separation import GROUP
from worlds import families
from worlds.claims import CaptionScore


def test_figures_are_of_the_counts_of_all_captions() -> None:
    scores = [
        CaptionScore(num_claims=8, num_true=10, supported=6, unsupported=(), missed=()),
        CaptionScore(num_claims=0, num_true=6, supported=0, unsupported=(), missed=()),
    ]
    found = measure(scores)
    assert (found["claim_precision"], found["claim_recall"]) == (0.75, 0.375)
    assert found["claim_f1"] == pytest.approx(2 * 6 / (8 + 16))
    assert found["unsupported_rate"] == 0.25
    assert measure([])["claim_f1"] == 0.0


def test_own_captions_are_true_and_those_of_another_world_are_not() -> None:
    sample = sample_clips(2, seed=3)
    assert [world.family for world in sample.worlds] == [*families.FAMILIES] * 2
    texts = [families.dense_caption(world, n) for n, world in enumerate(sample.worlds)]
    others = of_another_world(texts)
    assert sorted(others) == sorted(texts)
    own, other = (measure([score for score, _ in judge(each, sample)]) for each in (texts, others))
    assert own["claim_f1"] == 1.0
    assert 0.0 < other["claim_precision"] < 0.7


def test_swaps_change_pairs_all_or_one_batch() -> None:
    texts = [str(number) for number in range(30)]
    swaps = swapped(0, len(texts))
    assert swaps["pairs"](texts)[:4] == ["1", "0", "3", "2"]
    assert swaps["off by one"](texts) == [*texts[1:], "0"]
    batches = {name: order(texts) for name, order in swaps.items() if name.startswith("batch")}
    assert batches
    for name, order in batches.items():
        first = int(name.rpartition(" ")[2])
        assert [n for n, text in enumerate(order) if text != texts[n]] == [*range(first, first + GROUP)]
        assert sorted(order) == sorted(texts)
