"""Raw videos of every family: complete actions, distinct neighbours, matching and judging."""

import itertools
import json
from collections import Counter
from dataclasses import replace
from random import Random

import cv2
import numpy as np
import pytest

from kinora.cli.result import Exit
from kinora.commands.worlds_judge import Config, run
from video.frames import read_clip
from worlds import families
from worlds.palette import FAMILY_NAMES, STYLES
from worlds.raw.config import RawConfig, wild
from worlds.raw.match import TrueShot, clip_truth, load_truth
from worlds.raw.render import render_raw, sample_edit, truth_path
from worlds.raw.scene import FrameSpec, render_scene, sample_scene
from worlds.styles import is_night

CONFIG = RawConfig(
    num_videos=8,
    families=FAMILY_NAMES,
    styles=STYLES,
    shots_per_video=(3, 4),
    shot_seconds=(1.6, 2.0),
    short_side_px=64,
    slate_rate=0.2,
    still_rate=0.2,
    seed=3,
)
BEFORE = [
    (156878396953670, "flat", "brown"),
    (1858900830129, "flat", "gray"),
    (16326466824679, "flat", "black"),
    (11317202801392, "flat", "brown"),
    (123824892480225, "flat", "gray"),
]
"""Seed, style and background of the shots of one video before there were other families."""
SQUARE = FrameSpec(width=64, height=64, fps=12.0)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    out_dir = tmp_path_factory.mktemp("families") / "raw"
    render_raw(out_dir, CONFIG)
    return out_dir, truth_path(out_dir, CONFIG)


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def told(shots):
    """Return the truth about one file with some shots, as `load_truth` gives it."""
    begun, found = 0.0, []
    for world in shots:
        end = begun + world.num_frames / world.fps
        found.append(TrueShot(start_s=begun, end_s=end, world_start_s=begun, short="", dense="", world=world))
        begun = end
    return {"raw.mp4": tuple(found)}


def sampled(family, seed, num_frames=30, **more):
    return families.sample(family, seed, width=64, height=64, fps=12, num_frames=num_frames, **more)


def test_the_lists_of_names_agree():
    assert tuple(families.FAMILIES) == FAMILY_NAMES
    assert wild(CONFIG).families == FAMILY_NAMES
    assert wild(replace(CONFIG, styles=("night",))).styles == ("night",)
    assert (RawConfig(num_videos=1).families, RawConfig(num_videos=1).styles) == (("shapes",), ("flat",))


def test_all_families_and_styles_come_and_are_what_the_truth_says(raw):
    out_dir, path = raw
    seen = Counter()
    for line in lines_of(path):
        frames_THWC = read_clip(out_dir / line["file"])[0]
        for shot in line["shots"]:
            world = families.from_json(shot["world"])
            shown_THWC = frames_THWC[shot["start_frame"] : shot["end_frame"]]
            assert len(shown_THWC) == world.num_frames
            assert np.abs(shown_THWC.astype(int) - families.render(world)).mean() < 8
            if not shot["slate"]:
                seen[world.family] += 1
                seen[world.style] += 1
                said = families.parse_claims(world.family, shot["dense"])
                assert said == families.claims(world)
                assert is_night(shown_THWC) is (world.style == "night")
    assert set(seen) == {*FAMILY_NAMES, *STYLES}


def test_default_worlds_are_flat_shapes_of_unchanged_seeds():
    place = FrameSpec(width=64, height=48, fps=24.0)
    edit = sample_edit(Random("a"), Random("b"), Random("c"), RawConfig(num_videos=1), place)
    assert [(s.world.seed, s.world.style, s.world.background) for s in edit.scenes] == BEFORE
    other = sample_edit(Random("a"), Random("b"), Random("another"), RawConfig(num_videos=1), place)
    assert other == edit


def test_pictures_of_neighbours_differ_so_that_a_cut_is_seen():
    config = replace(CONFIG, shots_per_video=(5, 6))
    for seed in range(8):
        edit = sample_edit(Random(seed), Random(seed), Random(seed), config, SQUARE)
        shown = [render_scene(scene) for scene in edit.scenes]
        for before_THWC, after_THWC in itertools.pairwise(shown):
            hsv = [cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV) for rgb in (before_THWC[-1], after_THWC[0])]
            assert cv2.absdiff(*hsv).mean() > 27  # the threshold of PySceneDetect's ContentDetector


def test_action_waits_for_the_end_of_transitions():
    config = replace(CONFIG, transitions=("dissolve",), families=("physics", "grid"), slate_rate=0)
    edit = sample_edit(Random(1), Random(1), Random(1), config, SQUARE)
    for shot, scene in enumerate(edit.scenes):
        frames_THWC = render_scene(scene)
        before, after = edit.overlaps(shot)
        assert scene.padding == (before, after)
        assert len(frames_THWC) == scene.num_frames == scene.world.num_frames + before + after
        assert (frames_THWC[:before] == frames_THWC[before]).all()
        assert np.array_equal(
            frames_THWC[before : before + scene.world.num_frames], families.render(scene.world)
        )


@pytest.mark.parametrize("family", FAMILY_NAMES)
@pytest.mark.parametrize(
    ("size", "fps", "alone"),
    [((16, 16), 12.0, 30), ((16, 400), 50.0, 5), ((64, 64), 12.0, 1), ((400, 16), 5.0, 2)]
)  # fmt: skip
def test_a_family_that_does_not_fit_is_replaced(family, size, fps, alone):
    place = FrameSpec(width=size[0], height=size[1], fps=fps)
    config = replace(CONFIG, families=(family,))
    scene = sample_scene(Random(0), Random(0), config, place, alone=alone, overlaps=(3, 2))
    assert scene.world.family in (family, "shapes")
    assert render_scene(scene).shape == (alone + 5, size[1], size[0], 3)
    again = sample_scene(Random(0), Random(0), config, place, alone=alone, overlaps=(3, 2))
    assert again == scene


