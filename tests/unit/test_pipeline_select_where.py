"""`select.where` drops the clips that do not meet a condition over scores and columns of source lists."""

from dataclasses import replace

import pytest
from small_dataset import write_dataset

from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.sandboxed_sql import QueryError
from pipeline.config import DedupConfig, SelectConfig, config_digest
from pipeline.planning import pending
from pipeline.select.select import KEPT, passes_rules, select
from pipeline.select.where import with_where

LOOSE = SelectConfig(min_side_px=0, min_duration_s=0.0)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    return write_dataset(tmp_path_factory.mktemp("where"))


def reasons(dataset: Dataset, where: str) -> dict[str, str]:
    """Decide on all clips without duplicates; return the reason by the brightness of the clip."""
    config = replace(LOOSE, where=where)
    view = LiveView(dataset)
    clips = with_where(view.read("clips"), view, config)
    brightness = clips["brightness"].to_pylist()
    decided = select(clips, config).to_pylist()
    passing = passes_rules(clips, config).to_pylist()
    assert passing == [row["reason"] == KEPT for row in decided]
    return {str(value): row["reason"] for value, row in zip(brightness, decided, strict=True)}


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("licence = 'CC0'", {"0.3", "0.4", "0.2", "0.7"}),
        ("licence = 'CC BY'", set()),
        ("licence = 'CC0' AND brightness >= 0.3", {"0.3", "0.4", "0.7"}),
        ("(carried->>'licence') = 'CC0' AND uri LIKE '%video-1.mp4'", {"0.2", "0.7"}),
        ("motion > 0.15", {"0.4", "0.2"}),  # a clip that was not measured does not meet it
        ("codec = 'h264' AND size_bytes > 0 -- a comment", {"0.3", "0.4", "0.2", "0.7"}),
    ],
)
def test_a_clip_is_kept_where_the_condition_holds(dataset, where, kept):
    found = reasons(dataset, where)
    assert {value for value, reason in found.items() if reason == KEPT} == kept
    assert {reason for value, reason in found.items() if value not in kept} <= {"where"}


def test_another_condition_decides_again_and_none_changes_no_digest(dataset):
    view = LiveView(dataset)
    one, other = replace(LOOSE, where="licence = 'CC0'"), replace(LOOSE, where="licence = 'none'")
    assert len({config_digest(config) for config in (LOOSE, one, other)}) == 3
    rows = pending.to_select(view, other, DedupConfig())
    assert len(rows) == 4
    [detail] = {row["detail"] for row in select(rows, other).to_pylist()}
    assert detail == "not licence = 'none'"


@pytest.mark.parametrize(
    "where", ["licens = 'CC0'", "1; DROP TABLE clips", "read_csv('/etc/passwd') IS NULL"]
)
def test_what_is_no_condition_is_refused(dataset, where):
    with pytest.raises(QueryError):
        reasons(dataset, where)
