"""Cohen's kappa and win rates, against published examples and made reviewers."""

import numpy as np
import pytest

from manifests.review.agreement import cohen_kappa, pair_counts, win_rate


def table(shares: list[float], kappa: float) -> np.ndarray:
    """Return the shares of pairs of verdicts of two reviewers with this kappa and the same habits."""
    share_K = np.array(shares)
    return kappa * np.diag(share_K) + (1 - kappa) * np.outer(share_K, share_K)


def test_kappa_of_a_known_table():
    found = cohen_kappa({("a", "a"): 20, ("a", "r"): 5, ("r", "a"): 10, ("r", "r"): 15})
    assert found.clips == 50
    assert found.agreed == pytest.approx(0.7)
    assert found.kappa == pytest.approx(0.4)
    assert found.interval.low == pytest.approx(0.1514, abs=0.02)
    assert found.interval.high == pytest.approx(0.6486, abs=0.02)


@pytest.mark.parametrize("kappa", [0.2, 0.6, 0.9])
@pytest.mark.parametrize("clips", [20, 100])
def test_the_interval_of_kappa_holds_its_level(kappa: float, clips: int):
    rng = np.random.default_rng(clips)
    names, covered = ["approve", "edit", "reject"], 0
    for _ in range(100):
        count_KK = rng.multinomial(clips, table([0.7, 0.2, 0.1], kappa).ravel()).reshape(3, 3)
        pairs = {
            (first, second): int(count_KK[i, j])
            for i, first in enumerate(names)
            for j, second in enumerate(names)
        }
        found = cohen_kappa(pairs)
        covered += found.interval.low <= kappa <= found.interval.high
    assert covered / 100 >= 0.88


def test_full_agreement_on_few_clips_is_no_certainty():
    found = cohen_kappa({("approve", "approve"): 8, ("reject", "reject"): 4})
    assert found.kappa == 1.0
    assert found.interval.high == 1.0
    assert 0.3 < found.interval.low < 0.9


def test_kappa_needs_two_verdicts():
    alike = cohen_kappa({("approve", "approve"): 30})
    assert (alike.kappa, alike.interval, alike.agreed, alike.clips) == (None, (-1.0, 1.0), 1.0, 30)
    assert cohen_kappa({}).agreed is None


def test_kappa_does_not_depend_on_the_order_of_names_or_reviewers():
    pairs = {("a", "b"): 7, ("b", "a"): 3, ("a", "a"): 20, ("b", "b"): 10, ("c", "c"): 2}
    swapped = {(second, first): count for (first, second), count in pairs.items()}
    assert cohen_kappa(pairs).kappa == pytest.approx(cohen_kappa(swapped).kappa)
    assert cohen_kappa(pairs) == cohen_kappa(dict(reversed(pairs.items())))


def test_pairs_are_the_clips_that_both_decided_on():
    first = {"1": "approve", "2": "reject", "3": "approve", "4": "edit"}
    second = {"2": "reject", "3": "reject", "4": "edit", "5": "approve"}
    assert pair_counts(first, second) == {
        ("reject", "reject"): 1,
        ("approve", "reject"): 1,
        ("edit", "edit"): 1,
    }


def test_a_tie_is_half_a_win():
    found = win_rate(wins=30, losses=10, ties=20)
    assert found.rate == pytest.approx(40 / 60)
    mirrored = win_rate(wins=10, losses=30, ties=20)
    assert mirrored.rate == pytest.approx(1 - 40 / 60)
    assert mirrored.interval.low == pytest.approx(1 - found.interval.high)


def test_the_bounds_are_where_the_score_test_rejects():
    """The variance under a difference is that of the most likely shares with this difference: by search."""
    wins, losses, ties = 9, 3, 32
    found = win_rate(wins=wins, losses=losses, ties=ties)
    for bound in found.interval:
        difference = 2 * bound - 1
        losing_G = np.linspace(1e-6, (1 - abs(difference)) / 2, 200_001) + max(0.0, -difference)
        winning_G = losing_G + difference
        rest_G = np.maximum(1 - losing_G - winning_G, 1e-300)
        best = np.argmax(wins * np.log(winning_G) + losses * np.log(losing_G) + ties * np.log(rest_G))
        variance = 44 * (losing_G[best] + winning_G[best] - difference**2)
        assert (wins - losses - 44 * difference) ** 2 / variance == pytest.approx(1.959964**2, rel=1e-3)


def test_ties_alone_do_not_decide_and_their_number_counts():
    few, many = win_rate(wins=0, losses=0, ties=4), win_rate(wins=0, losses=0, ties=400)
    assert few.rate == many.rate == 0.5
    assert many.interval.high - many.interval.low < (few.interval.high - few.interval.low) / 10
    assert few.interval.low < 0.3


def test_all_votes_for_one_side():
    found = win_rate(wins=20, losses=0, ties=0)
    assert (found.rate, found.interval.high) == (1.0, 1.0)
    assert found.interval.low == pytest.approx(20 / (20 + 1.96**2), abs=1e-3), "Wilson's bound"


@pytest.mark.parametrize(
    "shares", [(0.5, 0.5, 0.0), (0.45, 0.35, 0.2), (0.2, 0.1, 0.7), (0.9, 0.05, 0.05), (0.02, 0.03, 0.95)]
)
@pytest.mark.parametrize("votes", [15, 40])
def test_the_interval_of_the_win_rate_holds_its_level(shares: tuple[float, float, float], votes: int):
    rng = np.random.default_rng(votes)
    true = shares[0] + shares[2] / 2
    covered = 0
    for wins, losses, ties in rng.multinomial(votes, shares, size=400).tolist():
        found = win_rate(wins=wins, losses=losses, ties=ties).interval
        covered += found.low - 1e-9 <= true <= found.high + 1e-9
    assert covered / 400 >= 0.92


def test_no_votes_and_negative_numbers():
    assert win_rate(wins=0, losses=0, ties=0).rate is None
    with pytest.raises(ValueError, match="losses: the number is below 0"):
        win_rate(wins=1, losses=-1, ties=0)
