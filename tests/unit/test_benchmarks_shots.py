"""`benchmarks.shots` matches boundaries with transitions, and a quick run returns the pinned figures."""

from pathlib import Path

import pytest

from benchmarks import shots as bench
from benchmarks.shot_classes import CUTS, NO_CUTS
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
        ([(50, 54), (100, 120)], [1, 0, 0], [1, 0, 0]),
        ([(50, 57), (100, 120)], [0, 1, 0], [1, 0, 1]),
    ],
)
def test_a_boundary_matches_once_and_unmatched_ones_are_false_positives(boundaries, hard, gradual):
    counts = bench.score([CUT, DISSOLVE], [Boundary(start=a, end=b) for a, b in boundaries])
    assert counts["hard"] == hard
    assert counts["gradual"] == gradual


def test_f1_is_the_harmonic_mean_of_precision_and_recall():
    assert bench.f1([8, 2, 2]) == pytest.approx(0.8)
    assert bench.f1([0, 3, 0]) == 0


def test_a_class_counts_boundaries_of_either_kind_and_one_without_cuts_its_videos():
    names = [*CUTS, *NO_CUTS]
    scores = {("ours", f"{row} {name}"): [0, 0, 0] for name in names for row in ("hard", "gradual")}
    scores |= {("ours", "hard slow_dissolve"): [0, 0, 1], ("ours", "gradual slow_dissolve"): [3, 1, 0]}
    scores |= {("ours", f"calm {name}"): [4, 0, 0] for name in NO_CUTS}
    scores |= {("ours", "calm strobe"): [3, 1, 0], ("ours", "clean"): [9, 1, 0]}
    scores |= {("adaptive", "hard"): [1, 1, 0], ("adaptive", "gradual"): [0, 1, 0]}
    scores |= {("ours", "hard"): [1, 0, 0], ("ours", "gradual"): [1, 0, 0]}
    figures = bench.figures_of(scores, {"ours": 1.0, "adaptive": 2.0})
    assert figures["f1_slow_dissolve"] == 0.75
    assert figures["false_cuts_strobe"] == 0.25
    assert figures["false_cuts_inset"] == 0
    assert figures["clean_ends"] == 0.9


def test_shots_is_a_known_benchmark():
    assert "shots" in NAMES


@pytest.mark.slow
@pytest.mark.skipif(not any(Path(".cache").glob("*.whl")), reason="`make setup` fetches the real clips")
def test_a_quick_run_returns_every_pinned_figure():
    figures = bench.bench(quick=True, seed=0).figures
    pinned = {"f1_hard", "f1_gradual", "best_peer_f1_hard", "best_peer_f1_gradual", "clean_ends"}
    pinned |= {f"f1_{name}" for name in CUTS} | {f"false_cuts_{name}" for name in NO_CUTS}
    assert pinned | {"speedup_over_pyscenedetect"} <= set(figures)
    assert all(0 <= figures[name] <= 1 for name in pinned)
