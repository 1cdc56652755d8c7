"""Copies are dropped and name their keeper, lookalikes are kept, and decisions stand when data is added."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
from shot_scenes import picture

from manifests import schemas
from manifests.records import Clip, Duplicate
from pipeline.analyze.signals.fingerprint import Fingerprint
from pipeline.analyze.signals.frame_view import FrameView, Span
from pipeline.config import DedupConfig, SelectConfig
from pipeline.dedup.align import clip_frames
from pipeline.dedup.candidates import candidate_pairs, frame_table
from pipeline.dedup.decisions import MATCHES, plan_round, resolve, with_duplicates
from pipeline.dedup.exact import exact_matches
from pipeline.dedup.near import compare_pairs
from pipeline.select.select import select

Frames = Sequence[np.ndarray]
CONFIG = DedupConfig()


def film(
    seconds: float = 2.0, *, fps: int = 12, seed: int = 0, way: float = 1.0, begin_s: float = 0.0
) -> list[np.ndarray]:
    """A disc that moves over a blurred background, 96 x 160 pixels."""
    rng = np.random.default_rng(seed)
    background_HWC = cv2.GaussianBlur(rng.integers(0, 255, (96, 160, 3)).astype(np.uint8), (0, 0), 9)
    background_HWC = cv2.normalize(background_HWC, background_HWC.copy(), 40, 215, cv2.NORM_MINMAX)
    frames = []
    for index in range(round(seconds * fps)):
        across = 30 + way * 40 * (begin_s + index / fps)
        frames.append(cv2.circle(background_HWC.copy(), (round(across), 48), 18, (250, 240, 20), -1))
    return frames


def print_of(frames: Frames, fps: int = 12) -> dict[str, Any]:
    """Return the columns of a clip of all `frames`."""
    analyzer = Fingerprint(160)
    for index, rgb_HWC in enumerate(frames):
        analyzer.update(FrameView.from_rgb(rgb_HWC, index=index, time_s=index / fps, sampled=True))
    return analyzer.columns(Span(start=0, end=len(frames)))


def clip(name: str, frames: Frames, *, fps: int = 12, **other: Any) -> dict[str, Any]:
    """Return a row of the clips table."""
    height, width = frames[0].shape[:2]
    row = asdict(
        Clip(
            clip_id=name,
            source_key=name,
            source_digest=name,
            uri=f"{name}.mp4",
            kind="video" if len(frames) > 1 else "image",
            stream_index=0,
            start_pts=0,
            end_pts=len(frames),
            time_base_num=1,
            time_base_den=fps,
            num_frames=len(frames),
            height=height,
            width=width,
            analysis="a",
        )
    )
    return row | {"bytes_per_s": 1000.0} | print_of(frames, fps) | other


def run(
    clips: Sequence[dict[str, Any]],
    config: DedupConfig = CONFIG,
    decided: Sequence[dict[str, Any]] = (),
    passing: Callable[[dict[str, Any]], bool] = lambda clip: True,
) -> dict[str, dict[str, Any]]:
    """Run one round without Ray; return its decisions by clip id."""
    table = pa.Table.from_pylist(list(clips))
    known = pa.Table.from_pylist(list(decided), schema=schemas.arrow_schema(Duplicate))
    round_ = plan_round(table, pa.array([passing(row) for row in clips], pa.bool_()), known, config)
    rows = round_.clips.to_pylist()
    prints = {
        row["rank"]: clip_frames(row["frame_hashes"], row["frame_looks"], row["duration_s"])
        for row in rows
        if row["frame_hashes"]
    }
    pairs = candidate_pairs(frame_table(round_.clips, mirrored=config.mirrored)).to_pylist()
    near = compare_pairs(pairs, prints, config)
    same = exact_matches(round_.clips, config.min_coverage).select(MATCHES.names).cast(MATCHES)
    return {row["clip_id"]: row for row in resolve(round_, pa.concat_tables([same, near])).to_pylist()}


def jpeg(rgb_HWC: np.ndarray, quality: int = 25) -> np.ndarray:
    encoded = cv2.imencode(".jpg", rgb_HWC, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded


def grown(rgb_HWC: np.ndarray) -> np.ndarray:
    return cv2.resize(rgb_HWC, (160, 120))[8:-8]


def written(rgb_HWC: np.ndarray, text: str, at: tuple[int, int]) -> np.ndarray:
    return cv2.putText(rgb_HWC.copy(), text, at, 0, 0.4, (255, 255, 255), 1, cv2.LINE_AA)


def softened(rgb_HWC: np.ndarray, high: int, wide: int, luma: int) -> np.ndarray:
    """Add a border whose edge scaling has blurred."""
    bordered_HWC = cv2.copyMakeBorder(
        rgb_HWC, high, high, wide, wide, cv2.BORDER_CONSTANT, value=(luma, luma, luma)
    )
    return cv2.resize(
        cv2.resize(bordered_HWC, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA), (160, 120)
    )


def edged(rgb_HWC: np.ndarray) -> np.ndarray:
    edged_HWC = rgb_HWC.copy()
    edged_HWC[:, :2] = edged_HWC[:, -2:] = 0
    return edged_HWC


COPIES: dict[str, Callable[[Frames], Frames]] = {
    "reencoded": lambda frames: [jpeg(frame) for frame in frames],
    "rescaled": lambda frames: [
        cv2.resize(frame, (80, 48), interpolation=cv2.INTER_AREA) for frame in frames
    ],
    "letterboxed": lambda frames: [cv2.copyMakeBorder(f, 12, 12, 0, 0, cv2.BORDER_CONSTANT) for f in frames],
    "pillarboxed": lambda frames: [
        cv2.resize(cv2.copyMakeBorder(f, 0, 0, 24, 24, cv2.BORDER_CONSTANT), (160, 74)) for f in frames
    ],
    "with a logo": lambda frames: [written(f, "TV5", (130, 14)) for f in frames],
    "subtitled": lambda frames: [
        written(f, ("Nobody told me", "Go on then!")[i // 12], (20, 88)) for i, f in enumerate(frames)
    ],
    "with thin edges": lambda frames: [
        cv2.copyMakeBorder(f[2:-2], 2, 2, 0, 0, cv2.BORDER_CONSTANT) for f in frames
    ],
    "letterboxed with soft edges": lambda frames: [softened(f, 12, 0, 0) for f in frames],
    "in a white frame": lambda frames: [softened(f, 10, 16, 255) for f in frames],
    "with thin edges over it": lambda frames: [edged(f) for f in frames],
    "cropped by a little": lambda frames: [frame[1:-1, 2:-2] for frame in frames],
    "begins later": lambda frames: frames[5:],
    "ends earlier": lambda frames: frames[:-5],
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_dropped_and_names_its_keeper(kind):
    original = film()
    rows = run([clip("original", original), clip("copy", COPIES[kind](original), width=32)])
    assert rows["original"]["kind"] == "none"
    assert (rows["copy"]["kind"], rows["copy"]["keeper"]) == ("near", "original")
    assert rows["copy"]["distance"] <= CONFIG.max_distance
    assert rows["copy"]["offset_s"] == pytest.approx(5 / 12 if kind == "begins later" else 0, abs=0.04)
    assert "of original: " in rows["copy"]["detail"]


def test_another_frame_rate_is_a_copy():
    rows = run([clip("a", film(fps=24), fps=24), clip("b", film(fps=10), fps=10, width=32)])
    assert rows["b"]["keeper"] == "a"


@pytest.mark.parametrize(
    "other",
    [film(way=-1.0, begin_s=-2.0), film(way=0.0), film(way=2.0), film(seed=1)],
    ids=["moves the other way", "stands still", "moves faster", "before something else"],
)
def test_a_lookalike_is_kept(other):
    assert {row["kind"] for row in run([clip("a", film()), clip("b", other)]).values()} == {"none"}


@pytest.mark.parametrize(
    ("x", "y", "speed"),
    [(60, 40, 4.0), (30, 60, 1.0), (90, 80, -12.0), (75, 30, 0.0), (60, 89, 12.0), (70, 0, 8.0)],
)
def test_a_far_off_person_makes_another_clip(x, y, speed):
    """A few pixels on a background that stands still, in one clip only."""
    original = film(way=0.0)
    other = [frame.copy() for frame in original]
    for index, frame_HWC in enumerate(other):
        left = round(x + speed * index / 12)
        frame_HWC[y : y + 7, left : left + 3] = (20, 20, 30)
    assert {row["kind"] for row in run([clip("a", original), clip("b", other)]).values()} == {"none"}
    assert {row["kind"] for row in run([clip("a", other), clip("b", original)]).values()} == {"none"}


def test_two_things_before_a_plain_ground_are_no_overlays():
    """Where nothing but the thing near an edge can be compared, it is not taken for a logo."""
    plain = np.full((96, 160, 3), 120, np.uint8)
    clips = []
    for name, color in (("a", (200, 60, 60)), ("b", (60, 60, 200))):
        frames = [cv2.circle(plain.copy(), (140, 14), 9, color, -1) for _ in range(24)]
        clips.append(clip(name, frames))
    assert {row["kind"] for row in run(clips).values()} == {"none"}


def test_another_colour_is_another_clip():
    other = [cv2.circle(f.copy(), (120, 60), 12, (20, 200, 240), -1) for f in film()]
    one = [cv2.circle(f.copy(), (120, 60), 12, (240, 150, 130), -1) for f in film()]
    assert {row["kind"] for row in run([clip("a", one), clip("b", other)]).values()} == {"none"}


def test_mirrored_copies_are_dropped_if_turned_on():
    clips = [clip("a", film()), clip("b", [frame[:, ::-1] for frame in film()], width=32)]
    assert run(clips)["b"]["kind"] == "none"
    row = run(clips, DedupConfig(mirrored=True))["b"]
    assert (row["kind"], row["keeper"]) == ("near", "a")
    assert "mirrored" in row["detail"]


def flashing(begin: int) -> list[np.ndarray]:
    """A scene with a flash of one frame and a jump, from a frame on."""
    frames = [picture(2, 0.2 * at + 30 * (at > 41)) for at in range(60)]
    frames[25] = 150 + frames[25] // 3
    return frames[begin:]


def fast(begin: int) -> list[np.ndarray]:
    """A camera that turns fast at first: a frame at 8 a second looks where none of another copy looks."""
    return [picture(3, 9.0 * min(at, 30)) for at in range(begin, 75)]


@pytest.mark.parametrize("make", [flashing, fast])
@pytest.mark.parametrize("begin", [1, 4, 5, 7])
def test_a_copy_that_begins_later_is_seen_at_other_moments(make, begin):
    rows = run([clip("a", make(0), fps=25), clip("b", make(begin), fps=25, width=32)])
    assert (rows["b"]["kind"], rows["b"]["keeper"]) == ("near", "a")


def test_a_short_clip_that_stands_still_keeps_its_shift():
    """Its copy gets better with time, so that the least differs where its first frames are left out."""
    frames = [picture(4)] * 16
    copies = [frame.copy() for frame in frames]
    for rgb_HWC in copies[:6]:
        rgb_HWC[:18] += 1
    rows = run([clip("a", frames, fps=25), clip("b", copies, fps=25, width=32)])
    assert (rows["b"]["kind"], rows["b"]["offset_s"]) == ("near", 0.0)


@pytest.mark.parametrize("begin", [0, 4])
def test_the_same_scene_turned_the_other_way_is_another_clip(begin):
    turned = [picture(3, 270 - 9.0 * min(at, 30)) for at in range(begin, 75)]
    rows = run([clip("a", fast(0), fps=25), clip("b", turned, fps=25, width=32)])
    assert {row["kind"] for row in rows.values()} == {"none"}


def test_a_copy_may_be_darker_by_what_conversions_round():
    frames = [(90 + 0.2 * (frame.astype(np.float32) - 90)).astype(np.uint8) for frame in film()]
    darker = [frame - np.uint8(3) for frame in frames]
    assert run([clip("a", frames), clip("b", darker, width=32)])["b"]["kind"] == "near"


def test_blank_frames_match_nothing():
    black, gray = np.zeros((48, 64, 3), np.uint8), np.full((48, 64, 3), 128, np.uint8)
    assert print_of([black] * 12) == {"frame_hashes": None, "frame_looks": None}
    rows = run([clip("a", [black] * 12), clip("b", [black] * 12), clip("c", [gray] * 12), clip("d", [gray])])
    assert {row["kind"] for row in rows.values()} == {"none"}
    faded = [np.zeros((96, 160, 3), np.uint8)] * 30
    rows = run([clip("a", [*film(0.6), *faded]), clip("b", [*film(0.6), *faded])])  # too little to prove it
    assert rows["b"]["kind"] == "none"


def test_a_still_is_a_copy_of_another_still_only():
    picture = film()[0]
    rows = run([clip("a", [picture]), clip("b", [jpeg(picture)], width=32), clip("c", film(seed=3)[:1])])
    assert (rows["b"]["kind"], rows["b"]["keeper"], rows["c"]["kind"]) == ("near", "a", "none")
    assert run([clip("a", [picture]), clip("b", [picture] * 12)])["a"]["kind"] == "none"


def test_an_excerpt_is_dropped_but_never_the_longer_clip_for_a_better_excerpt():
    long, excerpt = film(4.0), film(1.5, begin_s=1.0)
    row = run([clip("long", long), clip("excerpt", excerpt)])["excerpt"]
    assert (row["kind"], row["keeper"]) == ("near", "long")
    assert row["offset_s"] == pytest.approx(1.0, abs=0.04)
    rows = run([clip("long", long, width=32), clip("excerpt", excerpt)])
    assert {row["kind"] for row in rows.values()} == {"none"}


def test_equal_spans_of_equal_bytes_are_exact_copies():
    frames = film()
    clips = [
        clip("a", frames, source_digest="d"),
        clip("b", frames[2:], source_digest="d", start_pts=2, end_pts=24),
    ]
    row = run(clips)["b"]
    assert (row["kind"], row["keeper"], row["distance"]) == ("exact", "a", 0)
    assert row["offset_s"] == pytest.approx(2 / 12)
    assert "b" in run(clips, passing=lambda clip: clip["clip_id"] == "b")


def test_the_outcome_does_not_depend_on_the_order():
    clips = [
        clip(f"{seed}-{kind}", change(film(seed=seed)), bytes_per_s=100.0 * len(kind))
        for seed in range(3)
        for kind, change in COPIES.items()
    ]
    first = run(clips)
    assert sum(row["kind"] == "none" for row in first.values()) == 3
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(clips))
        assert run([clips[index] for index in order]) == first


def test_keepers_stay_when_a_better_copy_arrives():
    small = [cv2.resize(frame, (80, 48), interpolation=cv2.INTER_AREA) for frame in film()]
    first = [clip("small", small)]
    decided = [*run(first).values()]
    both = [*first, clip("large", film())]
    later = run(both, decided=decided)
    assert [*later] == ["large"]
    assert (later["large"]["kind"], later["large"]["keeper"]) == ("near", "small")
    assert run(both, decided=[*decided, *later.values()]) == {}
    best = run(both, DedupConfig(prefer="best"), decided=decided)
    assert (best["large"]["kind"], best["small"]["keeper"]) == ("none", "large")


def test_a_copy_becomes_keeper_when_its_keeper_breaks_a_rule():
    clips = [clip("a", film()), clip("b", film(), width=32)]
    decided = run(clips)
    assert decided["b"]["keeper"] == "a"
    later = run(clips, decided=[*decided.values()], passing=lambda clip: clip["clip_id"] == "b")
    assert {name: row["kind"] for name, row in later.items()} == {"a": "out", "b": "none"}
    again = run(clips, decided=[*later.values()])
    assert (again["a"]["kind"], again["a"]["keeper"]) == ("near", "b")  # b was kept first


def test_select_drops_copies_and_repeats_the_decision_when_they_change():
    clips = [clip("a", film()), clip("b", film(), width=40)]
    table = pa.Table.from_pylist(clips)
    decided = pa.Table.from_pylist([*run(clips).values()], schema=schemas.arrow_schema(Duplicate))
    none = decided.slice(0, 0)
    before = select(with_duplicates(table, none, CONFIG), SelectConfig()).to_pylist()
    after = select(with_duplicates(table, decided, CONFIG), SelectConfig()).to_pylist()
    assert [row["reason"] for row in before] == ["kept", "kept"]
    assert [row["reason"] for row in after] == ["kept", "duplicate_near"]
    assert after[1]["detail"].startswith("of a: ")
    assert before[0]["rules"] == after[0]["rules"]
    assert before[1]["rules"] != after[1]["rules"]
    assert (
        select(with_duplicates(table, decided, DedupConfig(near=False)), SelectConfig()).to_pylist() == before
    )
