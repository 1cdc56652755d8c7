"""The estimated share of wrong captions, on made sets whose share is known."""

from math import sqrt

import numpy as np
import pytest

from manifests.review.estimate import Interval, Stratum, estimate, intervals, reviews_to_halve

SIZES_S = np.array([700_000, 200_000, 70_000, 30_000])
WRONG_S = np.array([14_000, 20_000, 21_000, 15_000])
REVIEWED_S = np.array([40, 40, 60, 60])
"""Small strata, whose captions are wrong more often, are reviewed at up to 35 times the rate."""
SHARE = WRONG_S.sum() / SIZES_S.sum()
SAMPLES = 2000


def draw(samples: int, reviewed_S: np.ndarray = REVIEWED_S, seed: int = 0) -> np.ndarray:
    """Return the wrong captions that reviews of random captions find, by sample and stratum."""
    rng = np.random.default_rng(seed)
    return rng.hypergeometric(WRONG_S, SIZES_S - WRONG_S, reviewed_S, size=(samples, len(SIZES_S)))


def strata(wrong_S: np.ndarray, reviewed_S: np.ndarray = REVIEWED_S) -> list[Stratum]:
    rows = zip("abcd", SIZES_S.tolist(), reviewed_S.tolist(), wrong_S.tolist(), strict=True)
    return [Stratum(name=name, size=size, reviewed=n, wrong=wrong) for name, size, n, wrong in rows]


def test_the_estimate_has_no_bias_and_the_share_of_all_reviews_has():
    wrong_RS = draw(SAMPLES)
    shares = [estimate(strata(wrong_S)).share for wrong_S in wrong_RS[:100]]
    assert np.mean(shares) == pytest.approx(SHARE, abs=0.006)
    assert np.mean(wrong_RS.sum(axis=1) / REVIEWED_S.sum()) > 3 * SHARE


def test_the_interval_covers_the_known_share_in_95_per_cent_of_samples():
    low_R, high_R = intervals(SIZES_S.astype(float), REVIEWED_S.astype(float), draw(SAMPLES).astype(float))
    assert np.mean((low_R <= SHARE) & (high_R >= SHARE)) >= 0.95
    assert np.mean(high_R - low_R) < 0.12


@pytest.mark.parametrize("reviewed", [10, 20, 60, 200])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.4])
def test_small_samples_of_one_stratum_hold_the_level(reviewed: int, share: float):
    size = 100_000
    rng = np.random.default_rng(reviewed)
    wrong_R1 = rng.hypergeometric(int(size * share), int(size * (1 - share)), reviewed, size=(SAMPLES, 1))
    low_R, high_R = intervals(np.array([float(size)]), np.array([float(reviewed)]), wrong_R1.astype(float))
    assert np.mean((low_R <= share) & (high_R >= share)) >= 0.94


def test_strata_with_few_reviews_each_hold_the_level():
    sizes_S, reviewed_S = np.full(20, 10_000), np.full(20, 2)
    rng = np.random.default_rng(1)
    wrong_RS = rng.hypergeometric(1_000, 9_000, reviewed_S, size=(SAMPLES, 20))
    low_R, high_R = intervals(sizes_S.astype(float), reviewed_S.astype(float), wrong_RS.astype(float))
    assert np.mean((low_R <= 0.1) & (high_R >= 0.1)) >= 0.95


def test_one_large_stratum_gets_at_least_wilsons_interval():
    found = estimate([Stratum(name="all", size=10**9, reviewed=50, wrong=4)])
    centre, margin = (0.08 + 1.96**2 / 100), 1.96 * sqrt(0.08 * 0.92 / 50 + (1.96 / 100) ** 2)
    scale = 1 + 1.96**2 / 50
    assert found.share == pytest.approx(0.08)
    assert found.interval.high == pytest.approx((centre + margin) / scale, abs=1e-5)
    assert 0.02 < found.interval.low <= (centre - margin) / scale


def test_no_wrong_caption_found_is_no_proof_that_there_is_none():
    found = estimate([Stratum(name="all", size=10**9, reviewed=20, wrong=0)])
    assert (found.share, found.interval.low) == (0.0, 0.0)
    assert found.interval.high == pytest.approx(1.96**2 / (20 + 1.96**2), abs=1e-4)


