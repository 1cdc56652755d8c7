"""The order of the clips: windows, the warm-up bucket, and other data on resume."""

import runpy
from itertools import pairwise
from pathlib import Path

import pytest

from trainer.config import (
    CropConfig,
)
from trainer.data.pixels import PixelData

RUNS = runpy.run_path(str(Path(__file__).with_name("training_runs.py")))
vae_run = RUNS["vae_run"]


@pytest.mark.parametrize(("window_steps", "run_clips"), [(16, 16), (30, 6)])
def test_a_window_reads_its_planned_clips_in_runs_of_one_bucket(shards, window_steps, run_clips):
    data = PixelData(
        shards=str(shards),
        batch_size=6,
        validation_fraction=0,
        crop=CropConfig(side_px=16),
        window_steps=window_steps,
        run_clips=run_clips,
    )
    data.setup("fit")
    steps = range(window_steps, 2 * window_steps)
    planned = [int(data.training_rows[number]) for step in steps for number in data.plan.at(step)]
    read = [row for step in steps for row in data.rows_of_step(step)]
    assert sorted(read) == sorted(planned)
    assert data.rows_of_step(3) != data.rows_of_step(4) == data.rows_of_step(4)
    names = [data.index.sample(row).bucket.name for row in read]
    assert sum(one != other for one, other in pairwise(names)) <= 2 * len(read) // run_clips


def test_training_may_start_with_the_squarest_bucket(shards):
    def data(warmup_bucket_steps: int) -> PixelData:
        made = PixelData(
            shards=str(shards),
            batch_size=6,
            warmup_bucket_steps=warmup_bucket_steps,
            validation_fraction=0,
            crop=CropConfig(side_px=16),
        )
        made.setup("fit")
        return made

    staged, plain = data(3), data(0)
    sides = {(b.height, b.width) for b in plain.index.counts()}
    squarest = max(sides, key=lambda side: min(side) / max(side))
    assert len(sides) > 1
    for step in range(3):
        buckets = {staged.index.sample(row).bucket for row in staged.rows_of_step(step)}
        assert len(buckets) == 1
        assert {(b.height, b.width) for b in buckets} == {squarest}
    assert [staged.rows_of_step(3 + step) for step in range(5)] == [plain.rows_of_step(s) for s in range(5)]
    with pytest.raises(ValueError, match="warmup_bucket_steps changed since the checkpoint"):
        plain.load_state_dict(staged.state_dict())
    with pytest.raises(ValueError, match=r"window_steps changed .*window_steps: 8 -> 16"):
        plain.load_state_dict({**plain.state_dict(), "window_steps": 8})


@pytest.mark.filterwarnings("ignore")
def test_other_data_is_refused(shards, packer, tmp_path):
    vae_run(shards, tmp_path / "cut", steps=2, every=1)
    other = packer(tmp_path / "other", clips_a_bucket=5)
    with pytest.raises(ValueError, match=r"digest, num_samples changed .*num_samples: 18 -> 15"):
        vae_run(other, tmp_path / "rest", steps=3, ckpt=tmp_path / "cut" / "step=2.ckpt")
