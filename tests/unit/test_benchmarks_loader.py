"""The loader's benchmark measures the same pixels on every path, beside an older build."""

import pytest

from benchmarks import loader
from kinora.bench.before import Build

FILM = {"cpu_s": 0.5, "wall_s": 1.0, "peak_mb": 100.0, "grown_mb": 20.0, "digest": "d", "import_mb": 600.0}


@pytest.fixture
def recorded(monkeypatch) -> list[tuple[str, str, int]]:
    """Replace the children; the older build takes ten times as much of everything."""
    calls: list[tuple[str, str, int]] = []

    def run(build: Build, task: str, shards, number: int) -> dict:
        calls.append((build.label, task, number))
        times = 10 if build.label == "before" else 1
        if task == "batches":
            return {"cpu_s": 0.1 * times, "clips": 16 * number}
        if task == "wait":
            return {"wait_share": 0.25}
        return {name: value if name == "digest" else value * times for name, value in FILM.items()}

    monkeypatch.setattr(loader, "run", run)
    return calls


def measure(tmp_path, **builds: Build) -> dict[str, float]:
    return loader.measure(builds, tmp_path, tmp_path, 160, turns=2, steps=3)


def test_the_older_build_is_measured_in_turns_and_divided_by(recorded, tmp_path):
    figures = measure(tmp_path, now=Build("now", tmp_path), before=Build("before", tmp_path))
    names = ("", "_window", "_drawn")
    assert [figures[f"speedup_over_before{name}"] for name in names] == pytest.approx([10, 10, 10])
    assert figures["memory_over_before"] == 0.1
    assert figures["clips_over_before"] == 10
    assert figures["over_decord"] == figures["over_bare_decode"] == figures["equal_pixels"] == 1
    assert figures["wait_share"] == 0.25
    assert [label for label, task, number in recorded if task == "sample" and number == 0] == [
        *("now", "before"),
        *("before", "now"),
    ]
    assert {number for _, task, number in recorded if task == "sample"} == {
        0,
        12,
        36,
        60,
        83,
        107,
        131,
        1001,
        1008,
        1015,
    }


def test_without_an_older_build_there_are_no_ratios_to_it(recorded, tmp_path):
    assert not [name for name in measure(tmp_path, now=Build("now", tmp_path)) if "before" in name]


@pytest.mark.slow
def test_a_smoke_run_reads_equal_pixels():
    figures = loader.bench(quick=True, seed=0).figures
    assert figures["equal_pixels"] == 1
    assert figures["sample_cpu_s"] > 0