@pytest.mark.parametrize("fields", [{"families": ("birds",)}, {"families": ()}, {"styles": ("noisy",)}])
def test_unknown_families_and_styles_are_refused(tmp_path, fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        render_raw(tmp_path / "raw", replace(CONFIG, **fields))
    assert not (tmp_path / "raw").exists()


def test_old_truth_is_still_read(tmp_path):
    config = replace(CONFIG, num_videos=2, families=("shapes",), styles=("flat",))
    render_raw(tmp_path / "raw", config)
    shapes = lines_of(truth_path(tmp_path / "raw", config))
    old = tmp_path / "truth.jsonl"
    for line in shapes:
        for shot in line["shots"]:
            del shot["world"]["family"], shot["world"]["style"]
    old.write_text("".join(json.dumps(line) + "\n" for line in shapes))
    read = load_truth(old)
    assert len(read) == len(shapes) == 2
    assert {(s.world.family, s.world.style) for shots in read.values() for s in shots} == {("shapes", "flat")}


def test_truth_of_an_unknown_family_is_refused(raw, tmp_path):
    line = lines_of(raw[1])[0]
    line["shots"][0]["world"]["family"] = "birds"
    bad = tmp_path / "truth.jsonl"
    bad.write_text(json.dumps(line) + "\n")
    with pytest.raises(ValueError, match=r"line 1.*birds"):
        load_truth(bad)
    bad.write_bytes(b"\xffnot text")
    with pytest.raises(ValueError, match=r"truth\.jsonl, line 1: not a line of truth \(UnicodeDecodeError"):
        load_truth(bad)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_captions_of_a_whole_clip_are_true(family):
    for seed in range(25):
        world = sampled(family, seed)
        clip = clip_truth(told([world]), "raw.mp4", 0.0, 2.5)
        assert clip.unobservable == ""
        score = clip.judge_caption(families.dense_caption(world, seed))
        assert (score.precision, score.recall) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("family", "why"),
    [
        ("physics", "event"),
        ("occlusion", "hidden"),
        ("canvas", "(bite is missing|not whole)"),
        ("grid", "moves"),
    ],
)
def test_a_clip_that_misses_the_action_is_not_judged(family, why):
    late = early = 0
    for seed in range(20):
        truth = told([sampled(family, seed)])
        for span in ((1.9, 2.5), (0.0, 0.3)):
            clip = clip_truth(truth, "raw.mp4", *span)
            assert clip.unobservable
            late += span[0] > 1
            early += span[0] == 0
    assert late == early == 20


def test_a_clip_of_shapes_or_rooms_is_judged_from_any_start():
    for family in ("shapes", "rooms"):
        world = sampled(family, 2)
        clip = clip_truth(told([world]), "raw.mp4", 1.0, 2.0)
        assert (clip.unobservable, clip.world.num_frames) == ("", 12)
        assert clip.judge_caption(families.dense_caption(world, 0)).recall == 1.0


def test_a_physics_clip_matches_its_pixels():
    """Where a clip is said to tell the event, the judge of videos sees it."""
    for seed in range(20):
        world = sampled("physics", seed, style="flat")
        frames_THWC = families.render(world)
        cuts = [first for first in range(12) if not families.unobservable(world, first, 30)]
        assert cuts == list(range(len(cuts)))
        assert len(cuts) >= 2
        assert families.judge(frames_THWC[cuts[-1] :], 12, world)["event"]


def test_captions_of_all_families_are_judged_and_none_is_lost(raw, tmp_path):
    """As `kinora worlds judge --caption` does, shot by shot."""
    judged = Counter()
    for line in lines_of(raw[1]):
        for shot in line["shots"]:
            text = shot["dense"] or shot["short"]
            middle_s = (shot["start_s"] + shot["end_s"]) / 2
            said = run(Config(caption=text, truth=str(raw[1]), source=line["file"], at_s=middle_s)).data
            judged[shot["world"]["family"]] += said["judged"]
            assert said["judged"] + sum(said["not_judged"].values()) == said["captions"] == 1
            if said["judged"]:
                assert said["claim_precision"] == 1.0
                assert said["families"][shot["world"]["family"]]["judged"] == 1
    assert set(judged) == set(FAMILY_NAMES)


def test_unjudged_clips_are_counted_with_reasons(tmp_path):
    world = sampled("physics", 0)
    fields = {"start_s": 1.9, "end_s": 2.5, "world_start_s": 0.0, "short": "", "dense": ""}
    truth = tmp_path / "truth.jsonl"
    truth.write_text(json.dumps({"file": "a.mp4", "shots": [fields | {"world": world.to_json()}]}) + "\n")
    said = run(Config(caption="a red circle falls", truth=str(truth), source="a.mp4", at_s=2.0))
    assert said.exit is Exit.NOTHING
    assert said.data["not_judged"] == {"physics: the event is not whole": 1}
    assert "not judged: physics" in str(said.text)


def test_held_out_pairs_are_left_out_of_every_family():
    config = replace(CONFIG, hold_out_pairs=True)
    rng, style_rng = Random(5), Random(6)
    worlds = [sample_scene(rng, style_rng, config, SQUARE, alone=24).world for _ in range(60)]
    assert {world.family for world in worlds} == set(FAMILY_NAMES)
    assert not any(families.has_unseen_pair(world) for world in worlds)
    rng, style_rng = Random(5), Random(6)
    without = [sample_scene(rng, style_rng, CONFIG, SQUARE, alone=24).world for _ in range(60)]
    assert any(families.has_unseen_pair(world) for world in without)
