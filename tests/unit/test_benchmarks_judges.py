"""`benchmarks.judges` runs on a tiny VAE and prints valid rows."""

import json

import pytest
import torch

from benchmarks.judges import COLUMNS, main
from trainer.checkpoints import save_model
from trainer.config import VaeConfig
from trainer.vae.model import VideoVae

ARGUMENTS = ["--families", "physics", "grid", "--styles", "flat", "--count", "3"]


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vae")
    torch.manual_seed(0)
    config = VaeConfig(latent_channels=4, widths=(8, 12), encoder_depths=(0, 0), decoder_depths=(1, 1))
    save_model(folder, "vae", VideoVae(config), {})
    return str(folder)


def test_rows_of_the_table_fit_80_columns(vae, capsys):
    main(["--vae", vae, *ARGUMENTS])
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["family", "style", "attribute", *COLUMNS, "n"]
    assert {line.split()[0] for line in lines} == {"physics", "grid"}
    assert all(len(line) <= 80 and len(line.split()) == len(head.split()) for line in [head, *lines])


def test_figures_are_shares_and_a_judge_accepts_its_own_video(vae, capsys):
    main(["--vae", vae, *ARGUMENTS, "--json"])
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["attribute"] for row in rows if row["family"] == "physics"} == {
        "event", "color", "shape", "lawful",
    }  # fmt: skip
    for row in rows:
        assert row["own"] == 1.0
        assert row["count"] == 3
        assert all(0 <= row[name] <= 1 for name in COLUMNS)
    untrained = [row["vae"] for row in rows if row["attribute"] == "color"]
    assert untrained == [0.0, 0.0]
    assert [row["wrong"] for row in rows if row["attribute"] == "color"] == [0.0, 0.0]


@pytest.mark.parametrize("flags", [["--count", "1"], ["--styles", "noisy"]])
def test_bad_flags_are_refused(vae, flags):
    with pytest.raises(SystemExit):
        main(["--vae", vae, *flags])
