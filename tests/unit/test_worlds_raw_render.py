"""Raw videos agree with the truth file written beside them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from video.frames import read_clip, read_frames
from video.probe import probe
from worlds.raw.config import RawConfig
from worlds.raw.match import clip_truth, load_truth
from worlds.raw.render import frame_size, render_raw, truth_path
from worlds.shapes.judge import judge_video
from worlds.shapes.truth import World

SMALL = RawConfig(
    num_videos=8,
    shots_per_video=(2, 3),
    shot_seconds=(0.6, 0.9),
    short_side_px=48,
    slate_rate=0.5,
    still_rate=0.3,
)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    out_dir = tmp_path_factory.mktemp("worlds") / "raw"
    return out_dir, render_raw(out_dir, SMALL)


def test_raw_videos_agree_with_their_truth(raw):
    out_dir, summary = raw
    lines = [json.loads(line) for line in truth_path(out_dir, SMALL).read_text().splitlines()]
    assert sorted(path.name for path in out_dir.iterdir()) == [line["file"] for line in lines]
    assert summary.num_videos + summary.num_stills == len(lines) == 8
    assert summary.num_stills >= 1
    assert summary.num_slates >= 1
    for line in lines:
        found = probe(out_dir / line["file"])
        assert (found.width, found.height, found.kind) == (line["width"], line["height"], line["kind"])
        frames = list(read_frames(out_dir / line["file"]))
        assert len(frames) == line["num_frames"] == line["shots"][-1]["end_frame"]
        for shot, following in zip(line["shots"], line["shots"][1:], strict=False):
            assert shot["end_pts"] == following["start_pts"] == frames[following["start_frame"]].pts
            assert shot["world"]["background"] != following["world"]["background"]
        for shot in line["shots"]:
            world = World.from_json(shot["world"])
            shown = np.stack([f.rgb_HWC for f in frames[shot["start_frame"] : shot["end_frame"]]])
            assert all(judge_video(shown, world.fps, world).checks().values())


def test_the_same_seed_gives_the_same_files(raw, tmp_path):
    out_dir, _ = raw
    again = tmp_path / "again"
    render_raw(again, replace(SMALL, num_workers=2, truth_dir=str(tmp_path / "elsewhere")))
    assert (tmp_path / "elsewhere" / "truth.jsonl").read_text() == truth_path(out_dir, SMALL).read_text()
    for path in out_dir.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()


def test_a_folder_that_holds_something_is_refused(raw):
    out_dir, _ = raw
    with pytest.raises(FileExistsError, match="already holds"):
        render_raw(out_dir, SMALL)


def test_clips_find_their_truth(raw):
    out_dir, _ = raw
    truth = load_truth(truth_path(out_dir, SMALL))
    name, shots = next((n, s) for n, s in truth.items() if len(s) > 1)
    first, second = shots[:2]
    fps = second.world.fps
    clip = clip_truth(truth, f"/elsewhere/{name}", second.start_s + 2 / fps, second.end_s)
    assert clip is not None
    inside = clip.world
    assert inside.background == second.world.background
    frames_THWC = read_clip(out_dir / name)[0]
    start = round(second.start_s * fps) + 2
    if inside.things:
        assert judge_video(frames_THWC[start : start + inside.num_frames], fps, inside).color
    assert clip_truth(truth, name, first.start_s, second.end_s) is None
    with pytest.raises(KeyError, match="another run"):
        clip_truth(truth, "stranger.mp4", 0, 1)


@pytest.mark.parametrize(
    ("aspect", "size"), [("16:9", (170, 96)), ("9:16", (96, 170)), ("1:1", (96, 96)), ("4:3", (128, 96))]
)
def test_frame_size(aspect, size):
    assert frame_size(aspect, 96) == size


@pytest.mark.parametrize(
    "fields",
    [
        {"aspects": ("wide",)},
        {"shot_seconds": (3.0, 2.0)},
        {"slate_rate": 1.5},
        {"num_videos": 0},
        {"fps": ()},
    ],
)
def test_configurations_that_cannot_be_rendered(tmp_path, fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        render_raw(tmp_path / "raw", RawConfig(**({"num_videos": 1} | fields)))
