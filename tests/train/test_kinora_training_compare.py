"""Trainings that differ in one thing: equal commands but for that, two seeds, and gains prompt by prompt."""

import json
import sys
from pathlib import Path

import pytest

from kinora.evaluation.run import Evaluation
from kinora.training import compare as module
from kinora.training.compare import COMPARISONS, CROPPED, WHOLE, CompareConfig, compare, main
from kinora.training.shipped_worlds import middle_square, sample_of
from manifests.shards import ShardIndex
from trainer.config import DitConfig, VaeConfig
from worlds import families
from worlds.shapes.measure import wholly_in_frame


def config_of(out: Path, name: str = "captions", **fields) -> CompareConfig:
    return CompareConfig(name=name, vae="shipped", out=out, steps=3, **fields)


@pytest.fixture
def commands(monkeypatch) -> list[tuple[str, ...]]:
    """Replace trainings and judging: dense captions and native shapes win by 0.2 on average, each scale by
    0.1."""
    found: list[tuple[str, ...]] = []

    def train(*words: str) -> None:
        found.append(words)
        if words[0] == "encode":
            return
        run = Path(words[words.index("--out") + 1])
        (run / "checkpoints").mkdir(parents=True, exist_ok=True)
        (run / "checkpoints" / "step=3.ckpt").touch()
        log = run / "logs" / "version_0" / "metrics.csv"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("step,train/loss,val/loss\n1,0.9,\n1,,0.8\n2,,0.5\n")

    def judge(evaluation, out, *, seed):
        arm, _, of_seed = Path(evaluation.model).name.partition("-")
        level = {"short": 0.5, "dense": 0.7, "base": 0.5, "4x": 0.6, "32x": 0.7, "square": 0.5, "native": 0.7}
        samples = [
            {
                "group": group,
                "index": index,
                "verdict": {"claims": value, "score": value, "framed": value, part: value},
                "chance": {"claims": 0.1, "score": 0.1} if group != "framing" else {},
                "ceiling": {"claims": 0.9, "score": 0.9, "framed": 0.9, part: 0.9},
            }
            for group in ("raw", "expanded", "seen", "unseen", "framing")
            for index in (2, 0, 1)
            for value in [level[arm] + 0.01 * int(of_seed) + index / 100 if group != "unseen" else 0.0]
            for part in ["in_square" if index == 2 else "in_native"]
        ]
        (out / evaluation.row).mkdir(parents=True, exist_ok=True)
        (out / evaluation.row / "row.json").write_text(json.dumps({"samples": samples}))
        return Evaluation()

    monkeypatch.setattr(module, "write_worlds", lambda *args, **kwargs: 0)
    monkeypatch.setattr(module, "run_kinora", train)
    monkeypatch.setattr(module, "evaluate_rows", judge)
    return found


def test_arms_differ_in_one_flag_and_have_the_same_seeds(tmp_path, commands):
    figures = {figure.name: figure for figure in compare(config_of(tmp_path))}
    encode, *trainings = commands
    assert encode[:3] == ("encode", "--shards", str(tmp_path / "worlds"))
    runs = [Path(words[words.index("--out") + 1]).name for words in trainings]
    assert runs == ["short-0", "dense-0", "short-1", "dense-1"]
    short, dense = trainings[:2]
    assert [pair for pair in zip(short, dense, strict=True) if pair[0] != pair[1]] == [
        (str(tmp_path / "short-0"), str(tmp_path / "dense-0")),
        ("0", "1"),
    ]
    assert {words[words.index("--data.seed") + 1] for words in trainings[2:]} == {"1"}
    gained = figures["captions_dense_over_short"]
    assert gained.value == pytest.approx(0.2)
    assert (gained.n, gained.goal, gained.met) == (3, 0.1, True)
    assert figures["captions_dense_over_short_seed1"].value == pytest.approx(0.2)
    short_figure = figures["captions_short"]
    assert (short_figure.value, short_figure.chance, short_figure.ceiling) == pytest.approx((0.515, 0.1, 0.9))
    assert "captions_dense_over_short" in (tmp_path / "table.md").read_text()
    assert json.loads((tmp_path / "results.json").read_text())["seeds"] == [0, 1]

    compare(config_of(tmp_path, processes=1))
    assert all("--resume" in words for words in commands[6:])
    with pytest.raises(ValueError, match="another samples"):
        compare(config_of(tmp_path, samples=5))