def test_a_set_that_is_reviewed_whole_has_no_uncertainty():
    found = estimate(
        [Stratum(name="a", size=30, reviewed=30, wrong=3), Stratum(name="b", size=10, reviewed=10, wrong=0)]
    )
    assert found.interval == found.whole
    assert found.interval == pytest.approx((0.075, 0.075))
    assert reviews_to_halve([Stratum(name="a", size=30, reviewed=30, wrong=3)]) == {}


def test_a_small_set_has_bounds_of_whole_captions():
    found = estimate([Stratum(name="all", size=10, reviewed=9, wrong=0)])
    assert found.interval == Interval(0.0, 0.1), "the last caption may be wrong"


def test_strata_without_a_review_are_named_and_widen_the_bounds():
    without = [*strata(draw(1)[0]), Stratum(name="new", size=250_000, reviewed=0, wrong=0)]
    found, before = estimate(without), estimate(strata(draw(1)[0]))
    assert found.not_covered == ("new",)
    assert found.covered == pytest.approx(0.8)
    assert found.interval == before.interval, "of the strata with reviews"
    assert found.whole.low == pytest.approx(0.8 * before.interval.low)
    assert found.whole.high == pytest.approx(0.8 * before.interval.high + 0.2)


def test_without_any_review_nothing_is_known():
    found = estimate([Stratum(name="all", size=100, reviewed=0, wrong=0)])
    assert (found.share, found.interval, found.whole, found.covered) == (None, (0.0, 1.0), (0.0, 1.0), 0.0)
    assert 0 < reviews_to_halve([Stratum(name="all", size=100, reviewed=0, wrong=0)])["all"] < 20
    empty = estimate([])
    assert (empty.share, empty.size, empty.reviewed) == (None, 0, 0)
    assert reviews_to_halve([]) == {}


def test_more_reviews_are_proportional_to_size_and_spread():
    wrong_S = np.array([2, 10, 30, 30])
    reviewed_S = np.full(4, 100)
    more = reviews_to_halve(strata(wrong_S, reviewed_S))
    total = {name: 100 + count for name, count in more.items()}
    spread = {"a": sqrt(0.02 * 0.98), "b": sqrt(0.1 * 0.9)}
    assert total["a"] / total["b"] == pytest.approx(700 / 200 * spread["a"] / spread["b"], rel=0.03)
    assert total["a"] > 10 * total.get("c", 100) / 10 > 0
    assert more.get("d", 0) == 0, "the small stratum has more reviews than its share already"


def test_these_reviews_halve_the_interval():
    before_RS = draw(20, seed=3)
    ratios = list[float]()
    for index, wrong_S in enumerate(before_RS):
        now = estimate(strata(wrong_S))
        more = reviews_to_halve(strata(wrong_S))
        added_S = np.array([more.get(name, 0) for name in "abcd"])
        rng = np.random.default_rng([index, 4])
        wrong_then_S = wrong_S + rng.hypergeometric(
            WRONG_S - wrong_S, SIZES_S - REVIEWED_S - WRONG_S + wrong_S, added_S
        )
        then = estimate(strata(wrong_then_S, REVIEWED_S + added_S))
        ratios.append((then.whole.high - then.whole.low) / (now.whole.high - now.whole.low))
    assert 0.42 < np.mean(ratios) < 0.58


def test_a_stratum_without_reviews_is_to_be_reviewed_where_it_matters():
    given = [
        Stratum(name="seen", size=900_000, reviewed=200, wrong=10),
        Stratum(name="unseen", size=100_000, reviewed=0, wrong=0),
        Stratum(name="crumb", size=3, reviewed=0, wrong=0),
    ]
    more = reviews_to_halve(given)
    assert more["unseen"] > 0
    assert "crumb" not in more, "three clips of a million change nothing"


def test_impossible_numbers_are_refused_by_name():
    with pytest.raises(ValueError, match="stratum near: 5 wrong of 4 reviewed of 10"):
        Stratum(name="near", size=10, reviewed=4, wrong=5)
    with pytest.raises(ValueError, match="near occurs twice"):
        estimate([Stratum(name="near", size=1, reviewed=0, wrong=0)] * 2)
