"""A small round over an existing dataset gives the same copies as comparing all pairs of clips."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import ray

from benchmarks.synthetic_dataset import make, touch
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from pipeline.config import CurateConfig
from pipeline.dedup.candidates import ODD_COLUMNS, HashPrefilter, candidate_pairs, frame_table
from pipeline.jobs.dedup import dedup
from pipeline.runtime.progress import no_progress
from pipeline.runtime.session import RaySession

CONFIG = CurateConfig()


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """108 sources, of which a few failed or were replaced; in each part two clips are copies of a third."""
    return make(tmp_path / "d", touch(tmp_path / "raw", 108), parts=18, commits=3)


def reopen(dataset: Dataset, clip_ids: set[str]) -> Dataset:
    """Mark clips as ineligible in an earlier round, so that they are new again."""
    rows = [row for row in LiveView(dataset).duplicates.to_pylist() if row["clip_id"] in clip_ids]
    out = [row | {"kind": "out", "keeper": row["clip_id"], "detail": ""} for row in rows]
    part = dataset.write_part("duplicates", pa.Table.from_pylist(out))
    return dataset.commit(Commit(stage="dedup", added=(part,)))


def run(dataset: Dataset, config: CurateConfig = CONFIG) -> tuple[Dataset, int]:
    begun = ray.is_initialized()  # by another test
    with RaySession(config.ray) as session:
        after, report = dedup(LiveView(dataset), config, session, no_progress)
    assert ray.is_initialized() == begun  # for so few pairs it does not start
    return after, report.num_new


def test_a_small_round_finds_the_same_copies_as_comparing_all_pairs(dataset):
    decided = {row["clip_id"]: row for row in LiveView(dataset).duplicates.to_pylist()}
    copies = [row for row in decided.values() if row["kind"] == "near"]
    anew = {row["keeper"] for row in copies[:6]} | {row["clip_id"] for row in copies[9:12]}
    alone = next(name for name, row in decided.items() if row["kind"] == "none" and name not in anew)
    dataset = reopen(dataset, anew | {alone})

    same = defaultdict[bytes, set[str]](set)
    for row in LiveView(dataset).read("clips", ["clip_id", "frame_looks"]).to_pylist():
        if row["clip_id"] in decided:
            same[row["frame_looks"]].add(row["clip_id"])
    stand = {name for name, row in decided.items() if row["kind"] == "none"} - anew - {alone}
    keeper = {name: min(group & stand or group) for group in same.values() for name in group}
    new = {name for name in decided if name in anew | {alone} or decided[name]["keeper"] in anew}

    after, num_new = run(dataset)
    found = {row["clip_id"]: row for row in after.read_part(after.commits[-1].added[0]).to_pylist()}
    assert {name: row["keeper"] for name, row in found.items()} == {name: keeper[name] for name in new}
    assert {row["kind"] for row in found.values() if row["keeper"] != row["clip_id"]} == {"near"}
    assert (num_new, after.commits[-1].counts["units"]) == (len(new), len(new))
    assert len(new) > len(anew) + 1
    assert run(after) == (after, 0)


def test_clips_without_hashes_are_never_copies(dataset):
    part = dataset.parts("clips")[-1]
    rows = dataset.read_part(part).drop_columns(["frame_hashes", "frame_looks"])
    older = dataset.write_part("clips", rows)
    dataset = dataset.commit(Commit(stage="analyze", added=(older,), removed=(part.path,)))
    names = {*rows["clip_id"].to_pylist()}
    copies = {row["clip_id"] for row in LiveView(dataset).duplicates.to_pylist() if row["kind"] == "near"}
    after, num_new = run(reopen(dataset, copies))
    kinds = {row["clip_id"]: row["kind"] for row in after.read_part(after.commits[-1].added[0]).to_pylist()}
    assert num_new == len(copies)
    assert {name for name, kind in kinds.items() if kind == "none"} == names & copies


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_prefilter_drops_only_frames_that_are_in_no_pair(mirrored):
    rng = np.random.default_rng(0)
    num = 400
    frames = np.zeros((num, 5), [("ms", "<i4"), ("hash", "<u8")])
    frames["ms"] = np.arange(5) * 125
    turned = rng.integers(0, 2, (num, 5, 1)) * (ODD_COLUMNS & 65535)
    words = rng.integers(0, 40, (num, 5, 4)) ^ turned  # so few that they often come again
    frames["hash"] = words.astype("<u2").view("<u8")[..., 0]
    clips = pa.table(
        {
            "rank": np.arange(num),
            "is_new": np.arange(num) % 40 == 39,
            "frame_hashes": pa.array([row.tobytes() for row in frames], pa.binary()),
        }
    )
    every = frame_table(clips, mirrored=mirrored)
    new, keepers = (every.filter(pa.array(every["is_new"].to_numpy() == value)) for value in (True, False))
    filtered = HashPrefilter(new).filter(keepers)
    pairs = candidate_pairs(every)
    assert pairs.num_rows
    assert pairs["flipped"].to_pylist().count(True) > 0 or not mirrored
    assert 0 < filtered.num_rows < keepers.num_rows
    assert candidate_pairs(pa.concat_tables([new, filtered])).equals(pairs)
