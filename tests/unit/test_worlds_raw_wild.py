"""Wild folders: defects, copies and damage agree with the truth for any number of workers."""

import json
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from video.errors import VideoError, VideoErrorCode
from video.frames import read_clip, read_frames
from video.probe import probe
from worlds.raw.config import COPIES, DAMAGES, TRANSITIONS, RawConfig, wild
from worlds.raw.defects import Defects, Subtitle, Watermark, letterbox
from worlds.raw.match import clip_truth, covering_shot, load_truth
from worlds.raw.render import frame_size, render_raw, truth_path

SMALL = RawConfig(
    num_videos=6,
    shots_per_video=(2, 3),
    shot_seconds=(0.7, 0.9),
    short_side_px=64,
    fps=(24.0, 25.0),
    still_rate=0,
    slate_rate=0,
    crf=8,
)


def rendered(tmp_path, config):
    render_raw(tmp_path / "raw", config)
    lines = [json.loads(text) for text in truth_path(tmp_path / "raw", config).read_text().splitlines()]
    return tmp_path / "raw", {line["file"]: line for line in lines}


@pytest.fixture(scope="module")
def crawl(tmp_path_factory):
    """A wild folder, with much that is short and small."""
    config = replace(
        wild(replace(SMALL, num_videos=48, crf=18)), transition_seconds=(0.3, 0.4), still_rate=0.1, seed=6
    )
    config = replace(config, copy_rate=0.35, damage_rate=0.25)
    return config, *rendered(tmp_path_factory.mktemp("crawl"), config)


def test_bars_are_black_and_the_picture_fills_the_rest(tmp_path):
    config = replace(SMALL, letterbox_rate=0.5, pillarbox_rate=0.5)
    folder, lines = rendered(tmp_path, config)
    kinds = set()
    for name, line in lines.items():
        x, y, width, height = line["picture_px"]
        kinds.add(line["defects"][0]["kind"])
        shown = line["shots"][0]["world"]
        assert (shown["width"], shown["height"]) == (width, height) != (line["width"], line["height"])
        inside = np.zeros((line["height"], line["width"]), bool)
        inside[y : y + height, x : x + width] = True
        frames_THWC = read_clip(folder / name)[0]
        assert frames_THWC[:, ~inside].mean() < 3
        assert np.percentile(frames_THWC[:, ~inside], 99) < 16
        if shown["background"] not in ("black", "navy"):
            first = line["shots"][0]["end_frame"] - 1
            assert frames_THWC[first, y + 2, x + 2].max() > 60
    assert kinds == {"letterbox", "pillarbox"}


def test_a_watermark_stays_as_it_is(tmp_path):
    folder, lines = rendered(tmp_path, replace(SMALL, watermark_rate=1.0))
    plain, _ = rendered(tmp_path / "without", SMALL)
    for name, line in lines.items():
        (mark,) = line["defects"]
        x, y, width, height = mark["box_px"]
        assert 0 <= x <= line["width"] - width
        assert 0 <= y <= line["height"] - height
        marked, clean = (read_clip(where / name)[0].astype(float) for where in (folder, plain))
        box = (slice(None), slice(y, y + height), slice(x, x + width))
        stamp_THWC = (marked[box] - (1 - mark["opacity"]) * clean[box]) / mark["opacity"]
        assert np.abs(stamp_THWC - stamp_THWC.mean(axis=0)).mean() < 8  # the same in every frame
        assert stamp_THWC.mean(axis=0).std() > 20  # and it shows something
        elsewhere = np.ones(marked.shape[:3], bool)
        elsewhere[:, max(0, y - 8) : y + height + 8, max(0, x - 8) : x + width + 8] = False
        assert np.abs(marked - clean)[elsewhere].mean() < 1.5


