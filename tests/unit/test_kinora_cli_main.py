"""The command line: wrong words get the nearest right one, and every outcome has its exit code."""

import errno
import json
import os
import signal
import warnings
from importlib import import_module
from pathlib import Path

import pytest

from kinora.cli.main import COMMANDS, main
from kinora.commands import status
from manifests.dataset import Commit, Dataset
from manifests.records import Caption, Outcome


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (["captions", "sampel"], "did you mean `kinora captions sample`"),
        (["curat"], "did you mean `kinora curate`"),
        (["captions", "sample", "--datset", "x"], "did you mean `dataset`"),
        (["captions", "sample"], "dataset"),
        (["captions", "sample", "--dataset", "x", "--n", "many"], "n"),
    ],
)
def test_bad_usage_is_named_and_exits_with_2(argv, hint, capsys):
    try:
        code = main(argv)
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    assert hint in capsys.readouterr().err


def test_a_wrong_key_in_a_file_is_refused(tmp_path, capsys):
    (tmp_path / "c.yaml").write_text("dataset: x\nseeed: 3\n")
    with pytest.raises(SystemExit) as stopped:
        main(["captions", "sample", "--config", str(tmp_path / "c.yaml")])
    assert stopped.value.code == 2
    assert "did you mean `seed`" in capsys.readouterr().err


def test_no_dataset_is_an_error_with_a_remedy(tmp_path, capsys):
    assert main(["captions", "sample", "--dataset", str(tmp_path)]) == 2
    assert "kinora curate" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errno.EROFS, "x/.lock: read-only file system; make it writable or name another folder"),
        (errno.EACCES, "x/.lock: permission denied; give this user access or name another one"),
        (errno.ENOSPC, "x/.lock: no space left on device; make room there"),
        (errno.EIO, "x/.lock: input/output error"),
    ],
)
def test_an_error_of_the_operating_system_names_the_file_and_the_remedy(error, said, monkeypatch, capsys):
    def run(config: object) -> None:
        raise OSError(error, os.strerror(error), "x/.lock")

    monkeypatch.setattr(status, "run", run)
    assert main(["status", "--dataset", "x"]) == 2
    assert f"error: {said}" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_listed_exists(name):
    module = import_module("kinora.commands." + name.replace(" ", "_"))
    assert module.__doc__
    assert hasattr(module, "main") or (hasattr(module, "Config") and hasattr(module, "run"))


def test_the_overview_fits_80_columns(capsys):
    assert main(["--help"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


@pytest.fixture
def captioned(tmp_path) -> Path:
    """A dataset with one captioned clip, written row by row."""
    from manifests.records import Clip, Media, Selection, SourceRow, SourceStatus

    dataset = Dataset.create(tmp_path / "d")
    span = {"start_pts": 0, "end_pts": 10, "time_base_num": 1, "time_base_den": 10, "num_frames": 10}
    shape = {"height": 8, "width": 8}
    source = SourceRow(
        source_key="s", uri="/s.mp4", size_bytes=1, etag="1", carried="{}", analysis="a", fps=10.0,
        codec="h264", status=SourceStatus.OK, source_digest="x", kind="video", **span, **shape,
    )  # fmt: skip
    clip = Clip(
        clip_id="c", source_key="s", source_digest="x", uri="/s.mp4", kind="video", stream_index=0,
        analysis="a", **span, **shape,
    )  # fmt: skip
    media = Media(
        media_id="m", clip_id="c", encoding="e", path="media/a.tar", offset=0, length=1, extension="mp4",
        num_frames=10, fps=10.0, duration_s=1.0, **shape,
    )  # fmt: skip
    caption = Caption(
        clip_id="c", media_id="m", outcome=Outcome.OK, text="A long [bold]text[/bold].", short="short",
        captioner="facts", model="flow", revision="1", prompt_digest="p", decoding="{}", frames_shown=(0,),
    )  # fmt: skip
    kept = Selection(clip_id="c", kept=True, reason="kept", detail="", rules="r")
    rows = {"sources": source, "clips": clip, "media": media, "captions": caption, "selections": kept}
    parts = tuple(dataset.write_records(table, [row]) for table, row in rows.items())
    dataset.commit(Commit(stage="test", added=parts))
    return tmp_path / "d"


def test_captions_are_printed_as_written(captioned, capsys):
    assert main(["captions", "sample", "--dataset", str(captioned)]) == 0
    shown = capsys.readouterr().out
    assert "A long [bold]text[/bold]." in shown
    assert "facts (flow)" in shown
    assert main(["captions", "sample", "--dataset", str(captioned), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["captions"][0]["short"] == "short"
    assert main(["captions", "sample", "--dataset", str(captioned), "--captioner", "vlm"]) == 3


def test_a_warning_is_one_line_without_the_place_in_the_code(monkeypatch):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    assert main(["--version"]) == 0
    assert warnings.formatwarning("one source", UserWarning, "module.py", 7) == "warning: one source\n"


def test_sigterm_ends_a_command_with_143_and_what_it_holds_is_closed(monkeypatch, capsys):
    closed = []

    def run(config: status.Config) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            closed.append(config.dataset)

    monkeypatch.setattr(status, "run", run)
    former = signal.getsignal(signal.SIGTERM)
    assert main(["status", "--dataset", "x"]) == 143
    assert closed == ["x"]
    assert signal.getsignal(signal.SIGTERM) is former
    assert capsys.readouterr().err == "terminated; committed work is kept, rerun the command to continue\n"
