"""Every row: what it asks for can be made, the truth passes its judge, and its figures come out."""

import json
from dataclasses import replace

import numpy as np
import pytest
from untrained_model import untrained

from kinora.evaluation.balanced import Vocabulary
from kinora.evaluation.cases import Outcome, Setup, in_group
from kinora.evaluation.config import COMPARED, ROWS
from kinora.evaluation.figures import mean_of
from kinora.evaluation.judging import CaseBatch, Judged, judge_batch, row_of
from kinora.evaluation.results import write_row
from kinora.evaluation.rows import connect, edit, extend, long, loop
from trainer.config import SampleConfig
from worlds.palette import FAMILY_NAMES
from worlds.shapes.draw import render

SETUP = Setup(
    samples=2,
    few=2,
    seed=0,
    families=("shapes",),
    vocabulary=Vocabulary(),
    sizes=((64, 64), (80, 48)),
    num_frames=17,
    fps=8.0,
    time_factor=4,
)
SMALL = replace(SETUP, sizes=((32, 32), (48, 32)), vocabulary=Vocabulary(counts=(1,)))
FAMILY_OF = {"consistency": "rooms", "permanence": "occlusion", "acting": "canvas", "game": "grid"}
"""Family of the rows that do not judge `shapes`."""
SAMPLE = SampleConfig(steps=2)


def setup_for(name, setup) -> Setup:
    """Return a setup of the family of a row; a grid needs larger frames."""
    sizes = ((48, 48),) if name == "game" and setup is SMALL else setup.sizes
    return replace(setup, families=(FAMILY_OF.get(name, "shapes"),), sizes=sizes)


@pytest.fixture(scope="module")
def model():
    return untrained()


def judged(model, row, cases, store) -> list[Judged]:
    done: list[Judged] = []
    for case in cases:
        batch = CaseBatch(row=row.NAME, cases=(case,), others=(case,), sample=SAMPLE, store=store, shown=1)
        done += judge_batch(model, batch)
    return done


