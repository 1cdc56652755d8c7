"""Whatever is killed, a run that goes on ends with the rows of a run that nothing happened to.

python -m pytest -m slow -s tests/ray/test_pipeline_jobs_chaos.py     the log of all kills is printed
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from manifests import conservation
from manifests.dataset import Dataset

CHAOS = Path(__file__).parent / "chaos.py"
SEEDS = (0, 1, 2, 3)
KILLS = 8
TABLES = ("sources", "clips", "gaps", "selections", "media", "captions", "failures")
UNEQUAL = {
    "sources": {"analyze_s"},  # how long it took
    "media": {"path", "offset"},  # which tar it came to lie in, and where
    # how it compares with other clips: with those that were there, in the order of writing
    "captions": {
        *("agreement", "agreement_next", "agreement_previous", "agreement_shuffled", "similarity"),
    },
}


def run(folder: Path, seed: int, kills: int) -> tuple[Dataset, str]:
    """Run with so many kills, in a process of its own; return the dataset and the log."""
    command = [sys.executable, str(CHAOS), f"--folder={folder}", f"--seed={seed}", f"--kills={kills}"]
    env = os.environ | {"PYTHONPATH": str(CHAOS.parents[2])}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=3600)
    print(done.stdout, flush=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return Dataset.open(folder / f"dataset-{seed}-{kills}"), done.stdout


def rows(dataset: Dataset) -> dict[str, list[str]]:
    """Return every committed row as text, in an order that does not depend on who came first."""
    found = {}
    for name in TABLES:
        table = dataset.read(name)
        table = table.drop_columns(
            [column for column in UNEQUAL.get(name, ()) if column in table.column_names]
        )
        found[name] = sorted(json.dumps(row, sort_keys=True, default=str) for row in table.to_pylist())
    return found


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_rows(tmp_path):
    calm, _ = run(tmp_path, 0, 0)
    wanted = rows(calm)
    assert all(wanted.values()), {name: len(found) for name, found in wanted.items()}
    killed = Counter[str]()
    for seed in SEEDS:
        dataset, log = run(tmp_path, seed, KILLS)
        found = rows(dataset)
        for name in wanted:
            assert found[name] == wanted[name], f"seed {seed}: {name}"
        assert conservation.violations(dataset) == []
        killed.update(re.findall(r"kill \d+: (\w+)", log))
    print(f"{sum(killed.values())} kills: {dict(killed)}")
    assert sum(killed.values()) >= 20
    assert set(killed) == {"worker", "driver", "node", "store", "head"}
