"""Videos of a prompts file where VBench looks for them."""

import json
import os
from pathlib import Path

import pytest

from kinora.cli.main import main
from kinora.generation.rows import REPORT, RowError, RowResult
from kinora.generation.vbench import lay_out, vbench_name

SHARED = ["--size", "32x32", "--frames", "5", "--steps", "2"]
PROMPTS = ("a red circle, gently moving", "A 3D model of a 1800s victorian house.", "a blue square")


def make(model, prompts: Path, out: Path, capsys, *more: str) -> tuple[int, dict]:
    arguments = ["generate", "--prompts", str(prompts), "--model", str(model), "--out", str(out), *SHARED]
    code = main([*arguments, "--layout", "vbench", "--json", *more])
    return code, json.loads(capsys.readouterr().out)


def found(folder: Path, prompts, num: int = 5) -> dict[str, list[str]]:
    """Find videos as `build_full_info_json` of VBench 0.1.5 does in its standard mode."""
    names = os.listdir(folder)
    postfix = Path(names[0]).suffix
    wanted = {prompt: [f"{prompt}-{i!s}{postfix}" for i in range(num)] for prompt in prompts}
    return {prompt: [name for name in each if name in names] for prompt, each in wanted.items()}


def test_every_video_is_found_under_its_prompt_and_number(legacy_model, tmp_path, capsys):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(PROMPTS[:2]) + "\n\n" + PROMPTS[2] + "  \n" + PROMPTS[0] + "\n")
    code, data = make(legacy_model, prompts, tmp_path / "out", capsys, "--num-videos", "2", "--seed", "7")
    assert (code, data["made"], data["failed"]) == (0, 8, [])
    assert {*map(len, found(tmp_path / "out" / "vbench", PROMPTS).values())} == {2}
    assert len(os.listdir(tmp_path / "out" / "vbench")) == 6
    lines = [json.loads(line) for line in (tmp_path / "out" / REPORT).read_text().splitlines()]
    seeds = {line["name"]: line["seed"] for line in lines}
    assert seeds[f"{PROMPTS[0]}-0.mp4"] == 7
    assert seeds[f"{PROMPTS[2]}-1.mp4"] == 8
    _, again = make(legacy_model, prompts, tmp_path / "out", capsys, "--num-videos", "2", "--seed", "7")
    assert (again["made"], again["made_before"]) == (0, 8)


def test_other_settings_replace_what_is_laid_out(legacy_model, tmp_path, capsys):
    (prompts := tmp_path / "p.txt").write_text("a red circle")
    make(legacy_model, prompts, tmp_path / "out", capsys)
    video = tmp_path / "out" / "vbench" / "a red circle-0.mp4"
    first = video.stat().st_ino
    make(legacy_model, prompts, tmp_path / "out", capsys, "--seed", "1")
    assert video.stat().st_ino != first
    assert len(list((tmp_path / "out").glob("*.mp4"))) == 2


def test_prompts_that_are_no_names_are_reported_and_two_of_a_name(legacy_model, tmp_path, capsys):
    rows = [{"prompt": "and/or"}, {"prompt": "ü" * 150}, {"prompt": "a circle"}]
    rows += [{"prompt": "a circle", "seed": 5}]
    prompts = tmp_path / "p.jsonl"
    prompts.write_text("\n".join(map(json.dumps, rows)))
    code, data = make(legacy_model, prompts, tmp_path / "out", capsys)
    errors = {row["line"]: row["error"] for row in data["failed"]}
    assert code == 10
    assert errors.keys() == {1, 2, 4}
    assert "cannot hold `/`" in errors[1]
    assert "306 bytes of at most 255" in errors[2]
    assert "another line asks for another 'a circle-0.mp4'" in errors[4]


def test_the_second_version_cuts_prompts(tmp_path):
    assert vbench_name("x" * 300, 3, "mp4", "vbench2") == "x" * 180 + "-3.mp4"
    with pytest.raises(ValueError, match="vbench2 cuts it"):
        vbench_name("x" * 300, 3, "mp4", "vbench")


def test_a_name_that_has_no_video_any_more_is_removed(tmp_path):
    (tmp_path / "v").mkdir()
    for name in ("a-0.mp4", "b-0.mp4", "others-0.mp4"):
        (tmp_path / "v" / name).write_text("old")
    (tmp_path / "made.mp4").write_text("new")
    results = [RowResult(1, str(tmp_path / "made.mp4"), 0, "a", name="a-0.mp4"), RowError(2, "failed")]
    lay_out(tmp_path / "v", {"a-0.mp4", "b-0.mp4"}, results)
    assert {path.name: path.read_text() for path in (tmp_path / "v").iterdir()} == {
        "a-0.mp4": "new",
        "others-0.mp4": "old",
    }


def test_where_links_cannot_be_made_files_are_copied(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError("no links")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    (tmp_path / "made.mp4").write_text("new")
    lay_out(tmp_path / "v", {"a-0.mp4"}, [RowResult(1, str(tmp_path / "made.mp4"), 0, "a", name="a-0.mp4")])
    assert (tmp_path / "v" / "a-0.mp4").read_text() == "new"


def test_a_layout_is_for_a_file_of_prompts(capsys):
    assert main(["generate", "a red circle", "--layout", "vbench"]) == 2
    assert "--layout vbench is for the videos of --prompts" in capsys.readouterr().err
