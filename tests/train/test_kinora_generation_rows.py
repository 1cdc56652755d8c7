"""A prompts file: one load, all rows but the bad ones, and on again where it ended."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from kinora.cli.main import main
from kinora.generation import row_worker
from kinora.generation.config import RequestConfig
from kinora.generation.rows import REPORT, Row, RowError, read_rows, row_digest
from video.frames import read_clip
from video.tags import read_tags

SHARED = ["--size", "32x32", "--frames", "5", "--steps", "2"]


def write(path, *rows) -> str:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return str(path)


def make(model, prompts, out, capsys, *more) -> tuple[int, dict]:
    code = main(
        ["generate", "--prompts", prompts, "--model", str(model), "--out", str(out), *SHARED, "--json", *more]
    )
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def prompts(tmp_path) -> str:
    cv2.imwrite(str(tmp_path / "image.png"), np.full((40, 40, 3), 200, np.uint8))
    return write(
        tmp_path / "prompts.jsonl",
        {"prompt": "a red circle", "seed": 3},
        "",
        "{not json",
        {"prompt": "a blue square", "image": "image.png", "verb": "animate"},
        {"prompt": "a", "image": "absent.png"},
        {"prompt": "a green circle moves", "verb": "loop", "frames": 8},
        {"prompt": "a", "colour": "red"},
        {"prompt": "a red circle", "seed": 3},
    )


def test_all_rows_are_made_but_the_bad_ones_which_are_named(legacy_model, prompts, tmp_path, capsys):
    code, data = make(legacy_model, prompts, tmp_path / "out", capsys)
    assert code == 10
    assert (data["made"], data["made_before"]) == (4, 0)
    errors = {row["line"]: row["error"] for row in data["failed"]}
    assert errors.keys() == {3, 5, 7}
    assert errors[3].startswith("no JSON (")
    assert "absent.png: cannot be read (No such file or directory)" in errors[5]
    assert errors[7] == "unknown key 'colour': the keys are the options of `kinora generate`"
    files = {row["line"]: row["out"] for row in data["videos"]}
    assert files[1] == files[8]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        REPORT,
        *(file.rpartition("/")[2] for file in files.values()),
    }
    assert files[1].rpartition("/")[2].startswith("a-red-circle-3-")
    lines = [json.loads(line) for line in (tmp_path / "out" / REPORT).read_text().splitlines()]
    assert [line["line"] for line in lines] == [1, 3, 4, 5, 6, 7, 8]
    assert read_tags(files[6])["verb"] == "loop"
    assert len(read_clip(files[6])[0]) == 8


def test_it_goes_on_where_it_ended(legacy_model, prompts, tmp_path, capsys, monkeypatch):
    _, first = make(legacy_model, prompts, tmp_path / "out", capsys)
    files = {row["line"]: row["out"] for row in first["videos"]}
    kept = {file: Path(file).read_bytes() for file in files.values()}
    (tmp_path / "out" / files[4].rpartition("/")[2]).unlink()
    _, second = make(legacy_model, prompts, tmp_path / "out", capsys, "--max-failed", "0.6")
    assert (second["made"], second["made_before"]) == (1, 3)
    assert {file: Path(file).read_bytes() for file in files.values()} == kept

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(row_worker, "load_model", fail)
    code, third = make(legacy_model, prompts, tmp_path / "out", capsys, "--max-failed", "0.6")
    assert (code, third["made"], third["made_before"]) == (0, 0, 4)


def test_a_row_is_what_the_command_makes_alone(legacy_model, prompts, tmp_path, capsys):
    _, data = make(legacy_model, prompts, tmp_path / "out", capsys, "--format", "gif")
    alone = str(tmp_path / "alone.gif")
    shared = ["--model", str(legacy_model), *SHARED]
    assert main(["generate", "a red circle", "--seed", "3", "-o", alone, *shared]) == 0
    row = next(row["out"] for row in data["videos"] if row["line"] == 1)
    difference = read_clip(row)[0].astype(int) - read_clip(alone)[0]
    assert np.abs(difference).mean() < 1  # the palette of a GIF is rounded too


def test_a_batch_that_fails_is_made_row_by_row(legacy_model, tmp_path, capsys, monkeypatch):
    sampled = row_worker.sample_chunks

    def sample(model, batch, **more):
        if any("bad" in each.request.prompt for each in batch):
            raise RuntimeError("out of memory")
        return sampled(model, batch, **more)

    monkeypatch.setattr(row_worker, "sample_chunks", sample)
    rows = [{"prompt": prompt} for prompt in ("good", "bad", "also good")]
    code, data = make(legacy_model, write(tmp_path / "p.jsonl", *rows), tmp_path / "out", capsys)
    assert (code, data["made"]) == (10, 2)
    assert data["failed"] == [{"line": 2, "error": "out of memory"}]


def test_an_empty_file_is_nothing_to_do(legacy_model, tmp_path, capsys):
    code, _ = make(legacy_model, write(tmp_path / "p.jsonl", "", " "), tmp_path / "out", capsys)
    assert code == 3
    assert not (tmp_path / "out").exists()


def test_a_missing_file_and_a_second_prompt_are_bad_usage(legacy_model, tmp_path, capsys):
    arguments = ["generate", "--model", str(legacy_model), "--prompts", str(tmp_path / "absent.jsonl")]
    assert main(arguments) == 2
    assert "absent.jsonl" in capsys.readouterr().err
    assert main([*arguments, "a red circle"]) == 2
    assert "a prompt and --prompts do not go together" in capsys.readouterr().err


def rows_of(tmp_path, *rows, **defaults) -> list[Row | RowError]:
    path = tmp_path / "p.jsonl"
    write(path, *rows)
    return [*read_rows(path, RequestConfig(**defaults), 1)]


def test_options_of_the_command_hold_for_rows_that_do_not_name_them(tmp_path):
    first, second = rows_of(
        tmp_path, {"prompt": "a"}, {"prompt": "b", "seed": 7, "at-frame": 2, "image": "i.png"}, seed=5
    )
    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert (first.request.seed, second.request.seed) == (5, 7)
    assert second.request.image == (str(tmp_path / "i.png"),)
    assert second.request.at_frame == (2,)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([1], "no JSON object"),
        ({"prompt": "a", "seed": "many"}, "seed"),
        ({"prompt": "a", "seed": -1}, "seed=-1 is out of range"),
        ({"prompt": "a", "size": "big"}, "expected WIDTHxHEIGHT"),
        ({"prompt": "a", "verb": "connect"}, "verb is 'connect', but the other keys mean 'text'"),
        ({"prompt": "a", "verb": "dance"}, "verb is 'dance'"),
    ],
)
def test_a_bad_row_is_one_line_of_error(tmp_path, row, words):
    (error,) = rows_of(tmp_path, row)
    assert isinstance(error, RowError)
    assert words in error.error
    assert "\n" not in error.error


def test_the_digest_follows_all_that_a_video_is_made_from(tmp_path):
    cv2.imwrite(str(tmp_path / "i.png"), np.zeros((8, 8, 3), np.uint8))
    rows = [{"prompt": "a", "seed": 1}, {"prompt": "a", "seed": 2}, {"prompt": "b", "seed": 1}]
    rows += [{"prompt": "a", "seed": 1, "image": "i.png"}]
    requests = [row.request for row in rows_of(tmp_path, *rows) if isinstance(row, Row)]
    digests = [row_digest(request, ["settings"]) for request in requests]
    assert len({*digests}) == 4
    assert row_digest(requests[0], ["others"]) != digests[0]
    cv2.imwrite(str(tmp_path / "i.png"), np.ones((8, 8, 3), np.uint8))
    assert row_digest(requests[3], ["settings"]) != digests[3]
