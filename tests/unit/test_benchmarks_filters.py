"""`benchmarks.filters` counts every filter, and Wilson bounds lie below the shares."""

import benchmarks.filters as filters
from benchmarks.filters import Counts


def test_a_quick_run_counts_every_filter(monkeypatch):
    config_class = filters.RawConfig
    monkeypatch.setattr(filters, "RawConfig", lambda **fields: config_class(**fields | {"num_workers": 1}))
    figures = filters.bench(quick=True, seed=3)
    lines = figures.text.splitlines()
    assert all(len(line) <= 80 for line in lines)
    for name in ("letterbox", "black", "flash", "frozen", "blurred", "camera_roll"):
        assert figures.figures[f"{name}_n"] > 0
        assert figures.figures[f"{name}_recall_low"] <= figures.figures[f"{name}_recall"] <= 1


def test_misses_and_false_alarms_are_counted_and_listed():
    counts = Counts()
    for predicted, true in ((True, True), (True, False), (False, True), (False, False)):
        counts.add(predicted, true, "x")
    assert (counts.correct, counts.predicted, counts.true, counts.n) == (1, 2, 2, 4)
    assert counts.wrong == ["x false alarm", "x missed"]