def test_scaling_has_more_steps_each_time(tmp_path, commands, capsys):
    words = ["--vae", "shipped", "--out", str(tmp_path), "--steps", "3"]
    assert main(["scaling", *words]) == 0
    steps = [int(words[words.index("--max_steps") + 1]) for words in commands[1:]]
    assert steps == [3, 12, 96] * 2
    assert "scaling_32x_over_4x" in capsys.readouterr().out
    assert json.loads((tmp_path / "results.json").read_text())["figures"]["scaling_base_loss"] == 0.5
    (tmp_path / "base-0" / "logs" / "version_0" / "metrics.csv").unlink()
    with pytest.raises(ValueError, match="no validation loss"):
        module._loss(tmp_path / "base-0")


def test_framing_crops_for_one_arm_and_is_judged_by_shape_of_frame(tmp_path, commands):
    figures = {figure.name: figure for figure in compare(config_of(tmp_path, "framing"))}
    encode, train = ([words for words in commands if words[0] == verb] for verb in ("encode", "train"))
    assert [words[words.index("--shards") + 1] for words in encode] == [
        str(tmp_path / "squares"),
        str(tmp_path / "worlds"),
    ]
    assert [words[words.index("--data.shards") + 1] for words in train] == [
        str(tmp_path / folder) for folder in ("squares", "worlds", "squares", "worlds")
    ]
    gained = figures["framing_native_over_square"]
    assert gained.value == pytest.approx(0.2)
    assert (gained.n, gained.goal, gained.met) == (3, 0.15, True)
    parts = [figures[f"framing_native_over_square_{part}"] for part in ("in_square", "in_native")]
    assert [(part.n, part.goal, part.value) for part in parts] == [
        (1, None, pytest.approx(0.2)),
        (2, None, pytest.approx(0.2)),
    ]
    native = figures["framing_native"]
    assert (native.value, native.chance, native.ceiling) == (pytest.approx(0.715), None, pytest.approx(0.9))
    with pytest.raises(ValueError, match="another num_worlds"):
        compare(config_of(tmp_path, "framing", num_worlds=5))


def test_a_step_of_squares_has_as_many_tokens_as_one_of_native_shapes():
    dit = DitConfig(width=160, depth=6, heads=5, latent_channels=16, patch=1)
    vae = VaeConfig(latent_channels=16)
    tokens = set()
    for arm in COMPARISONS["framing"].arms:
        clips = int(arm.flags[arm.flags.index("--data.batch_size") + 1])
        for (width, height), _ in arm.worlds.sizes:
            side = min(width, height)
            height, width = (side, side) if arm.worlds.square else (height, width)
            ((num_frames, _),) = arm.worlds.frames
            shape = vae.latent_shape(num_frames, height, width)
            tokens.add(clips * dit.num_tokens(shape))
    assert tokens == {18 * 3 * 10 * 6}


def test_native_worlds_are_wholly_in_frame_and_half_of_their_squares_are_not():
    whole, squares = [], []
    for number in range(200):
        world = sample_of(0, number, WHOLE)
        assert world == sample_of(0, number, CROPPED)
        frames_THWC = families.render(world)
        whole.append(wholly_in_frame(frames_THWC))
        squares.append(wholly_in_frame(middle_square(frames_THWC)))
    assert sum(whole) >= 0.98 * len(whole)  # the tip of a thing may touch an edge
    assert 0.4 * len(squares) < sum(squares) < 0.6 * len(squares)


def test_a_training_that_fails_ends_the_comparison(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "write_worlds", lambda *args, **kwargs: 0)
    monkeypatch.setattr(sys, "executable", "false")
    assert main(["captions", "--vae", "shipped", "--out", str(tmp_path)]) == 1
    assert "kinora encode" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "counts", "buckets"),
    [
        ("captions", [2] * 4, {"worlds": {"9x64x64"}}),
        (
            "framing",
            [4, 4, 2, 2, 4, 2, 2, 4, 2, 2],
            {"squares": {"9x48x48"}, "worlds": {"9x48x80", "9x80x48"}},
        ),
    ],
)
def test_from_worlds_to_a_table(tmp_path, monkeypatch, name, counts, buckets):
    monkeypatch.setattr(module, "SEEDS", (0,))
    config = CompareConfig(
        name=name, vae="shipped", out=tmp_path, num_worlds=48, steps=1, samples=counts[0], processes=1
    )
    figures = compare(config)
    assert [figure.n for figure in figures] == counts
    assert (tmp_path / "plot.svg").read_text().startswith("<svg")
    for folder, names in buckets.items():
        assert {bucket.name for bucket in ShardIndex.load(tmp_path / folder).buckets} == names
    assert compare(config) == figures
