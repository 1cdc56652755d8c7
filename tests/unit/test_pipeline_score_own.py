"""Scorers of your own: what they declare, what they return, and what is refused before anything runs."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.columns import Column
from pipeline.config import CurateConfig, ScorersConfig, SelectConfig
from pipeline.errors import OwnScorerFailed
from pipeline.planning.limits import check_limits
from pipeline.runtime.failures import failure
from pipeline.score import needs
from pipeline.score.digests import scorer_requests
from pipeline.score.own import OwnScorer

FRAMES = [np.full((4, 6, 3), value, np.uint8) for value in (10, 30)]
MODULE = """
from pipeline.columns import Column

COLUMNS = (Column("my_mean", "float64", "0 to 255", (0, 255)), Column("my_count", "int64", "frames"))


def mean(frames_THWC):
    assert frames_THWC.dtype == "uint8" and frames_THWC.ndim == 4
    return {"my_mean": frames_THWC.mean(), "my_count": len(frames_THWC)}


mean.columns = COLUMNS
mean.version = "1"


class Loaded:
    columns = COLUMNS

    def __init__(self):
        self.offset = 100

    def __call__(self, frames_THWC):
        return {"my_mean": frames_THWC.mean() + self.offset}


def wrong(frames_THWC):
    return {"my_mean": 256.0}


def unknown(frames_THWC):
    return {"other": 1.0}


def text(frames_THWC):
    return {"my_count": "two"}


def nothing(frames_THWC):
    return {"my_mean": float("nan"), "my_count": None}


def infinite(frames_THWC):
    return {"my_mean": float("inf")}


def raises(frames_THWC):
    return {"my_mean": 1 / 0}


for function in (wrong, unknown, text, nothing, infinite, raises):
    function.columns = COLUMNS


def undeclared(frames_THWC):
    return {}


NUMBER = 3
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    (tmp_path / "own_for_test.py").write_text(MODULE)
    (tmp_path / "broken_for_test.py").write_text("def f(:")
    monkeypatch.chdir(tmp_path)  # a module of the working directory is found


def test_a_function_and_a_class_score_the_frames_of_a_clip():
    assert OwnScorer("own_for_test:mean").score(FRAMES) == {"my_mean": 20.0, "my_count": 2}
    assert OwnScorer("own_for_test:Loaded").score(FRAMES) == {"my_mean": 120.0}
    assert OwnScorer("own_for_test:nothing").score(FRAMES) == {"my_mean": None, "my_count": None}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrong", r"256\.0 for my_mean, out of \(0, 255\)"),
        ("unknown", "returned other, which it does not declare"),
        ("text", "'two' for my_count, a int64"),
        ("infinite", "inf for my_mean: give a finite number or NaN"),
        ("raises", "own_for_test:raises: ZeroDivisionError: division by zero"),
    ],
)
def test_what_a_scorer_returns_is_checked(name, message):
    with pytest.raises(OwnScorerFailed, match=message) as raised:
        OwnScorer(f"own_for_test:{name}").score(FRAMES)
    row = failure(raised.value, stage="score", unit="c", uri="", config="")
    assert (row.code, "mend the scorer" in row.remedy) == ("OWN_SCORER", True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_for_test", "must be `module:function`"),
        (
            "no_such_module:f",
            r"cannot be imported \(No module named 'no_such_module'\); install its module on every machine",
        ),
        ("own_for_test:absent", "cannot be imported"),
        ("broken_for_test:f", r"broken_for_test:f: cannot be imported \(SyntaxError: .*\); mend it"),
        ("own_for_test:NUMBER", "is a int; give a function or a class"),
        ("own_for_test:undeclared", "set its attribute `columns`"),
    ],
)
def test_a_scorer_that_cannot_run_is_refused_before_anything_runs(name, message):
    with pytest.raises(ValueError, match=message):
        needs.check_scorers(ScorersConfig(own=(name,)))


def test_its_digest_is_its_name_and_version_or_else_its_source():
    config = ScorersConfig(own=("own_for_test:mean", "own_for_test:Loaded"))
    found = scorer_requests(config)
    assert [*found] == [*config.own]
    assert found["own_for_test:mean"].columns == {"my_mean": "float64", "my_count": "int64"}
    assert found["own_for_test:mean"].digest != found["own_for_test:Loaded"].digest
    assert needs.required_packages(config) == ("own_for_test",)


def test_limits_name_columns_of_numbers_that_clips_have():
    view = SimpleNamespace(scorer_requests={})
    own = CurateConfig().analyze.scorers

    def check(limits: dict, review: dict | None = None) -> None:
        config = CurateConfig(select=SelectConfig(limits=limits, review=review or {}))
        check_limits(view, config)  # type: ignore[arg-type]

    assert not own.any
    check({"brightness": (0.1, None)})
    with pytest.raises(ValueError, match=r"no column of numbers is called my_mean; there are .*brightness"):
        check({"my_mean": (0.1, None)})
    with pytest.raises(ValueError, match="no column of numbers is called camera"):
        check({"camera": (0.1, None)})
    with pytest.raises(ValueError, match=r"brightness: the minimum 0\.9 is above the maximum 0\.1"):
        check({"brightness": (0.9, 0.1)})
    with pytest.raises(ValueError, match=r"select\.review: no column of numbers is called my_mean"):
        check({}, {"my_mean": (0.1, None)})
    check({"brightness": (0.1, 0.9)}, {"brightness": (0.2, 0.8)})
    with pytest.raises(ValueError, match=r"select\.review: brightness: .* the band lies inside the limits"):
        check({"brightness": (None, 0.5)}, {"brightness": (None, 0.6)})
    assert Column("a", "bool", "b").range is None
