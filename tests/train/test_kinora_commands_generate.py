"""`kinora generate`: a file is what its ending says, whole or not there at all; bad requests end with 2."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from kinora.cli.main import main
from video.encode import encode_mp4
from video.tags import read_tags

SHAPE = ["--size", "32x32", "--frames", "5", "--steps", "2"]
BYTES = {
    "mp4": (4, b"ftyp"),
    "MP4": (4, b"ftyp"),
    "webm": (0, b"\x1aE\xdf\xa3"),
    "gif": (0, b"GIF89a"),
}


def generate(model: Path, out: Path, *more: str) -> int:
    return main(["generate", "a red circle", "--model", str(model), "-o", str(out), *more])


@pytest.mark.parametrize("ending", BYTES)
def test_a_video_is_what_its_ending_says(legacy_model, tmp_path, ending):
    out = tmp_path / "new" / f"a.{ending}"
    assert generate(legacy_model, out, *SHAPE) == 0
    start, signature = BYTES[ending]
    assert out.read_bytes()[start : start + len(signature)] == signature
    with av.open(str(out)) as container:
        frames = list(container.decode(video=0))
    assert [(frame.width, frame.height) for frame in frames] == [(32, 32)] * 5
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_an_image_holds_one_frame(legacy_model, tmp_path, capsys):
    out = tmp_path / "a.png"
    assert generate(legacy_model, out, *SHAPE) == 2
    assert "add --frames 1, or name a video such as a.mp4" in capsys.readouterr().err
    assert not out.exists()
    assert generate(legacy_model, out, *SHAPE, "--frames", "1") == 0
    assert cv2.imread(str(out)).shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("name", "flags", "words"),
    [
        ("a.txt", [], "the ending says how to write it"),
        ("a.mp4", ["--steps", "0"], "steps=0 is out of range"),
        ("a.mp4", ["--frames", "0"], "frames=0 is out of range"),
        ("a.mp4", ["--frames", "8"], "such as 9 frames of 32x32"),
        ("a.mp4", ["--size", "33x32"], "sides must be multiples of 16"),
        ("a.mp4", ["--size", "8x8"], "sides must be from 16 to 4096"),
        ("a.mp4", ["--size", "64000x64000"], "sides must be from 16 to 4096"),
        ("a.mp4", ["--size", "big"], "expected WIDTHxHEIGHT"),
        ("a.mp4", ["--guidance", "-1"], "guidance=-1.0 is out of range"),
        ("a.mp4", ["--sigmas", "[1,0.5]"], "must fall from 1 to 0"),
        ("a.mp4", ["--device", "abacus"], "device 'abacus' cannot be used"),
        ("a.mp4", ["--model", "no/model"], "no such folder"),
        ("a.mp4", ["--connect", "a.mp4"], "--connect takes 2 words, not 1"),
        ("a.mp4", ["--video", "absent.mp4", "--loop"], "--video absent.mp4: there is no such file"),
    ],
)
def test_a_bad_request_ends_with_2_and_leaves_no_file(legacy_model, tmp_path, capsys, name, flags, words):
    assert generate(legacy_model, tmp_path / name, *SHAPE, *flags) == 2
    error = capsys.readouterr().err
    assert words in error
    assert list(tmp_path.iterdir()) == []


def test_an_empty_prompt_is_refused(legacy_model, tmp_path, capsys):
    assert main(["generate", " ", "--model", str(legacy_model), "-o", str(tmp_path / "a.mp4")]) == 2
    assert "the prompt is empty: say what the video shows" in capsys.readouterr().err


def test_damaged_weights_and_those_of_another_kind_are_refused(legacy_model, tmp_path, capsys):
    for change, words in {
        "cut off": "its content is not what model.json names",
        "no JSON": "model.json: damaged",
        "another kind": "model.json: lacks",
        "another shape": "no weights of this model",
        "another configuration": "no configuration of a DitConfig",
    }.items():
        folder = tmp_path / change
        folder.mkdir()
        for file in legacy_model.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        about = json.loads((folder / "model.json").read_text())
        if change == "cut off":
            with (folder / "model.safetensors").open("r+b") as weights:
                weights.truncate(1000)
        elif change == "no JSON":
            (folder / "model.json").write_text("{")
        elif change == "another kind":
            (folder / "model.json").write_text('{"config": {}}')
        elif change == "another shape":
            about["config"]["width"] = 32
            (folder / "model.json").write_text(json.dumps(about))
        else:
            about["config"]["colours"] = 7
            (folder / "model.json").write_text(json.dumps(about))
        assert generate(folder, tmp_path / "a.mp4", *SHAPE) == 2, change
        assert words in capsys.readouterr().err, change
    assert not (tmp_path / "a.mp4").exists()


def test_an_existing_file_stays_and_a_place_that_cannot_be_written_is_found_first(
    legacy_model, tmp_path, monkeypatch, capsys
):
    (tmp_path / "a.mp4").write_text("mine")
    monkeypatch.setattr("kinora.commands.generate.load_model", lambda *a, **k: pytest.fail("it was loaded"))
    assert generate(legacy_model, tmp_path / "a.mp4", *SHAPE) == 2
    assert (tmp_path / "a.mp4").read_text() == "mine"
    assert generate(legacy_model, tmp_path / "a.mp4" / "b.mp4", *SHAPE) == 2
    assert "a.mp4" in capsys.readouterr().err


def test_a_failure_while_writing_leaves_no_file(legacy_model, tmp_path, monkeypatch):
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("kinora.generation.files.VideoWriter.write", fail)
    assert generate(legacy_model, tmp_path / "a.mp4", *SHAPE) == 2
    assert list(tmp_path.iterdir()) == []


def test_repeated_flags_keep_their_order_and_a_file_of_options_has_the_same(legacy_model, tmp_path, capsys):
    images = []
    for number in range(2):
        images.append(str(tmp_path / f"{number}.png"))
        cv2.imwrite(images[-1], np.full((32, 32, 3), 100 * number, np.uint8))
    flags = ["--image", images[0], "--at-frame", "0", "--image", images[1], "--at-frame=-1"]
    assert generate(legacy_model, tmp_path / "a.gif", *SHAPE, *flags, "--prompt-at", "0.5", "two") == 0
    options = {"image": images, "at_frame": [0, -1], "prompt_at": [[0.5, "two"]]}
    (tmp_path / "options.yaml").write_text(json.dumps(options))
    assert generate(legacy_model, tmp_path / "b.gif", *SHAPE, "--config", str(tmp_path / "options.yaml")) == 0
    tags = [read_tags(tmp_path / name) for name in ("a.gif", "b.gif")]
    assert tags[0] == tags[1]
    assert tags[0]["prompt_at"] == '[[0.5, "two"]]'


def test_seeds_count_up_in_names_and_tags(legacy_model, tmp_path, capsys):
    assert (
        generate(legacy_model, tmp_path / "a.mp4", *SHAPE, "--num-videos", "2", "--seed", "7", "--json") == 0
    )
    data = json.loads(capsys.readouterr().out)
    names = [Path(video["out"]).name for video in data["videos"]]
    assert names == ["a-7.mp4", "a-8.mp4"]
    assert [read_tags(tmp_path / name)["seed"] for name in names] == ["7", "8"]
    assert data["never_trained"].startswith("the model was never trained on 32x32")


def test_a_draft_gives_its_prompt_and_seed_to_the_larger_video(legacy_model, tmp_path, capsys):
    shape = ["--size", "128x128", "--frames", "5", "--steps", "2"]
    draft = tmp_path / "draft.mp4"
    assert generate(legacy_model, draft, *shape, "--draft", "--seed", "5") == 0
    arguments = ["generate", "--model", str(legacy_model), "--from-draft", str(draft), "--steps", "2"]
    assert main([*arguments, "-o", str(tmp_path / "final.mp4"), "--size", "96x96"]) == 0
    tags = read_tags(tmp_path / "final.mp4")
    assert (tags["prompt"], tags["seed"], tags["verb"]) == ("a red circle", "5", "from_draft")
    encode_mp4(np.zeros((5, 32, 32, 3), np.uint8), 8, tmp_path / "foreign.mp4")
    arguments[4] = str(tmp_path / "foreign.mp4")
    assert main([*arguments, "-o", str(tmp_path / "b.mp4")]) == 2
    assert "the file does not say its prompt" in capsys.readouterr().err


def test_a_signal_leaves_no_file(legacy_model, tmp_path):
    program = (
        "import sys, time\n"
        "from kinora.generation import run\n"
        "def slow(*a, **k):\n    print('writing', flush=True)\n    time.sleep(60)\n"
        "run.write_media = slow\n"
        "from kinora.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    started: dict[int, subprocess.Popen[str]] = {}
    for signum in (signal.SIGINT, signal.SIGTERM):
        out = str(tmp_path / f"{signum}.mp4")
        arguments = ["generate", "a", "--model", str(legacy_model), "-o", out, *SHAPE]
        command = [sys.executable, "-c", program, *arguments]
        started[signum] = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ, text=True)
    for signum, process in started.items():
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "writing\n"
            process.send_signal(signum)
            assert process.wait(60) == 128 + signum
    assert list(tmp_path.iterdir()) == []
