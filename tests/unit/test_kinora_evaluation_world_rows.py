"""Rows about long prompts, space, objects, long videos, actions and games: what is broken does not pass."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from kinora.evaluation.balanced import Vocabulary
from kinora.evaluation.cases import Outcome, Setup, column
from kinora.evaluation.figures import mean_of
from kinora.evaluation.rows import acting, consistency, dense, expansion, game, long, permanence, text
from worlds import families
from worlds.grid.judge import goal_reached
from worlds.grid.truth import GridWorld, states_T
from worlds.palette import FAMILY_NAMES
from worlds.rooms.rigid import LOST_PX

SETUP = Setup(
    samples=6,
    few=6,
    seed=1,
    families=FAMILY_NAMES,
    vocabulary=Vocabulary(),
    sizes=((64, 64),),
    num_frames=17,
    fps=8.0,
    time_factor=4,
)


def outcomes(row, cases, frames_of) -> list[Outcome]:
    return [
        Outcome(case=case, verdict=row.judge(case, frames_of(case)), chance={}, ceiling={}) for case in cases
    ]


def value(figures, name) -> float:
    (figure,) = [figure for figure in figures if figure.name == name]
    return figure.value


def stopped(frames_THWC, at=0) -> np.ndarray:
    """Return a video that stands still from a frame on."""
    return np.concatenate(
        [frames_THWC[:at], np.repeat(frames_THWC[at : at + 1], len(frames_THWC) - at, axis=0)]
    )


def test_a_row_of_a_family_that_the_model_was_not_trained_on_does_not_run():
    setup = replace(SETUP, families=("shapes",))
    for row in (consistency, permanence, acting, game):
        with pytest.raises(ValueError, match="trained on shapes, not on"):
            row.cases(setup)
    with pytest.raises(ValueError, match="0 of 400 worlds"):
        SETUP.worlds_of_family("occlusion", 1, lambda world: False)


def test_a_short_prompt_is_not_held_against_what_it_leaves_open():
    setup = replace(SETUP, families=("grid", "occlusion"))
    for case in text.cases(setup):
        video = families.render(case.world)
        verdict = text.judge(case, video)
        left_open = text.UNTOLD[case.world.family]
        assert not {*left_open} & {*verdict}
        if isinstance(case.world, GridWorld):  # a game without the things that the prompt does not name
            named = (f"{case.world.color} key", case.world.target)
            start = case.world.start
            cells = tuple(
                tuple("" if thing and thing not in ("wall", *named) else thing for thing in line)
                for line in start.cells
            )
            other = replace(case.world, start=replace(start, cells=cells))
            assert text.judge(case, families.render(other)) == verdict
            assert verdict["goal_reached"]
            assert verdict["floor"]


def test_dense_prompts_are_held_against_each_claim():
    cases = dense.cases(SETUP)
    assert all(len(case.prompt.split()) >= 80 for case in cases)
    case = cases[0]
    truth_THWC = dense.render(case)
    things = case.world.to_json()["things"]
    assert len(things) == 3
    recolored = replace(
        case.world, things=(replace(case.world.things[0], color="pink"), *case.world.things[1:])
    )
    other = dense.judge(case, families.render(recolored))
    claims = len(families.claims(case.world))
    assert other["claims"] == pytest.approx(1 - 1 / claims)
    assert other["claim_color"] == pytest.approx(2 / 3)
    assert not other["all_claims"]
    still = dense.judge(case, stopped(truth_THWC))
    assert still["claim_direction"] == mean_of([thing["direction"] == "still" for thing in things])
    assert still["claim_shape"] == 1
    blank = dense.judge(case, np.full_like(truth_THWC, 126))
    assert blank["claims"] <= 1 / claims


def test_what_expansion_gains_is_counted_prompt_by_prompt():
    cases = expansion.cases(SETUP)
    raw, expanded = cases[: len(cases) // 2], cases[len(cases) // 2 :]
    assert [case.seed for case in raw] == [case.seed for case in expanded]
    assert all(len(b.prompt) > len(a.prompt) for a, b in zip(raw, expanded, strict=True))
    wrong = np.full((17, 64, 64, 3), 126, np.uint8)
    done = outcomes(expansion, raw, lambda case: wrong) + outcomes(
        expansion, expanded[::-1], expansion.render
    )
    figures = expansion.figures(done)
    assert value(figures, "expansion_expanded") == value(figures, "expansion_changed") == 1
    assert value(figures, "expansion_gain") == pytest.approx(1 - value(figures, "expansion_raw"))
    assert value(figures, "expansion_gain") > 0.7
    assert figures[0].met


def test_a_room_that_wobbles_or_stands_still_is_not_rigid():
    cases = consistency.cases(replace(SETUP, few=3))
    rows, columns = np.mgrid[:64, :64].astype(np.float32)

    def wobbling(case):
        return np.stack([
            cv2.remap(frame, columns + np.float32(1.5) * np.sin(rows / 6 + t), rows, cv2.INTER_LINEAR)
            for t, frame in enumerate(consistency.render(case))
        ])  # fmt: skip

    real = consistency.figures(outcomes(consistency, cases, consistency.render))
    assert value(real, "rigid_error_ratio") == value(real, "consistency_rigid") == 1
    assert real[0].met
    bent = consistency.figures(outcomes(consistency, cases, wobbling))
    assert value(bent, "rigid_error_ratio") > 1.5
    assert bent[0].met is False
    still = outcomes(consistency, cases, lambda case: stopped(consistency.render(case)))
    assert column(still, "error_px") == [LOST_PX] * len(cases)


def test_what_comes_back_otherwise_or_never_is_not_permanent():
    cases = permanence.cases(SETUP)
    assert {case.group for case in cases} == {permanence.WALL, permanence.TURN}
    assert all(case.given % 4 == 1 and case.given > 1 for case in cases)

    def changed(case):
        color = "pink" if case.world.color != "pink" else "green"
        later_THWC = families.render(replace(case.world, color=color))[case.given :]
        return np.concatenate([permanence.render(case)[: case.given], later_THWC])

    def gone(case):
        hidden, _ = permanence.hidden_span(permanence.visible_T(case.world))
        return stopped(permanence.render(case), hidden)

    for frames_of in (changed, gone):
        figures = permanence.figures(outcomes(permanence, cases, frames_of))
        assert value(figures, "permanence") == value(figures, "permanence_turn") == 0
        assert value(figures, "permanence_shape") == 1


def test_paint_and_bites_that_vanish_or_were_always_there_do_not_count():
    cases = acting.cases(SETUP)

    def vanishing(case):
        frames_THWC = acting.render(case).copy()
        frames_THWC[-4:] = frames_THWC[0]
        return frames_THWC

    def always(case):
        return np.repeat(acting.render(case)[-1:], 17, axis=0)

    for frames_of in (vanishing, always):
        figures = acting.figures(outcomes(acting, cases, frames_of))
        assert value(figures, "acting_stay") == value(figures, "acting_as_asked") == 0


def test_a_game_that_stands_still_or_jumps_is_told_from_one_that_is_played():
    cases = game.cases(SETUP)
    still = game.figures(outcomes(game, cases, lambda case: stopped(families.render(case.world))))
    assert value(still, "game_legal_moves") == value(still, "game_plays") == value(still, "game_goal") == 0
    jumps = game.figures(outcomes(game, cases, lambda case: families.render(case.world)[[0, -1] * 8 + [-1]]))
    assert value(jumps, "game_goal") == 1
    assert value(jumps, "game_legal_moves") < 0.5


def test_random_moves_are_legal_and_seldom_reach_the_goal():
    worlds = SETUP.worlds_of_family("grid", 40)
    reached = []
    for world in worlds:
        states = game.random_states_T(world)
        assert len(states) == world.num_frames
        assert states[0] == world.start
        reached.append(goal_reached(states, world.goal, world.target))
        assert goal_reached(states_T(world), world.goal, world.target)
    assert mean_of(reached) < 0.3


def test_a_minute_in_which_a_thing_changes_or_is_lost_is_not_constant(monkeypatch):
    setup = replace(SETUP, few=3)
    assert {(case.world.num_frames, case.given) for case in long.cases(setup)} == {(481, 17)}
    monkeypatch.setattr(long, "DURATION_S", 15.0)
    case = next(case for case in long.cases(setup) if len(case.world.things) == 3)
    truth_THWC = long.render(case)
    assert len(truth_THWC) == 121
    first, *rest = case.world.things
    for things, lost, kept in (
        ((replace(first, color="pink" if first.color != "pink" else "green"), *rest), "color", "count"),
        (tuple(rest), "count", "background"),
    ):
        other_THWC = families.render(replace(case.world, things=things))
        verdict = long.judge(case, np.concatenate([truth_THWC[:65], other_THWC[65:]]))
        assert (verdict["identity"], verdict[lost], verdict[kept]) == (False, False, True)
        assert verdict["held"] == pytest.approx(0.5, abs=0.1)
        assert verdict["drift_per_s"] == pytest.approx(0, abs=1e-6)
    darker_THWC = truth_THWC.copy()
    darker_THWC[100:] = truth_THWC[100:] // 2
    assert long.judge(case, darker_THWC)["drift_per_s"] > 0.1
