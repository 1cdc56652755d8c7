"""`kinora generate`: a file is what its ending says, whole or not there at all; bad requests end with 2."""

import json
import runpy
from pathlib import Path

import av
import cv2
import pytest

from kinora.cli.main import main
from kinora.commands.generate import describe_untrained

RUNS = runpy.run_path(str(Path(__file__).with_name("training_runs.py")))
SHAPE = ["--size", "32x32", "--frames", "5", "--steps", "2"]
BYTES = {
    "mp4": (4, b"ftyp"),
    "MP4": (4, b"ftyp"),
    "webm": (0, b"\x1aE\xdf\xa3"),
    "mkv": (0, b"\x1aE\xdf\xa3"),
    "gif": (0, b"GIF89a"),
}


@pytest.fixture(scope="module")
def model(encoded, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    RUNS["dit_run"](*encoded, folder, steps=1)
    return folder


def generate(model: Path, out: Path, *more: str) -> int:
    return main(["generate", "a red circle", "--model", str(model), "-o", str(out), *more])


@pytest.mark.parametrize("ending", BYTES)
def test_a_video_is_what_its_ending_says(model, tmp_path, ending):
    out = tmp_path / "new" / f"a.{ending}"
    assert generate(model, out, *SHAPE) == 0
    start, signature = BYTES[ending]
    assert out.read_bytes()[start : start + len(signature)] == signature
    with av.open(str(out)) as container:
        frames = list(container.decode(video=0))
    assert [(frame.width, frame.height) for frame in frames] == [(32, 32)] * 5
    assert [path.name for path in out.parent.iterdir()] == [out.name]


@pytest.mark.parametrize(
    ("ending", "start"), [("png", b"\x89PNG"), ("jpg", b"\xff\xd8"), ("jpeg", b"\xff\xd8")]
)
def test_an_image_holds_one_frame(model, tmp_path, capsys, ending, start):
    out = tmp_path / f"a.{ending}"
    assert generate(model, out, *SHAPE) == 2
    assert "add --frames 1, or name a video such as a.mp4" in capsys.readouterr().err
    assert not out.exists()
    assert generate(model, out, *SHAPE, "--frames", "1") == 0
    assert out.read_bytes().startswith(b"\x89PNG" if ending == "png" else b"\xff\xd8")
    assert cv2.imread(str(out)).shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("name", "flags", "words"),
    [
        ("a", [], "the ending says how to write it: use .mp4"),
        ("a.txt", [], "the ending says how to write it"),
        ("a.mp4", ["--steps", "0"], "steps=0 is out of range"),
        ("a.mp4", ["--steps", "-3"], "steps=-3 is out of range"),
        ("a.mp4", ["--frames", "0"], "frames=0 is out of range"),
        ("a.mp4", ["--frames", "8"], "such as 9 frames of 32x32"),
        ("a.mp4", ["--size", "33x32"], "sides must be multiples of 16"),
        ("a.mp4", ["--size", "big"], "expected WIDTHxHEIGHT"),
        ("a.mp4", ["--guidance", "-1"], "guidance=-1.0 is out of range"),
        ("a.mp4", ["--model", "no/model"], "no model.json"),
    ],
)
def test_a_bad_request_ends_with_2_and_leaves_no_file(model, tmp_path, capsys, name, flags, words):
    assert generate(model, tmp_path / name, *SHAPE, *flags) == 2
    error = capsys.readouterr().err
    assert words in error
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_stays_and_a_place_that_cannot_be_written_is_found_first(
    model, tmp_path, monkeypatch, capsys
):
    (tmp_path / "a.mp4").write_text("mine")
    assert generate(model, tmp_path / "a.mp4", *SHAPE) == 2
    assert (tmp_path / "a.mp4").read_text() == "mine"
    monkeypatch.setattr("kinora.commands.generate.generate", lambda *a, **k: pytest.fail("it was sampled"))
    assert generate(model, tmp_path / "a.mp4" / "b.mp4", *SHAPE) == 2
    assert "a.mp4" in capsys.readouterr().err


def test_a_failure_while_writing_leaves_no_file(model, tmp_path, monkeypatch):
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("kinora.commands.generate.VideoWriter.write", fail)
    assert generate(model, tmp_path / "a.mp4", *SHAPE) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_shape_that_was_never_trained_is_said(model, tmp_path, capsys):
    assert generate(model, tmp_path / "a.mp4", *SHAPE, "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["never_trained"] == "the model was never trained on 5 frames (it knows 1, 9, 17)"
    buckets = ("17x32x32", "1x32x32", "9x32x48")
    assert describe_untrained(17, 32, 32, buckets) == ""
    assert describe_untrained(17, 32, 48, buckets).endswith("never trained on 17 frames of 48x32")
    both = describe_untrained(81, 512, 512, buckets)
    assert both.endswith("512x512 (it knows 32x32, 48x32) and 81 frames (it knows 1, 9, 17)")
