"""Training of the VAE: an interrupted run equals an uninterrupted one, for any number of workers."""

import runpy
from pathlib import Path

import pytest

RUNS = runpy.run_path(str(Path(__file__).with_name("training_runs.py")))
vae_run, assert_equal = RUNS["vae_run"], RUNS["assert_equal"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("before", "after"), [(0, 0), (2, 1)])
def test_a_resumed_vae_equals_an_uninterrupted_one(shards, tmp_path, before, after):
    whole = vae_run(shards, tmp_path / "whole", steps=6)
    vae_run(shards, tmp_path / "cut", steps=4, every=3, workers=before)
    step_3 = next((tmp_path / "cut").glob("step=3.ckpt"))
    assert_equal(vae_run(shards, tmp_path / "rest", steps=6, ckpt=step_3, workers=after), whole)
