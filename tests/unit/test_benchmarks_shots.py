"""`benchmarks.shots` matches boundaries with transitions, and a quick run returns the pinned figures."""

from pathlib import Path

import pytest

from benchmarks import shots as bench
from kinora.commands.bench import NAMES
from pipeline.analyze.shots.boundaries import Boundary

CUT, DISSOLVE = ("cut", 50, 50), ("dissolve", 100, 120)


@pytest.mark.parametrize(
    ("boundaries", "hard", "gradual"),
    [
        ([(50, 50), (100, 120)], [1, 0, 0], [1, 0, 0]),
        ([(51, 51), (110, 110)], [1, 0, 0], [1, 0, 0]),
        ([(52, 52), (98, 98)], [0, 1, 1], [1, 0, 0]),
        ([], [0, 1, 0], [0, 1, 0]),
        ([(50, 50), (50, 51), (100, 105), (112, 120)], [1, 0, 0], [1, 0, 2]),
        ([(50, 50), (60, 90), (128, 140)], [1, 0, 0], [0, 1, 2]),
    ],
)
def test_a_boundary_matches_once_and_unmatched_ones_are_false_positives(boundaries, hard, gradual):
    counts = bench.score([CUT, DISSOLVE], [Boundary(start=a, end=b) for a, b in boundaries])
    assert counts["hard"] == hard
    assert counts["gradual"] == gradual


def test_f1_is_the_harmonic_mean_of_precision_and_recall():
    assert bench.f1([8, 2, 2]) == pytest.approx(0.8)
    assert bench.f1([0, 3, 0]) == 0


def test_shots_is_a_known_benchmark():
    assert "shots" in NAMES


@pytest.mark.slow
@pytest.mark.skipif(not any(Path(".cache").glob("*.whl")), reason="`make setup` fetches the real clips")
def test_a_quick_run_returns_every_pinned_figure():
    figures = bench.bench(quick=True, seed=0).figures
    pinned = {"f1_hard", "f1_gradual", "best_peer_f1_hard", "best_peer_f1_gradual"}
    assert pinned | {"speedup_over_pyscenedetect"} <= set(figures)
    assert all(0 <= figures[name] <= 1 for name in pinned)
