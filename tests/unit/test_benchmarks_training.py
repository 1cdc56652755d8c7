"""The benchmark of the training steps compares both builds in turns, by processor time."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import training
from kinora.bench.before import Build
from kinora.bench.cpu_time import Finished
from manifests.shards import ShardIndex

STEP = {"data": 0.01, "forward": 0.04, "backward": 0.04, "optimizer": 0.01}


@pytest.fixture
def commands(monkeypatch) -> list[tuple[str, ...]]:
    """Replace the children; the older build takes twice as long, and its last loss differs by 0.1 %."""
    commands: list[tuple[str, ...]] = []

    def python(build: Build, *arguments: Any) -> Finished:
        words = tuple(map(str, arguments))
        commands.append((build.label, *words))
        times = 2 if build.label == "before" else 1
        result = {
            "seconds": {phase: value * times for phase, value in STEP.items()},
            "clips": 16,
            "losses": [1.0, 0.5 * (1.001 if times == 2 else 1)],
        }
        steps = int(words[words.index("--max_steps") + 1]) if "--max_steps" in words else 0
        cpu_s = 20.0 + times * steps
        return Finished(code=0, stdout=json.dumps(result), stderr="", wall_s=cpu_s, cpu_s=cpu_s)

    monkeypatch.setattr(Build, "python", python)
    return commands


def test_steps_of_both_builds_are_measured_in_turns(commands, tmp_path):
    builds = {"now": Build("now", tmp_path), "before": Build("before", tmp_path)}
    figures = training.measure(builds, tmp_path, 2, 0, turns=2)
    assert [label for label, *words in commands if "dit" in words] == ["now", "before", "before", "now"]
    for network in ("dit", "vae"):
        assert figures[f"{network}_clips_per_cpu_s"] == pytest.approx(160)
        assert figures[f"before_{network}_optimizer_s"] == pytest.approx(0.02)
        assert figures[f"{network}_speedup"] == pytest.approx(2)
        assert figures[f"{network}_loss_difference"] == pytest.approx(0.001, rel=0.01)


def test_what_a_run_costs_once_is_not_counted(commands, tmp_path):
    builds = {"now": Build("now", tmp_path), "before": Build("before", tmp_path)}
    figures = training.measure_runs(builds, tmp_path, (4, 28), 0)
    assert figures["run_clips_per_cpu_s"] == pytest.approx(32)
    assert figures["run_speedup"] == pytest.approx(2)


def test_without_an_older_build_there_are_no_ratios_to_it(commands, tmp_path):
    figures = training.measure({"now": Build("now", tmp_path)}, tmp_path, 2, 0, turns=1)
    figures |= training.measure_runs({"now": Build("now", tmp_path)}, tmp_path, (4, 28), 0)
    assert not [name for name in figures if "before" in name or "speedup" in name]


def test_the_mixture_has_three_shapes_of_frame_and_stills(tmp_path: Path):
    training.write_mixture(tmp_path, 36, seed=0)
    counts = {bucket.name: count for bucket, count in ShardIndex.load(tmp_path).counts().items()}
    assert sum(counts.values()) == 36
    assert set(counts) > {"17x64x64", "17x48x80", "17x80x48"}
    assert sum(count for name, count in counts.items() if name.startswith("1x")) == 1
