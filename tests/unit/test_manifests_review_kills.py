"""A review that is killed at any moment has every decision that it acknowledged, and each exactly once."""

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest
import review_writer
import reviewed_dataset as made
from reviewed_dataset import M, new_id, open_desk, texts_of

from manifests.dataset import Dataset
from manifests.integrity import verify

pytestmark = pytest.mark.slow
EDITS, MAX_KILLS = 500, 24


def live(uri: str, state: Path, first: int, step: int, delay_s: float | None) -> list[str]:
    """Run a review until it is killed or done; return the lines that it printed."""
    command = [
        sys.executable,
        str(Path(review_writer.__file__)),
        uri,
        str(state),
        str(first),
        str(EDITS),
        str(step),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as writer:
        assert writer.stdout is not None
        lines = []
        for line in writer.stdout:
            lines.append(line.strip())
            if delay_s is not None and line == "open\n":
                time.sleep(delay_s)
                writer.kill()
    assert writer.returncode in (0, -9), lines[-3:]
    return lines


def test_every_acknowledged_edit_is_found_once(uri, tmp_path):
    random, state, first, kills = Random(16), tmp_path / "state", 0, 0
    acknowledged: list[int] = []
    while first < EDITS:
        by_step = kills % 2 == 0
        step = random.randint(5, 150) if by_step and kills < MAX_KILLS else 0
        delay_s = random.uniform(0.0, 1.5) if not by_step and kills < MAX_KILLS else None
        lines = live(uri, state, first, step, delay_s)
        acknowledged += [int(line) for line in lines if line.isdecimal()]
        kills += "closed" not in lines
        first = max(acknowledged, default=-1) + 1
        found = Dataset.open(uri).records("reviews")
        assert len({row.review_id for row in found}) == len(found)
    assert kills >= 5
    print(f"{kills} kills, {len(acknowledged)} acknowledged edits")
    rows = made.committed_reviews(uri)
    assert Counter(row.review_id for row in rows) == Counter(new_id(number) for number in range(EDITS))
    assert [row.review_id for row in rows] == [new_id(number) for number in range(EDITS)]
    with open_desk(uri, tmp_path) as desk:
        for media_id in M:
            newest = max(number for number in range(EDITS) if review_writer.media_of(number) == media_id)
            assert texts_of(desk, media_id)["dense"] == f"text {newest}"
    broken = verify(Dataset.open(uri)).broken
    assert [problem for problem in broken if "media/t.tar" not in problem] == []  # there is no video
