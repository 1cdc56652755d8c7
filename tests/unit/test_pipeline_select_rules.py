"""Selecting a table equals selecting each clip; presets supply limits; a review band marks kept clips."""

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest

from pipeline.config import Preset, SelectConfig
from pipeline.select import select as selecting
from pipeline.select.presets import NO_LIMIT, PRESETS
from pipeline.select.rules import RULES, check_rules, limit
from pipeline.select.select import select, select_clip

COLUMNS = {rule.column for rule in RULES} - {"side_px", "inside_px", "duration_s"}


def clips(number: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return clips with scores of all sizes, some of them missing."""
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(number):
        scores = {name: float(rng.choice([0.0, 0.003, 0.3, 0.9, 3.0])) for name in sorted(COLUMNS)}
        scores |= {name: None for name in sorted(COLUMNS) if rng.random() < 0.1}
        rows.append(
            scores
            | {
                "clip_id": f"c{index}",
                "kind": str(rng.choice(["video", "image"])),
                "analysis": "ab"[index % 2],
            }
            | {"height": int(rng.choice([20, 300, 720])), "width": int(rng.choice([40, 600]))}
            | {"border_top": 0.2, "border_bottom": 0.2, "border_left": 0.0, "border_right": None}
            | {"start_pts": 0, "end_pts": int(rng.choice([30, 150, 9000]))}
            | {"time_base_num": 1, "time_base_den": 100}
        )
    return rows


@pytest.mark.parametrize("preset", get_args(Preset))
def test_selecting_a_table_equals_selecting_each_clip(preset):
    config, rows = SelectConfig(preset=preset), clips(60)
    together = select(pa.Table.from_pylist(rows), config).to_pylist()
    for row, found in zip(rows, together, strict=True):
        alone = select_clip(row, config)
        broken = [check.rule.reason for check in check_rules(row, config) if check.broken]
        assert found["reason"] == alone.reason == (broken[0] if broken else "kept")
        assert (found["kept"], found["detail"], found["rules"]) == (alone.kept, alone.detail, alone.rules)
        assert found["kept"] == (not found["detail"] or found["review"] != "")
        assert found["review"] == alone.review


def test_an_empty_table_gives_no_decisions():
    empty = pa.Table.from_pylist(clips(3)).slice(0, 0)
    assert len(select(empty, SelectConfig())) == 0


def test_a_configured_limit_overrides_its_preset():
    strict = SelectConfig(preset="strict", min_motion=0.0)
    assert limit(strict, "min_motion") == 0.0
    assert limit(strict, "max_static") == PRESETS["strict"]["max_static"]


def test_presets_hold_the_limit_of_every_rule_and_grow_stricter():
    for rule in RULES:
        loose, middle, tight = (PRESETS[name][rule.limit] for name in get_args(Preset))
        assert loose <= middle <= tight if rule.sign == "<" else loose >= middle >= tight


def test_the_default_keeps_static_shots():
    row = clips(1)[0] | dict.fromkeys(COLUMNS, 0.0) | {"static": 1.0, "frozen_s": 40.0, "sharpness": None}
    row |= {"kind": "video", "height": 300, "width": 600, "end_pts": 4000}
    assert select_clip(row, SelectConfig()).kept
    assert select_clip(row, SelectConfig(preset="standard")).reason == "static"


def test_a_review_band_keeps_and_marks(monkeypatch):
    rule = replace(next(rule for rule in RULES if rule.reason == "black"), review="max_blank")
    monkeypatch.setattr(selecting, "rules_of", lambda config: (rule,))
    config = SelectConfig(max_black=0.5, max_blank=0.2)
    row = clips(1)[0]
    marked = select_clip(row | {"black": 0.3}, config)
    assert (marked.kept, marked.reason) == (True, "kept")
    assert (marked.review, marked.detail) == ("black", "0.3 > 0.2 of frames")
    clear = select_clip(row | {"black": 0.1}, config)
    assert (clear.review, clear.detail) == ("", "")
    dropped = select_clip(row | {"black": 0.6}, config)
    assert (dropped.kept, dropped.review) == (False, "")


def test_any_column_of_numbers_has_limits_and_a_review_band():
    row = clips(1)[0] | dict.fromkeys(COLUMNS) | {"kind": "video", "height": 300, "width": 600}
    row |= {"end_pts": 400, "border_top": None, "border_bottom": None}
    config = SelectConfig(
        limits={"a": (None, 0.8), "b": (0.1, None)}, review={"a": (None, 0.5), "b": (0.3, 0.9)}
    )

    def decide(**scores: float | None) -> tuple[str, str, str]:
        found = select_clip(row | scores, config)
        return found.reason, found.review, found.detail

    assert decide(a=0.2, b=0.5) == ("kept", "", "")
    assert decide(a=None, b=None) == ("kept", "", "")
    assert decide(a=0.6, b=0.5) == ("kept", "a", "0.6 > 0.5 a")
    assert decide(a=0.2, b=0.2) == ("kept", "b", "0.2 < 0.3 b")
    assert decide(a=0.2, b=0.95) == ("kept", "b", "0.95 > 0.9 b")
    assert decide(a=0.9, b=0.95) == ("a", "", "0.9 > 0.8 a")
    assert decide(a=0.2, b=0.05) == ("b", "", "0.05 < 0.1 b")
    assert {check.rule.reason: check.limit for check in check_rules(row, config)}["b"] == NO_LIMIT
