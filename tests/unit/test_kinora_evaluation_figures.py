"""Figures and their bounds, and the table of 80 columns that shows them."""

import pytest
from rich.console import Console

from kinora.evaluation.figures import average, drop, gain, ratio, share
from kinora.evaluation.intervals import bootstrap_mean, wilson_low
from kinora.evaluation.table import markdown_table, terminal_table

RIGHT = [True] * 97 + [False] * 3


def test_a_goal_is_met_when_the_bound_meets_it():
    figure = share("colour", RIGHT, goal=0.9)
    assert figure.value == 0.97
    assert figure.bound == wilson_low(97, 100) == pytest.approx(0.9155, abs=1e-3)
    assert figure.met
    assert not share("colour", RIGHT, goal=0.95).met
    assert share("colour", RIGHT).met is None


def test_a_figure_that_should_be_small_is_held_against_its_upper_bound():
    values = [1.0, 1.1, 1.05, 0.9] * 10
    figure = average("jump", values, goal=1.2, at_most=True)
    assert figure.bound is not None
    assert figure.value < figure.bound < 1.2
    assert figure.met
    assert not average("jump", [*values, 30.0], goal=1.2, at_most=True).met
    assert average("psnr", values, goal=0.5).bound == bootstrap_mean(values).low


def test_one_value_has_no_bound_and_meets_no_goal():
    single = average("jump", [1.0], goal=1.2, at_most=True)
    assert (single.bound, single.met) == (None, False)
    assert drop("size_drop", [1.0], [1.0] * 9, goal=0.05).met is False


def test_a_drop_is_the_difference_of_two_means():
    figure = drop("size_drop", [1.0] * 50, [0.9, 1.0] * 25, goal=0.05)
    assert figure.value == pytest.approx(0.05)
    assert not figure.met
    assert drop("size_drop", [1.0] * 50, [1.0] * 50, goal=0.05).met


def test_a_gain_is_of_pairs_and_its_interval_must_be_above_zero():
    before, after = [0.2, 0.9, 0.5, 0.7] * 8, [0.3, 1.0, 0.6, 0.8] * 8
    figure = gain("expansion_gain", before, after)
    assert figure.value == pytest.approx(0.1)
    assert figure.bound == pytest.approx(0.1)
    assert figure.met
    assert figure.sign == ">"
    assert gain("expansion_gain", before, before).met is False
    assert gain("expansion_gain", before, after[1:] + after[:1]).met is False
    with pytest.raises(ValueError, match="shorter"):
        gain("expansion_gain", before, after[1:])


def test_a_ratio_is_of_sums_with_the_samples_resampled():
    figure = ratio("legal", [9.0, 0.0, 10.0] * 20, [10.0, 0.0, 10.0] * 20, goal=0.9)
    assert figure.value == pytest.approx(0.95)
    assert figure.bound is not None
    assert 0.93 < figure.bound < 0.95
    assert figure.met
    assert not ratio("error", [1.4, 1.7] * 20, [1.0, 1.0] * 20, goal=1.5, at_most=True).met
    assert ratio("legal", [0.0] * 4, [0.0] * 4, goal=0.9).to_json()["legal_low"] == 0
    with pytest.raises(ValueError, match="0 parts"):
        ratio("legal", [], [], goal=0.9)


def test_no_samples_are_no_figure():
    with pytest.raises(ValueError, match="nothing was judged"):
        share("colour", [])
    with pytest.raises(ValueError, match="nothing was measured"):
        average("jump", [])
    with pytest.raises(ValueError, match="one of the sides"):
        drop("size_drop", [], [1.0], goal=0.05)


def test_the_numbers_by_name():
    figure = share("colour", RIGHT, goal=0.9, chance=[True, False], ceiling=[True])
    assert figure.to_json() == {
        "colour": 0.97,
        "colour_low": figure.bound,
        "colour_n": 100,
        "colour_goal": 0.9,
        "colour_chance": 0.5,
        "colour_ceiling": 1.0,
    }
    assert "jump_high" in average("jump", [1.0, 1.1], at_most=True).to_json()


def test_the_table_fits_80_columns_and_tells_what_did_not_run():
    figures = {
        "text": [
            share("direction_of_rooms", RIGHT, goal=0.9, chance=RIGHT, ceiling=RIGHT),
            average("image_psnr_db", [31.25, 29.5], goal=30, digits=1),
        ],
        "extend": [average("extend_backward_jump", [1.0, 1.0], goal=1.2, at_most=True)],
    }
    failed = {"loop": "the model has no moving things to make a loop of, or any other long reason for it"}
    console = Console(width=80, record=True)
    console.print(terminal_table(figures, failed))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert any("extend_backward_jump" in line and "<= 1.2" in line and "yes" in line for line in lines)
    assert "did not run" in "\n".join(lines)
    markdown = markdown_table(figures, failed).splitlines()
    assert {line.count("|") for line in markdown} == {10}
