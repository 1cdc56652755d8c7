"""The made dataset of `kinora bench manifests`, and that both sides of its scan read the same."""

import pytest

from benchmarks import captioned_dataset, manifests_child, manifests_scan
from benchmarks.manifests import LIMITS
from manifests.live_view import LiveView

CLIPS = 1_200


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return captioned_dataset.make(tmp_path_factory.mktemp("made") / "d", CLIPS, versions=2)


def test_every_clip_is_live_and_has_a_caption_of_each_version(dataset):
    view = LiveView(dataset)
    assert view.read("media", ["media_id"]).num_rows == CLIPS
    assert view.read("captions", ["media_id"]).num_rows == CLIPS
    attempts = view.read("caption_attempts", ["version", "outcome"])
    assert attempts.num_rows == 2 * CLIPS
    assert set(attempts["outcome"].to_pylist()) == {"ok", "empty"}


def test_words_are_as_frequent_as_in_a_language():
    words = captioned_dataset.make_words(0)
    assert len(set(words.words)) == captioned_dataset.VOCABULARY
    used: dict[str, int] = {}
    for sentence in words.sentences.to_pylist():
        for word in sentence.rstrip(".").split():
            used[word] = used.get(word, 0) + 1
    counts = sorted(used.values(), reverse=True)
    assert counts[0] / sum(counts) == pytest.approx(0.09, abs=0.03), "the first word of a Zipf law"
    assert len(used) > 0.8 * captioned_dataset.VOCABULARY


def test_both_scans_read_the_same(dataset):
    ours, theirs = manifests_scan.ours(dataset), manifests_scan.with_duckdb(dataset)
    assert ours.num_rows == theirs.num_rows == 2 * CLIPS
    assert sorted(map(str, ours.to_pylist())) == sorted(map(str, theirs.to_pylist()))


def test_each_measurement_of_the_desk_runs(dataset, tmp_path):
    measured = {}
    for task in ("build", "page", "search", "clips"):
        measured |= manifests_child.TASKS[task](dataset.uri, str(tmp_path / "state"))
    assert {"first_page_s", "next_clip_s", "search_s", "edit_s"} <= measured.keys() & LIMITS.keys()
    assert all(value >= 0 for value in measured.values())
    assert LiveView(dataset.refresh()).read("reviews").num_rows == manifests_child.CLIPS
