"""`kinora bench sora` on a model of one step: what can run does, what cannot says why, no video twice."""

import json
import runpy
from pathlib import Path

import pytest

from kinora.cli.main import main

RUNS = runpy.run_path(str(Path(__file__).with_name("training_runs.py")))


@pytest.fixture(scope="module")
def model(encoded, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    RUNS["dit_run"](*encoded, folder, steps=1)
    return folder


def test_a_run_goes_on_where_it_ended_and_becomes_a_gallery(model, tmp_path, capsys):
    cache, out = tmp_path / "cache", tmp_path / "out"
    flags = [
        "--model",
        str(model),
        "--samples",
        "2",
        "--steps",
        "1",
        "--processes",
        "1",
        "--motions",
        "[still]",
    ]
    flags += ["--cache", str(cache), "--out", str(out)]
    assert main(["bench", "sora", *flags, "--row", "images", "--json"]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[-1])["figures"]
    assert first["image_attributes_n"] == 2
    assert {"image_attributes_low", "image_attributes_chance", "image_attributes_ceiling"} <= first.keys()
    stored = {path: path.stat().st_mtime_ns for path in cache.rglob("*.npz")}
    assert len(stored) == 2

    assert main(["bench", "sora", *flags, "--row", "images,loop"]) == 0
    shown = capsys.readouterr()
    assert "did not run" in shown.out
    assert "nothing moves" in shown.err
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.npz")} == stored
    summary = json.loads((out / "results.json").read_text())
    assert summary["rows"] == ["images"]
    assert summary["figures"].keys() == first.keys()
    assert "nothing moves" in (out / "table.md").read_text()

    assert main(["bench", "sora", *flags, "--row", "loop"]) == 2
    assert json.loads((out / "results.json").read_text())["rows"] == ["images"]

    page = tmp_path / "gallery"
    assert main(["gallery", "--results", str(out), "--out", str(page)]) == 0
    assert len([*page.rglob("*.png")]) == 2
    assert "Did not run" in (page / "index.html").read_text()


def test_where_no_row_can_run_the_command_fails(model, tmp_path, capsys):
    flags = ["--model", str(model), "--samples", "1", "--steps", "1", "--processes", "1"]
    folders = ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]
    assert main(["bench", "sora", *flags, *folders, "--row", "loop", "--motions", "[still]"]) == 2
    assert "no row could run: loop: " in capsys.readouterr().err
