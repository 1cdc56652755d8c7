"""Rooms are deterministic, captions are true, and the judge is correct, also on altered videos."""

from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest
from family_samples import SIZES, as_drawn, reencoded, verdicts, worlds_of

from worlds.rooms import family as rooms
from worlds.rooms import judge
from worlds.rooms.odometry import motions_T3
from worlds.rooms.rigid import rigid_error
from worlds.rooms.truth import CAMERA_MOTIONS, DISTANCE, camera_matrices_T34, centers_px_NT3

sampled = partial(worlds_of, rooms, num_frames=18)


@pytest.mark.parametrize("size", SIZES)
def test_labels_and_matrices_tell_where_things_are(size):
    for world in sampled(8, size):
        frames_THWC, labels_THW = rooms.draw(world)
        assert frames_THWC.shape == (18, size[1], size[0], 3)
        assert labels_THW.shape == frames_THWC.shape[:3]
        assert set(np.unique(labels_THW)) == set(range(len(world.solids) + 1))
        centers_NT3 = centers_px_NT3(world)
        nearest = int(np.argmin(centers_NT3[:, 9, 2]))
        rows, columns = np.nonzero(labels_THW[9] == nearest + 1)
        middle = np.array([columns.mean(), rows.mean()]) + 0.5
        np.testing.assert_allclose(middle, centers_NT3[nearest, 9, :2], atol=2.5)


def test_a_camera_matrix_sees_the_middle_of_an_orbit_in_one_place():
    (world,) = [w for w in sampled(40) if w.camera == "orbit left"][:1]
    seen_T3 = camera_matrices_T34(world) @ np.array([0.0, 0.0, 0.0, 1.0])
    np.testing.assert_allclose(seen_T3, np.broadcast_to(seen_T3[0], seen_T3.shape), atol=1e-9)


def test_captions_are_of_the_promised_length_and_hold_the_claims():
    for num_frames in (18, 1):
        for seed, world in enumerate(sampled(50, num_frames=num_frames)):
            dense, short = rooms.dense_caption(world, seed), rooms.short_caption(world, seed)
            assert 60 <= len(dense.split()) <= 135
            assert len(short.split()) <= 25
            assert rooms.dense_caption(world, seed) == dense
            for solid in world.solids:
                assert solid.name in dense
                assert solid.name in short
            assert world.floor in dense
            assert ("camera" in dense) == (num_frames > 1)
    assert len({rooms.dense_caption(world, seed) for seed in range(50)}) > 30


def test_claims_state_every_attribute():
    for world in sampled(20):
        found = {(claim.subject, claim.attribute): claim.value for claim in rooms.claims(world)}
        assert found["camera", "motion"] == world.camera
        assert found["floor", "color"] == world.floor
        assert found["scene", "count"] == str(len(world.solids))
        assert len(found) == 3 + 2 * len(world.solids)
        assert rooms.combination(world) == f"{world.solids[0].color} {world.solids[0].kind} {world.camera}"


@pytest.mark.parametrize("change", [as_drawn, reencoded])
def test_right_on_the_truth_and_no_better_than_chance_on_another(change):
    worlds = sampled(40)
    found = [judge.measure_room(change(rooms.draw(world).frames_THWC), world.fps) for world in worlds]
    pairs = [(i, (i + step) % len(worlds)) for i in range(len(worlds)) for step in range(1, 6)]
    for attribute in ("color", "kind", "binding", "count", "floor", "camera"):
        right, fooled = verdicts(judge, attribute, worlds, found, pairs)
        assert len(right) == len(worlds)
        assert np.mean(right) >= 0.97, attribute  # 39 of 40
        assert len(fooled) > 60, attribute
        assert np.mean(fooled) <= 0.02, attribute


def test_other_sizes_are_judged_as_well():
    for size in (SIZES[1], SIZES[2], (192, 108)):
        for world in sampled(4, size):
            assert all(rooms.judge(rooms.draw(world).frames_THWC, 12, world).values())


@pytest.mark.parametrize("motion", CAMERA_MOTIONS)
def test_the_camera_is_found_at_its_rate(motion):
    world = rooms.sample(3, width=64, height=64, fps=12, num_frames=18, motions=[motion])
    frames_THWC, labels_THW = rooms.draw(world)
    turn, right, forward = motions_T3(frames_THWC, labels_THW > 0).mean(axis=0) * 12
    kind, _, way = motion.partition(" ")
    sign = {"left": -1, "right": 1, "in": 1, "out": -1, "": 0}[way]
    if kind == "dolly":
        assert forward == pytest.approx(sign * world.rate, abs=0.1)
    if kind == "pan":
        assert turn == pytest.approx(sign * world.rate, abs=0.04)
    if kind == "orbit":
        assert right / DISTANCE == pytest.approx(sign * world.rate, rel=0.4)
    assert rooms.judge(frames_THWC, 12, world)["camera"]


def test_a_rigid_scene_is_told_from_one_that_wobbles_or_slides():
    rows, columns = np.mgrid[:64, :64].astype(np.float32)
    for world in [w for w in sampled(16) if w.camera != "still"][:5]:
        frames_THWC = rooms.draw(world).frames_THWC
        wobbling_THWC = np.stack([
            cv2.remap(frame, columns + np.float32(1.5) * np.sin(rows / 6 + t), rows, cv2.INTER_LINEAR)
            for t, frame in enumerate(frames_THWC)
        ])  # fmt: skip
        solids_T = [
            [replace(s, x=s.x + 0.25 * np.sin(t / 2 + n)) for n, s in enumerate(world.solids)]
            for t in range(18)
        ]
        moved = [replace(world, solids=tuple(solids)) for solids in solids_T]
        sliding_THWC = np.stack([rooms.draw(w).frames_THWC[t] for t, w in enumerate(moved)])
        rigid = rigid_error(frames_THWC, 12).mean_px
        assert rigid < 0.8
        assert rigid_error(reencoded(frames_THWC), 12).mean_px < 1.0
        assert rigid_error(wobbling_THWC, 12).mean_px > 2 * rigid
        assert rigid_error(sliding_THWC, 12).mean_px > 1.5 * rigid


def test_noise_and_blank_frames_show_no_room():
    (world,) = sampled(1)
    noise_THWC = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
    blank_THWC = np.full((8, 64, 64, 3), 126, np.uint8)
    assert not rooms.judge(noise_THWC, 12, world)["binding"]
    assert not any(rooms.judge(blank_THWC, 12, world)[name] for name in ("color", "kind", "count"))


def test_worlds_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="orbit"):
        rooms.sample(0, width=64, height=64, fps=1, num_frames=300, motions=["pan left"])
    with pytest.raises(ValueError, match="sideways"):
        rooms.sample(0, width=64, height=64, fps=12, num_frames=18, motions=["sideways"])
    with pytest.raises(ValueError, match="3 or more"):
        rigid_error(np.zeros((2, 64, 64, 3), np.uint8), 12)