def test_subtitles_are_there_when_the_truth_says(tmp_path):
    folder, lines = rendered(tmp_path, replace(SMALL, subtitle_rate=1.0))
    plain, _ = rendered(tmp_path / "without", SMALL)
    silent = 0
    for name, line in lines.items():
        texts = [n for entry in line["defects"] for n in range(entry["start_frame"], entry["end_frame"])]
        change_T = np.abs(
            read_clip(folder / name)[0].astype(float)[:, line["height"] // 2 :]
            - read_clip(plain / name)[0][:, line["height"] // 2 :]
        ).max(axis=(1, 2, 3))
        written = np.isin(np.arange(line["num_frames"]), texts)
        assert change_T[written].min() > 100 > change_T[~written].max(initial=0)
        silent += (~written).sum()
    assert silent > 30


def test_defects_leave_pixels_elsewhere_alone():
    picture_HWC = np.full((96, 128, 3), 90, np.uint8)
    defects = Defects(
        size_px=(128, 96),
        bars=letterbox((128, 96), 0.1),
        watermark=Watermark(text="DRAFT", box_px=(80, 14, 40, 12), opacity=0.7),
        subtitles=(Subtitle(text="Where did it go?", start=3, end=5),),
    )
    x, y, width, height = defects.picture_px
    before_HWC, during_HWC = (defects.apply(picture_HWC[:height], frame) for frame in (2, 3))
    assert (x, y, width, height) == (0, 8, 128, 80)
    assert (before_HWC[:8] == 0).all()
    assert (before_HWC[-8:] == 0).all()
    assert (before_HWC[30:-8] == 90).all()
    assert np.array_equal(defects.apply(picture_HWC[:height], 5), before_HWC)
    rows = np.flatnonzero((during_HWC != before_HWC).any(axis=(1, 2)))
    assert rows.min() > 70
    assert during_HWC[rows].max() > 220


def test_a_crawl_holds_all_kinds_and_its_truth_adds_up(crawl):
    config, folder, lines = crawl
    assert sorted(path.name for path in folder.iterdir()) == list(lines)
    assert len(lines) == config.num_videos
    assert {line["copy"]["kind"] for line in lines.values() if line["copy"]} == set(COPIES)
    assert {line["damage"]["kind"] for line in lines.values() if line["damage"]} == set(DAMAGES)
    seen = Counter(line["container"] for line in lines.values())
    assert {"mp4", "mkv", "mov", "webm", "avi", "png"} <= set(seen)
    assert {cut["kind"] for line in lines.values() for cut in line["transitions"]} == set(TRANSITIONS)
    for line in lines.values():
        if line["copy_of"] is not None:
            assert lines[line["copy_of"]]["copy_of"] is None
        if line["damage"] is None:
            found, frames = probe(folder / line["file"]), list(read_frames(folder / line["file"]))
            assert (found.width, found.height) == (line["width"], line["height"])
            assert len(frames) == line["num_frames"]
            cover = [part["end_frame"] - part["start_frame"] for part in line["shots"] + line["transitions"]]
            assert sum(cover) == line["num_frames"]
            assert min(cover[: len(line["shots"])]) > 0
            assert min(entry.get("start_frame", 0) for entry in [{}, *line["defects"]]) >= 0
            late = frames[0].pts if line["container"] == "avi" else 0  # AVI holds no times
            for shot in line["shots"]:
                assert shot["start_pts"] == frames[shot["start_frame"]].pts - late
            if line["pts"] is not None:
                assert line["pts"] == [frame.pts for frame in frames]


def test_copies_look_like_their_originals(crawl):
    _, folder, lines = crawl
    for line in (line for line in lines.values() if line["copy"]):
        kind, original = line["copy"]["kind"], lines[line["copy_of"]]
        source, copy = folder / original["file"], folder / line["file"]
        if kind == "exact":
            assert copy.read_bytes() == source.read_bytes()
            continue
        assert copy.read_bytes() != source.read_bytes()
        first = line["copy"].get("first_frame", 0)
        (_, top, *_), (_, top_before, *_) = line["picture_px"], original["picture_px"]
        for number, frame in enumerate(read_frames(copy)):
            if number == 0:
                ours = list(read_frames(source))[first:]
                assert len(ours) == line["num_frames"]
            shown_HWC = frame.rgb_HWC
            if kind == "letterboxed":
                bar = top - top_before
                assert bar > 0
                assert max(shown_HWC[: bar - 2].max(), shown_HWC[2 - bar :].max()) < 20
                shown_HWC = shown_HWC[bar:-bar]
            wanted_HWC = ours[number].rgb_HWC
            if kind == "rescaled":
                assert shown_HWC.shape != wanted_HWC.shape
                wanted_HWC = cv2.resize(wanted_HWC, shown_HWC.shape[1::-1], interpolation=cv2.INTER_AREA)
            assert np.abs(shown_HWC.astype(int) - wanted_HWC).mean() < 12, (line["file"], kind, number)
        if kind == "shifted":
            assert first > 0
            assert line["num_frames"] == original["num_frames"] - first
            moved_s = original["shots"][-1]["end_s"] - line["shots"][-1]["end_s"]
            assert moved_s == pytest.approx(line["copy"]["shift_s"], abs=0.002)


def test_damaged_files_agree_with_their_truth(crawl):
    _, folder, lines = crawl
    for line in (line for line in lines.values() if line["damage"]):
        told = line["damage"]
        source, file = folder / line["copy_of"], folder / line["file"]
        whole, left = source.read_bytes(), file.read_bytes()
        if told["kind"] == "empty":
            assert left == b""
            with pytest.raises(VideoError) as raised:
                probe(file)
            assert raised.value.code is VideoErrorCode.EMPTY_FILE
            assert line["shots"] == []
        elif told["kind"] == "truncated":
            assert left == whole[: told["kept_bytes"]]
            assert 0.25 < told["kept_bytes"] / len(whole) < 0.95
        elif told["kind"] == "mutated":
            assert len(left) == len(whole)
            assert sum(a != b for a, b in zip(left, whole, strict=True)) == told["changed_bytes"] >= 8
        else:
            assert left == whole
            assert file.suffix != source.suffix == told["true_suffix"]


def test_the_number_of_workers_changes_nothing(crawl, tmp_path):
    config, _, _ = crawl
    exact = ("mp4/h264", "webm/vp9", "avi/mpeg4")  # encoders that give the same bytes also on a busy machine
    fewer = replace(config, num_videos=20, formats=exact)
    again, once = tmp_path / "again", tmp_path / "once"
    render_raw(once, fewer)
    render_raw(again, replace(fewer, num_workers=2))
    for path in once.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()
    assert truth_path(once, fewer).read_text() == truth_path(again, fewer).read_text()


def test_enabling_one_variation_does_not_change_the_worlds(tmp_path):
    _, plain = rendered(tmp_path, SMALL)
    _, other = rendered(
        tmp_path / "other", replace(SMALL, formats=("mkv/vp9",), watermark_rate=1, uneven_rate=1)
    )
    for line, changed in zip(plain.values(), other.values(), strict=True):
        for name in ("world", "short", "dense", "slate"):
            assert [shot[name] for shot in line["shots"]] == [shot[name] for shot in changed["shots"]]


def test_clips_find_their_shot_but_none_that_spans_a_transition(crawl):
    config, folder, lines = crawl
    truth = load_truth(truth_path(folder, config))
    spanning = 0
    for name, line in lines.items():
        if line["kind"] == "image" or not line["shots"]:
            continue
        for shot, true in zip(line["shots"], truth[name], strict=True):
            assert covering_shot(truth[name], shot["start_s"], shot["end_s"]) is true
            middle_s = (shot["start_s"] + shot["end_s"]) / 2
            assert covering_shot(truth[name], middle_s, middle_s + 0.02) is true
            clip = clip_truth(truth, name, middle_s, shot["end_s"])
            assert clip is not None
            assert clip.world.seed == shot["world"]["seed"]
            assert clip.world.family == shot["world"]["family"]
        for cut, before, after in zip(
            line["transitions"], line["shots"][:-1], line["shots"][1:], strict=True
        ):
            assert covering_shot(truth[name], before["start_s"], after["end_s"]) is None
            if cut["kind"] != "cut":
                spanning += 1
                # though less than a tenth of the clip lies beyond its shot
                into_s = after["start_s"] + 1 / float(Fraction(line["fps"]))
                wide = [
                    replace(t, start_s=t.start_s - 60) if t.end_s == before["end_s"] else t
                    for t in truth[name]
                ]
                assert covering_shot(wide, before["start_s"] - 60, into_s) is None
                assert covering_shot(wide, before["start_s"] - 60, cut["end_s"]) is not None
    assert spanning > 20


def test_truth_without_transitions_is_still_read(tmp_path, crawl):
    config, folder, _ = crawl
    old = tmp_path / "truth.jsonl"
    with old.open("w") as file:
        for text in truth_path(folder, config).read_text().splitlines():
            line = json.loads(text)
            for shot in line["shots"]:
                del shot["world_start_s"], shot["flashes"]
            file.write(json.dumps({"file": line["file"], "shots": line["shots"]}) + "\n")
    for shots in load_truth(old).values():
        assert all(shot.world_start_s == shot.start_s for shot in shots)


def test_wild_keeps_explicit_fields():
    asked = RawConfig(num_videos=3, transitions=("dissolve",), seed=9)
    assert wild(asked).transitions == ("dissolve",)
    assert (wild(asked).num_videos, wild(asked).seed) == (3, 9)
    assert wild(asked).copy_rate > 0


def test_wide_frames():
    assert frame_size("2.39:1", 96) == (228, 96)
    assert frame_size("1:2.39", 96) == (96, 228)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"transitions": ("wipe",)}, "transitions"),
        ({"transitions": ()}, "transitions"),
        ({"copies": ("colored",)}, "copies"),
        ({"damages": ("burned",)}, "damages"),
        ({"formats": ("webm/h264",)}, "webm/h264"),
        ({"formats": ()}, "formats"),
        ({"formats": ("avi/mpeg4",), "uneven_rate": 0.5}, "variable frame rate"),
        ({"flash_rate": -0.1}, "flash_rate"),
        ({"copy_rate": 0.7, "damage_rate": 0.7}, "copy_rate and damage_rate"),
        ({"whip_seconds": (0.4, 0.2)}, "whip_seconds"),
        ({"aspects": ("-16:9",)}, "aspects"),
        ({"formats": ("mkv/hevc",), "short_side_px": 48}, "short_side_px is 48"),
    ],
)
def test_configurations_that_make_no_sense(tmp_path, fields, problem):
    with pytest.raises(ValueError, match=problem):
        render_raw(tmp_path / "raw", RawConfig(num_videos=1, **fields))
    assert not (tmp_path / "raw").exists()
