"""A file is replaced whole or not at all; links stay links, and pipes are written to."""

import os
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from kinora.report.page import write
from manifests.replacing import replacing


def test_a_new_file_and_its_folders(tmp_path):
    path = tmp_path / "a" / "b.txt"
    with replacing(path) as partial:
        partial.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert [each.name for each in path.parent.iterdir()] == ["b.txt"]


def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / "b.txt"
    path.write_text("before")

    def fail():
        with replacing(path) as partial:
            partial.write_text("half")
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        fail()
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["b.txt"]


def test_a_folder_that_takes_no_files_is_named_by_the_file_asked_for():
    with pytest.raises(OSError, match=r"'/proc/b\.txt'"):
        write(Path("/proc/b.txt"), "<html>")


def test_a_link_stays_one_and_what_it_names_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    path, named = tmp_path / "link.txt", tmp_path / "there" / "b.txt"
    path.symlink_to(named)
    for text in ("new", "newer"):
        with replacing(path) as partial:
            partial.write_text(text)
        assert path.is_symlink()
        assert named.read_text() == text


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    path, read = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = Thread(target=lambda: read.append(path.read_text()))
    reader.start()
    write(path, "<html>")
    reader.join()
    assert read == ["<html>"]
    assert path.is_fifo()


def test_standard_output_that_is_a_pipe_is_written_to():
    """What `/dev/stdout` then names cannot be found by its path: `/proc/1/fd/pipe:[2]`."""
    code = "from kinora.captions.rows import write_csv; import pyarrow as pa; from pathlib import Path\n"
    code += "write_csv(Path('/dev/stdout'), [pa.table({'a': [1, 2]})])"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("a\n1\n2\n", "")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(IsADirectoryError):
        write(tmp_path, "<html>")
    assert [*tmp_path.iterdir()] == []
