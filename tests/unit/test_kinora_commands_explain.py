"""`kinora explain --clip` holds a clip against every rule, in 80 columns."""

import json
from dataclasses import asdict

import pyarrow as pa
import pytest

from kinora.cli.main import main
from manifests import schemas
from manifests.dataset import Commit, Dataset
from manifests.records import Clip, SourceRow, SourceStatus
from pipeline.config import SelectConfig
from pipeline.select.rules import RULES
from pipeline.select.select import select


@pytest.fixture
def uri(tmp_path):
    dataset = Dataset.create(str(tmp_path / "d"))
    source = {"source_key": "s", "uri": "/raw/a.mp4", "size_bytes": 1, "etag": "e", "carried": "{}"}
    about = {"source_digest": "b", "kind": "video", "width": 320, "height": 240, "analysis": "a"}
    span = {"start_pts": 0, "end_pts": 300, "time_base_num": 1, "time_base_den": 100, "num_frames": 72}
    row = SourceRow(**source | about | span, status=SourceStatus.OK, codec="h264", fps=24.0)
    clip = Clip(clip_id="c0", source_key="s", uri="/raw/a.mp4", stream_index=0, **about | span)
    table = schemas.to_table(Clip, [clip])
    scores = {"black": 0.9, "sharpness": 0.001, "border_top": 0.25, "border_bottom": 0.25}
    for name, value in (scores | {"border_left": 0.0, "border_right": 0.0}).items():
        table = table.append_column(name, pa.array([value]))
    config = SelectConfig(preset="standard", max_black=0.5)
    parts = (
        dataset.write_records("sources", [row]),
        dataset.write_part("clips", table),
        dataset.write_part("selections", select(table, config)),
    )
    dataset.commit(Commit(stage="select", added=parts, config=asdict(config)))
    return dataset.uri


def test_every_rule_is_told_with_value_limit_and_verdict(uri, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["explain", "--dataset", uri, "--clip", "c0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    found = {line.split()[0]: line for line in lines if line.strip()}
    for rule in RULES:
        assert rule.reason in found
    assert "DROPPED" in found["too_small"]
    assert "also fails" in found["black"]
    assert "0.9" in found["black"]
    assert "at most 0.5" in found["black"]
    assert "not measured" in found["flashes"]
    assert "320x120 at (0, 60)" in found["crop"]


def test_json_holds_the_rules(uri, capsys):
    assert main(["explain", "--dataset", uri, "--clip", "c0", "--json"]) == 0
    rules = {rule["reason"]: rule for rule in json.loads(capsys.readouterr().out)["rules"]}
    assert rules["inside_too_small"]["value"] == 120
    assert rules["black"]["limit"] == 0.5
    assert [name for name, rule in rules.items() if rule["broken"]] == [
        "too_small", "inside_too_small", "black", "blurred",
    ]  # fmt: skip


def test_without_a_clip_reasons_are_counted(uri, capsys):
    assert main(["explain", "--dataset", uri, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rules"]["too_small"]["clips"] == 1
