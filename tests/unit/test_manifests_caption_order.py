"""The caption that counts: OK before failed, the version asked for last before earlier ones."""

from dataclasses import replace
from typing import Any

import pytest
from test_manifests_conservation import CAPTION, WHOLE, failed

from manifests import conservation
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.records import Outcome


def said(version: str, outcome: Outcome = Outcome.OK, media_id: str = "m5") -> Any:
    text = f"by {version}" if outcome is Outcome.OK else None
    return replace(CAPTION, media_id=media_id, version=version, outcome=outcome, text=text, short=text)


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    dataset = Dataset.create(tmp_path / "d")
    rows = {table: records for table, records in WHOLE.items() if table != "captions"}
    added = tuple(dataset.write_records(table, records) for table, records in rows.items())  # type: ignore[arg-type]
    return dataset.commit(Commit(stage="test", added=added))


def ask(dataset: Dataset, version: str, *captions: Any) -> Dataset:
    """Commit a run of `version`, with a failure for each caption that is not OK."""
    added = [dataset.write_records("captions", captions)] if captions else []
    if bad := [failed("caption", c.media_id) for c in captions if c.outcome is not Outcome.OK]:
        added.append(dataset.write_records("failures", bad))
    return dataset.commit(Commit(stage="caption", added=tuple(added), config_digest=version))


def counted(dataset: Dataset) -> list[tuple[str, str]]:
    return [(row["version"], row["outcome"]) for row in LiveView(dataset).captions().to_pylist()]


def test_a_failed_run_hides_no_good_caption_and_its_failure_is_still_listed(dataset):
    dataset = ask(dataset, "a", said("a"))
    dataset = ask(dataset, "b", said("b", Outcome.REFUSED))
    assert counted(dataset) == [("a", "ok")]
    assert LiveView(dataset).read("newest_attempts", ["version"]).to_pylist() == [{"version": "b"}]
    assert LiveView(dataset).failures["unit"].to_pylist() == ["m5"]
    assert conservation.violations(dataset) == []


def test_of_two_failed_captions_the_newer_counts(dataset):
    dataset = ask(dataset, "a", said("a", Outcome.EMPTY))
    dataset = ask(dataset, "b", said("b", Outcome.REFUSED))
    assert counted(dataset) == [("b", "refused")]
    assert conservation.violations(dataset) == []


def test_a_version_that_is_asked_for_again_counts_again(dataset):
    dataset = ask(dataset, "a", said("a"))
    dataset = ask(dataset, "b", said("b"))
    assert counted(dataset) == [("b", "ok")]
    dataset = ask(dataset, "a")
    assert counted(dataset) == [("a", "ok")]
    dataset = ask(dataset, "b")
    assert counted(dataset) == [("b", "ok")]


def test_a_failure_of_a_version_that_no_longer_counts_is_not_listed(dataset):
    dataset = ask(dataset, "a", said("a"))
    dataset = ask(dataset, "b", said("b", Outcome.EMPTY))
    dataset = ask(dataset, "a")
    assert LiveView(dataset).failures.num_rows == 0
    assert conservation.violations(dataset) == []


def test_a_held_view_sees_a_request_without_rows(dataset):
    dataset = ask(dataset, "a", said("a"))
    dataset = ask(dataset, "b", said("b"))
    view = LiveView(dataset)
    assert view.captions()["version"].to_pylist() == ["b"]
    view = view.advanced_to(ask(dataset, "a"))
    assert view.captions()["version"].to_pylist() == ["a"]


def test_within_a_version_an_ok_caption_counts_whichever_was_written_first(dataset):
    dataset = ask(dataset, "a", said("a"), said("a", Outcome.TIMEOUT))
    assert counted(dataset) == [("a", "ok")]
    assert LiveView(dataset).captions("a")["outcome"].to_pylist() == ["ok"]
    assert LiveView(dataset).captions("it's").num_rows == 0
    assert LiveView(dataset).read("caption_attempts").num_rows == 1
