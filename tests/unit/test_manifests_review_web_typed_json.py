"""Requests become dataclasses only when every field is what it should be, and values become JSON."""

import json
from datetime import UTC, datetime

import pytest

from manifests.records import Verdict
from manifests.review.messages import BulkEdit, DecisionRequest, QueueFilter
from manifests.review.web.errors import BadRequest
from manifests.review.web.typed_json import from_json, to_json

DECISION = {"review_id": "ab" * 8, "media_id": "m", "verdict": "span", "saw": "", "start_s": 1, "end_s": 2.5}


def test_a_request_is_read_field_by_field() -> None:
    request = from_json(DecisionRequest, DECISION, reviewer="Ada")
    assert (request.verdict, request.start_s, request.reviewer) == (Verdict.SPAN, 1.0, "Ada")
    edit = from_json(BulkEdit, {"kind": "prefix", "filter": {"search": "x"}, "lengths": ["short"]})
    assert edit.filter == QueueFilter(search="x")
    assert list(edit.lengths) == ["short"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reviewer": "Eve"}, "reviewer: no field"),
        ({"verdict": "praise"}, "verdict: 'praise' is none of approve"),
        ({"media_id": 5}, "media_id: 5 is no str"),
        ({"start_s": "1"}, "start_s: '1' is no float"),
        ({"start_s": True}, "start_s: True is no float"),
        ({"start_s": float("nan")}, "start_s: is not finite"),
        ({"confirm": 1}, "confirm: 1 is no bool"),
        ({"saw": None}, "saw: None is no str"),
    ],
)
def test_another_field_or_type_is_refused(change: dict, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        from_json(DecisionRequest, DECISION | change, reviewer="Ada")


def test_what_is_missing_or_no_object_is_refused() -> None:
    with pytest.raises(BadRequest, match="saw: missing"):
        from_json(DecisionRequest, {k: v for k, v in DECISION.items() if k != "saw"}, reviewer="Ada")
    with pytest.raises(BadRequest, match="not a JSON object"):
        from_json(BulkEdit, [])
    with pytest.raises(BadRequest, match="kind: 'erase' is none of"):
        from_json(BulkEdit, {"kind": "erase", "filter": {}})
    with pytest.raises(BadRequest, match="lengths: not a list"):
        from_json(BulkEdit, {"kind": "trim", "filter": {}, "lengths": "short"})


def test_values_become_json_that_every_parser_takes() -> None:
    value = {
        "n": float("nan"),
        "i": float("inf"),
        "b": b"x",
        "t": datetime(2026, 1, 2, tzinfo=UTC),
        "v": Verdict.EDIT,
    }
    text = json.dumps(to_json({"a": (value, QueueFilter())}), allow_nan=False)
    first, second = json.loads(text)["a"]
    assert first == {"n": None, "i": None, "b": None, "t": "2026-01-02T00:00:00+00:00", "v": "edit"}
    assert second["stratum"] == "all"
