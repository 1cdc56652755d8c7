"""Trainings that differ in one thing: equal commands but for that, two seeds, and gains prompt by prompt."""

import json
import sys
from pathlib import Path

import pytest

from kinora.evaluation.run import Evaluation
from kinora.training import compare as module
from kinora.training.compare import COMPARISONS, CompareConfig, compare, main
from kinora.training.shipped import ShippedConfig, train_shipped


def config_of(out: Path, name: str = "captions", **fields) -> CompareConfig:
    return CompareConfig(name=name, shards=Path("shards"), vae="shipped", out=out, steps=3, **fields)


@pytest.fixture
def commands(monkeypatch) -> list[tuple[str, ...]]:
    """Replace trainings and judging: dense captions win by 0.2 on average, each scale by 0.1."""
    found: list[tuple[str, ...]] = []

    def train(*words: str) -> None:
        found.append(words)
        run = Path(words[words.index("--out") + 1])
        (run / "checkpoints").mkdir(parents=True, exist_ok=True)
        (run / "checkpoints" / "step=3.ckpt").touch()
        log = run / "logs" / "version_0" / "metrics.csv"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("step,train/loss,val/loss\n1,0.9,\n1,,0.8\n2,,0.5\n")

    def judge(evaluation, out, *, seed):
        arm, _, of_seed = Path(evaluation.model).name.partition("-")
        level = {"short": 0.5, "dense": 0.7, "base": 0.5, "4x": 0.6, "32x": 0.7}[arm] + 0.01 * int(of_seed)
        samples = [
            {"group": group, "index": index, "verdict": {"claims": value, "score": value}}
            for group in ("raw", "expanded", "seen", "unseen")
            for index in (2, 0, 1)
            for value in [level + index / 100 if group != "unseen" else 0.0]
        ]
        (out / evaluation.row).mkdir(parents=True, exist_ok=True)
        (out / evaluation.row / "row.json").write_text(json.dumps({"samples": samples}))
        return Evaluation()

    monkeypatch.setattr(module, "run_kinora", train)
    monkeypatch.setattr(module, "evaluate_rows", judge)
    return found


def test_arms_differ_in_one_flag_and_have_the_same_seeds(tmp_path, commands):
    figures = {figure.name: figure for figure in compare(config_of(tmp_path))}
    runs = [Path(words[words.index("--out") + 1]).name for words in commands]
    assert runs == ["short-0", "dense-0", "short-1", "dense-1"]
    short, dense = commands[0], commands[1]
    assert [pair for pair in zip(short, dense, strict=True) if pair[0] != pair[1]] == [
        (str(tmp_path / "short-0"), str(tmp_path / "dense-0")),
        ("0", "1"),
    ]
    assert {words[words.index("--data.seed") + 1] for words in commands[2:]} == {"1"}
    gained = figures["captions_dense_over_short"]
    assert gained.value == pytest.approx(0.2)
    assert (gained.n, gained.goal, gained.met) == (3, 0.1, True)
    assert figures["captions_dense_over_short_seed1"].value == pytest.approx(0.2)
    assert figures["captions_short"].value == pytest.approx(0.515)
    assert "captions_dense_over_short" in (tmp_path / "table.md").read_text()
    assert json.loads((tmp_path / "results.json").read_text())["seeds"] == [0, 1]

    compare(config_of(tmp_path, processes=1))
    assert all("--resume" in words for words in commands[4:])
    with pytest.raises(ValueError, match="another samples"):
        compare(config_of(tmp_path, samples=5))


def test_scaling_has_more_steps_each_time(tmp_path, commands, capsys):
    words = ["--shards", "shards", "--vae", "shipped", "--out", str(tmp_path), "--steps", "3"]
    assert main(["scaling", *words]) == 0
    steps = [int(words[words.index("--max_steps") + 1]) for words in commands]
    assert steps == [3, 12, 96] * 2
    assert "scaling_32x_over_4x" in capsys.readouterr().out
    assert json.loads((tmp_path / "results.json").read_text())["figures"]["scaling_base_loss"] == 0.5
    (tmp_path / "base-0" / "logs" / "version_0" / "metrics.csv").unlink()
    with pytest.raises(ValueError, match="no validation loss"):
        module._loss(tmp_path / "base-0")


def test_a_training_that_fails_ends_the_comparison(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "executable", "false")
    words = ["--shards", "shards", "--vae", "shipped", "--out", str(tmp_path)]
    assert main([next(iter(COMPARISONS)), *words]) == 1
    assert "train dit fit" in capsys.readouterr().err


@pytest.mark.slow
def test_from_worlds_to_a_table(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SEEDS", (0,))
    train_shipped(
        ShippedConfig(
            out=tmp_path, num_worlds=48, num_stills=32, processes=1, vae_steps=2, still_steps=1, dit_steps=1
        )
    )
    config = CompareConfig(
        name="captions",
        shards=tmp_path / "shards",
        vae=str(tmp_path / "weights"),
        out=tmp_path / "out",
        steps=1,
        samples=2,
        processes=1,
    )
    figures = compare(config)
    assert [figure.n for figure in figures] == [2] * 4
    assert (tmp_path / "out" / "plot.svg").read_text().startswith("<svg")
    assert compare(config) == figures
