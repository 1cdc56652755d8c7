"""Actors share the rows of a prompts file, and make what one process makes."""

import json
import runpy
from pathlib import Path

import numpy as np

from kinora.cli.main import main
from video.frames import read_clip

COPY = runpy.run_path(str(Path(__file__).parents[1] / "train" / "legacy_model.py"))["copy_legacy_model"]


def test_actors_make_what_one_process_makes(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    COPY(tmp_path / "model")
    rows = [{"prompt": f"a red circle {number}", "seed": number} for number in range(5)]
    rows += [{"prompt": "a", "image": "absent.png"}, {"prompt": "a", "size": "40x40"}]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    shared = [
        "--model",
        "model",
        "--size",
        "32x32",
        "--frames",
        "5",
        "--steps",
        "2",
        "--format",
        "mkv",
        "--json",
    ]
    made = {}
    for out, on_ray in (("one", []), ("two", ["--on-ray", "--processes", "2", "--ray.num-cpus", "2"])):
        assert main(["generate", "--prompts", "p.jsonl", "--out", out, *shared, *on_ray]) == 10
        made[out] = json.loads(capsys.readouterr().out)
    for out, data in made.items():
        assert [row["line"] for row in data["failed"]] == [6, 7], out
        assert "sides must be multiples of 16" in data["failed"][1]["error"]
        assert sorted(Path(row["out"]).parent.name for row in data["videos"]) == [out] * 5
    for one, two in zip(made["one"]["videos"], made["two"]["videos"], strict=True):
        assert Path(one["out"]).name == Path(two["out"]).name
        difference = read_clip(one["out"])[0].astype(int) - read_clip(two["out"])[0]
        assert np.abs(difference).mean() < 1
