"""What a run takes of a listing: a trial that says what it leaves, and that a later run contains."""

import pytest

from pipeline.config import ListConfig
from pipeline.errors import NothingToDo
from pipeline.jobs.listing import list_for_run


@pytest.fixture
def raw(tmp_path):
    for number in range(40):
        (tmp_path / f"{number:02d}.mp4").touch()
    (tmp_path / "notes.txt").touch()
    return str(tmp_path)


def test_a_trial_says_what_it_leaves_and_a_larger_one_continues_it(raw):
    few = list_for_run(raw, ListConfig(), None, limit=5)
    assert [(each.reason, each.count) for each in few.left_out] == [
        ("beyond the trial", 35),
        ("ending .txt", 1),
    ]
    assert "--limit" in few.left_out[0].taken_by
    more = list_for_run(raw, ListConfig(), None, limit=15)
    everything = list_for_run(raw, ListConfig(), None)
    keys = [{source.source_key for source in listing.sources} for listing in (few, more, everything)]
    assert [len(each) for each in keys] == [5, 15, 40]
    assert keys[0] < keys[1] < keys[2]
    sampled = list_for_run(raw, ListConfig(), None, sample=0.5)
    assert 8 < len(sampled.sources) < 32
    assert sum(each.count for each in sampled.left_out) == 41 - len(sampled.sources)


@pytest.mark.parametrize("trial", [{"limit": -1}, {"sample": 0.0}, {"sample": 1.5}, {"sample": float("nan")}])
def test_a_trial_out_of_range_is_refused(raw, trial):
    with pytest.raises(ValueError, match="--limit"):
        list_for_run(raw, ListConfig(), None, **trial)


def test_a_sample_without_a_file_is_nothing_to_do(raw):
    with pytest.raises(NothingToDo, match="holds none of 40 files; take a larger one"):
        list_for_run(raw, ListConfig(), None, sample=1e-9)
