"""Two processes never train into one folder at once."""

import subprocess
import sys

import pytest

from trainer.run.lock import NAME, exclusive

HOLD = """
import sys
from pathlib import Path
from trainer.run.lock import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_that_another_process_trains_into_is_refused(tmp_path):
    words = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(ValueError, match="another process trains into this folder"),
            exclusive(tmp_path / "run"),
        ):
            pass
        assert (tmp_path / "run" / NAME).exists()
        other.kill()
    with exclusive(tmp_path / "run"):  # a killed process holds nothing
        pass
    assert not list((tmp_path / "run").iterdir())
