"""What `kinora retry` does after it captioned again."""

import json

import pytest
import worlds_dataset as made

from kinora.cli.main import main
from kinora.commands import retry
from manifests.dataset import Dataset
from pipeline.jobs.report import CaptionReport

COUNT = 20
AUDIT = ("captions", "audit", "--read-text", "false", "--min-agreement", "0.51")


@pytest.fixture
def captioned(monkeypatch: pytest.MonkeyPatch) -> None:
    """One caption failed before, and a captioner that answers this time."""
    report = CaptionReport(version="v-1", media=COUNT, already_done=COUNT - 1, ok=1)
    monkeypatch.setattr(retry, "_failed_stages", lambda dataset: ({"caption"}, ""))
    monkeypatch.setattr(retry, "caption", lambda *positional, **named: report)


@pytest.mark.usefixtures("captioned")
def test_captions_are_checked_with_the_settings_of_the_last_check(tmp_path, capsys):
    found = made.write_dataset(tmp_path, COUNT, lambda worlds: made.off_by_one(made.dense_captions(worlds)))
    assert main([*AUDIT, "--dataset", found.uri]) == 4
    made.write_captions(found, made.off_by_one(made.dense_captions(found.worlds)), "v-1")
    capsys.readouterr()
    assert main(["retry", "--dataset", found.uri, "--json"]) == 4
    data = json.loads(capsys.readouterr().out)
    assert data["audit"]["checked"] == COUNT
    assert data["audit"]["problems"]
    first, second = [commit for commit in Dataset.open(found.uri).commits if commit.stage == "audit"]
    assert second.config["settings"] == first.config["settings"]
    assert second.config["settings"]["min_agreement"] == 0.51
    assert second.command.startswith("kinora retry")
    assert main(["retry", "--dataset", found.uri, "--audit", "false", "--json"]) == 0
    assert "audit" not in json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("captioned")
def test_a_check_against_a_truth_is_left_to_the_person_who_has_it(tmp_path, capsys):
    found = made.write_dataset(tmp_path, COUNT)
    assert main([*AUDIT, "--dataset", found.uri, "--truth", str(found.truth)]) == 0
    assert main(["retry", "--dataset", found.uri]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "not checked: the captions were last checked against a truth; run `kinora captions audit" in printed
    )
