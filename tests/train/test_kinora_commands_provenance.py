"""`kinora provenance` shows what `kinora generate` wrote, and nothing of other files."""

import json

import numpy as np

from kinora.cli.main import main
from video.encode import encode_mp4


def test_it_shows_what_made_a_file(legacy_model, tmp_path, capsys):
    out = str(tmp_path / "a.webm")
    shape = ["--size", "32x32", "--frames", "5", "--steps", "2"]
    assert main(["generate", "a red circle", "--model", str(legacy_model), "-o", out, *shape]) == 0
    capsys.readouterr()
    assert main(["provenance", out]) == 0
    assert "prompt:          a red circle\n" in capsys.readouterr().out
    assert main(["provenance", out, "--json"]) == 0
    tags = json.loads(capsys.readouterr().out)["provenance"]
    assert (tags["seed"], tags["verb"]) == ("0", "text")


def test_other_files_say_nothing(tmp_path, capsys):
    encode_mp4(np.zeros((2, 32, 32, 3), np.uint8), 8, tmp_path / "a.mp4")
    assert main(["provenance", str(tmp_path / "a.mp4")]) == 3
    assert "says nothing of its making" in capsys.readouterr().out
    assert main(["provenance", str(tmp_path / "absent.mp4")]) == 2
