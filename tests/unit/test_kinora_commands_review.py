"""The command that serves the page: what it prints, what it refuses, and how it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from review_dataset import write_dataset

from kinora.cli.main import main


def test_what_cannot_be_served_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["review", "--dataset", str(tmp_path / "none")]) == 2
    assert "no dataset here" in capsys.readouterr().err
    write_dataset(tmp_path, 4)
    data = ["review", "--dataset", str(tmp_path / "data"), "--state", str(tmp_path / "state")]
    assert main([*data, "--reviewer", "<b>"]) == 2
    assert "--reviewer <b>" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main([*data, "--port", str(taken.getsockname()[1])]) == 2
    assert "choose another --port" in capsys.readouterr().err


def test_another_address_prints_a_token_once(tmp_path: Path) -> None:
    write_dataset(tmp_path, 4)
    command = [sys.executable, "-m", "kinora", "review", "--dataset", str(tmp_path / "data")]
    command += ["--state", str(tmp_path / "state"), "--host", "0.0.0.0", "--port", "0"]
    said: list[str] = []
    for _ in range(2):
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert server.stdout is not None
        with server.stdout:
            lines: list[str] = []
            while not lines or not lines[-1].startswith("Ctrl-C"):
                lines.append(server.stdout.readline())
                assert lines[-1], lines
            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=60) == 143
        said.append("".join(lines))
    token = re.search(r"token, shown this once: (\S{43})", said[0])
    assert token is not None
    assert "token, shown" not in said[1]
    assert "--new-token makes another" in said[1]
    stored = [path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert not any(token[1].encode() in content for content in stored)
    assert os.stat(tmp_path / "state" / "token.sha256").st_mode & 0o77 == 0