@pytest.mark.parametrize("name", [*ROWS, *COMPARED])
def test_a_row_from_cases_to_files(model, name, tmp_path, monkeypatch):
    monkeypatch.setattr(long, "DURATION_S", 4.0)
    row = row_of(name)
    cases = row.cases(setup_for(name, SMALL))
    cases = [case for case in cases if case.world.height * case.world.width <= 96 * 96]
    done = judged(model, row, cases, tmp_path / "store")
    for case, each in zip(cases, done, strict=True):
        assert each.outcome.case == case
        if each.frames_THWC is not None and name != "draft":
            assert each.frames_THWC.shape == (case.world.num_frames, case.world.height, case.world.width, 3)
    figures = row.figures([each.outcome for each in done])
    assert len({figure.name for figure in figures}) == len(figures)
    assert any(figure.goal is not None for figure in figures) == (name in ROWS)
    write_row(tmp_path / name, row, done, figures, model="runs/dit", sample=SAMPLE)
    samples = json.loads((tmp_path / name / "row.json").read_text())["samples"]
    assert len(samples) == len(cases)
    shown = [sample for sample in samples if "file" in sample]
    assert shown
    for sample in shown:
        assert (tmp_path / sample["file"]).stat().st_size > 0
        assert sample["command"].startswith("kinora generate ")
        assert all((tmp_path / given["file"]).exists() for given in sample["given"])
    assert (tmp_path / name / "sheet.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / name / "plot.svg").read_text().count("<text") > len(figures)


@pytest.mark.parametrize("name", [name for name in (*ROWS, *COMPARED) if name not in ("loop", "draft")])
def test_the_truth_passes_its_judge(name, monkeypatch):
    """Video of the truth itself: every attribute is right, but for a speed too quick for a short look."""
    monkeypatch.setattr(long, "DURATION_S", 20.0)
    row = row_of(name)
    wrong = []
    for case in row.cases(setup_for(name, replace(SETUP, samples=6, few=6))):
        frames_THWC = row.truth(case)
        if frames_THWC is None:
            continue
        verdict = row.judge(case, row.with_given(case, frames_THWC))
        wrong += [
            (case.name, key) for key, right in verdict.items() if right is False and key != "random_goal"
        ]
        assert verdict.get("psnr_db", 100) == 100
        assert verdict.get("claims", 1) == verdict.get("held", 1) == 1
        assert verdict.get("error_px", 0) == verdict.get("real_px", 0)
        assert verdict.get("legal", 0) == verdict.get("moves", 0)
        assert verdict.get("jump", 1) < 1.5
    assert wrong == []


@pytest.mark.parametrize("name", ["text", "animate"])
def test_every_family_is_asked_for(name):
    row = row_of(name)
    setup = replace(SETUP, families=FAMILY_NAMES, num_frames=25)
    cases = row.cases(setup)
    assert {case.world.family for case in cases} == set(FAMILY_NAMES)
    for case in cases:
        frames_THWC = row.truth(case)
        assert frames_THWC is not None
        verdict = row.judge(case, frames_THWC)
        assert mean_of([bool(right) for right in verdict.values()]) == 1, case


def test_an_extension_that_cuts_freezes_or_changes_its_subject_fails():
    forward = in_group_of(extend.cases(SETUP), "forward")[0]
    truth_THWC = render(forward.world)
    cut_THWC = np.concatenate([truth_THWC[: forward.given], 255 - truth_THWC[forward.given :]])
    assert extend.judge(forward, cut_THWC)["jump"] > 5
    assert not extend.judge(forward, cut_THWC)["identity"]
    last_THWC = np.repeat(
        truth_THWC[forward.given - 1 : forward.given], len(truth_THWC) - forward.given, axis=0
    )
    frozen = extend.judge(forward, np.concatenate([truth_THWC[: forward.given], last_THWC]))
    assert frozen["jump"] < 1.2
    assert not frozen["direction"]


def in_group_of(cases, group):
    return [case for case in cases if case.group == group]


def test_a_loop_is_judged_by_all_its_faults():
    case = loop.cases(SETUP)[0]
    frames_THWC = render(case.world)
    back_THWC = np.concatenate([frames_THWC[:11], frames_THWC[9:0:-1]])
    verdict = loop.judge(case, back_THWC)
    assert not verdict["one_way"]
    assert not verdict["seamless"]
    assert verdict["moves"]


def test_a_way_that_does_not_reach_the_second_subject_fails():
    case = in_group_of(connect.cases(SETUP), "other")[0]
    (_, first_THWC), (_, second_THWC) = connect.given(case)
    new = case.world.num_frames - len(first_THWC) - len(second_THWC)
    stays = [first_THWC, np.repeat(first_THWC[-1:], new, axis=0), second_THWC]
    assert not connect.judge(case, np.concatenate(stays))["reached"]
    cuts = [first_THWC, np.repeat(second_THWC[:1], new, axis=0), second_THWC]
    verdict = connect.judge(case, np.concatenate(cuts))
    assert verdict["reached"]
    assert verdict["jump"] > 1.2
    assert verdict["psnr_db"] == 100


def test_an_edit_that_changed_nothing_fails_and_so_does_one_that_lost_the_motion():
    case = edit.cases(SETUP)[0]
    assert case.source is not None
    source_THWC, asked_THWC = render(case.source), edit.render(case)
    nothing = edit.judge(case, source_THWC)
    assert (nothing["changed"], nothing["motion"], nothing["joint"]) == (False, True, False)
    assert edit.judge(case, asked_THWC)["joint"]
    still = edit.judge(case, np.repeat(asked_THWC[:1], len(asked_THWC), axis=0))
    assert (still["changed"], still["motion"], still["joint"]) == (True, False, False)


def test_the_best_strength_is_judged_on_edits_that_did_not_choose_it():
    lucky = {(0, 0.3), (2, 0.3), (1, 0.7), (3, 0.7)}
    outcomes = [
        Outcome(case=case, verdict={"joint": (case.index, case.strength) in lucky}, chance={}, ceiling={})
        for case in edit.cases(replace(SMALL, few=4))
    ]
    best = edit.best_strength(outcomes)
    assert sorted(best.strengths) == [0.3, 0.7]
    assert best.joint == [False] * 4
    assert len(in_group(outcomes, "strength 0.3")) == 4
