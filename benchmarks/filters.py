"""Measure precision and recall of the filters on videos with known defects: `kinora bench filters`.

Three kinds of files: raw videos of worlds, whose truth lists bars, slates and flashes; clips with one
synthetic defect; and known camera moves, over painted grounds and in the worlds of `rooms`. All are encoded
and analysed as sources are. A defect counts as detected where the clip breaks the rule of the preset
`standard`.
"""

import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np

from kinora.bench.figures import Figures
from kinora.evaluation.intervals import wilson_low
from pipeline.analyze.signals.columns import create_analyzers
from pipeline.analyze.signals.frame_view import FrameView
from pipeline.analyze.task import analyze_file
from pipeline.config import AnalyzeConfig, CutConfig, SelectConfig
from pipeline.cut.crop import crop_of
from pipeline.select.rules import check_rules
from pipeline.sources.stat import stat_source
from video.config import SandboxConfig
from video.encode import encode_mp4
from video.frames import read_frames
from worlds.families import render, sample
from worlds.raw.config import RawConfig, wild
from worlds.raw.render import render_raw, truth_path

FPS, SIZE = 24, (144, 256)
STANDARD = SelectConfig(preset="standard", max_black=0.5)
"""The truth calls a clip black when most of it is a slate, so the limit is half."""
ANALYZE = AnalyzeConfig()
Clip = dict[str, Any]


@dataclass(kw_only=True)
class Counts:
    """Confusion counts of one filter."""

    correct: int = 0
    predicted: int = 0
    true: int = 0
    n: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, predicted: bool, true: bool, name: str = "") -> None:
        self.correct += predicted and true
        self.predicted += predicted
        self.true += true
        self.n += 1
        if predicted != true:
            self.wrong.append(f"{name} {'false alarm' if predicted else 'missed'}")


Table = defaultdict[str, Counts]


def bench(*, quick: bool, seed: int) -> Figures:
    """Measure all filters on files drawn from `seed`."""
    cv2.setNumThreads(1)
    counts: Table = defaultdict(Counts)
    with tempfile.TemporaryDirectory() as folder:
        wild_files(Path(folder), 6 if quick else 100, seed, counts)
        made_defects(Path(folder), 2 if quick else 40, seed, counts)
        camera_moves(Path(folder), 1 if quick else 25, seed, counts)
        room_moves(Path(folder), 4 if quick else 100, seed, counts)
        cost = analyzers_ms(Path(folder), seed)
    figures: dict[str, float] = {}
    lines = ["filter            precision    low  recall    low   true      n"]
    for name, count in sorted(counts.items()):
        shares = {"precision": (count.correct, count.predicted), "recall": (count.correct, count.true)}
        for kind, (correct, n) in shares.items():
            figures[f"{name}_{kind}"] = round(correct / n, 4) if n else 0.0
            figures[f"{name}_{kind}_low"] = round(wilson_low(correct, n), 4)
        figures |= {f"{name}_true": count.true, f"{name}_said": count.predicted, f"{name}_n": count.n}
        row = [figures[f"{name}_{kind}"] for kind in ("precision", "precision_low", "recall", "recall_low")]
        numbers = f"{row[0]:9.3f} {row[1]:6.3f} {row[2]:7.3f} {row[3]:6.3f}"
        lines.append(f"{name:17s} {numbers} {count.true:6d} {count.n:6d}")
        lines += [f"    {wrong}"[:80] for wrong in count.wrong[:6]]
    figures["analyzers_ms_per_frame"] = round(cost, 4)
    lines.append(f"analyzers but shots: {cost:.3f} ms a frame of 160x90 (processor time)")
    return Figures(figures=figures, text="\n".join(lines))


def clips_of(path: Path) -> list[Clip]:
    """Analyse one file as curation does; return its clips."""
    return list(analyze_file(stat_source(str(path)), ANALYZE, SandboxConfig()).clips)


def breaks(clip: Clip, reason: str) -> bool:
    """Return whether a clip breaks the rule with this reason."""
    return any(check.broken for check in check_rules(clip, STANDARD) if check.rule.reason == reason)


def wild_files(folder: Path, num_videos: int, seed: int, counts: Table) -> None:
    """Count bars, slates and flashes of raw videos by clip. No file is damaged."""
    config = RawConfig(
        num_videos=num_videos,
        seed=seed,
        damage_rate=1e-9,
        letterbox_rate=0.2,
        pillarbox_rate=0.2,
        flash_rate=0.2,
        slate_rate=0.2,
        num_workers=2,
    )
    config = wild(config)
    raw = folder / "raw"
    render_raw(raw, config)
    for text in truth_path(raw, config).read_text().splitlines():
        line = json.loads(text)
        for clip in clips_of(raw / line["file"]):
            _wild_clip(clip, line, counts)


def _wild_clip(clip: Clip, line: dict[str, Any], counts: Table) -> None:
    name = f"{line['file']} at {clip['start_pts']}"
    x, y, width, height = line["picture_px"]
    crop = crop_of(clip, CutConfig())
    slate = _within(clip, [shot for shot in line["shots"] if shot["slate"]])
    if not slate:  # a black picture has no borders
        letterboxed, pillarboxed = height < line["height"], width < line["width"]
        subtitled = any(defect["kind"] == "subtitle" for defect in line["defects"])
        bars = "letterbox_subtitled" if subtitled else "letterbox"
        counts[bars].add(bool(clip["border_top"] and clip["border_bottom"]), letterboxed, name)
        counts["pillarbox"].add(bool(clip["border_left"] and clip["border_right"]), pillarboxed, name)
        if crop and (letterboxed or pillarboxed):
            step = 2 * max(1.0, line["width"] / ANALYZE.analysis_width_px) + 1
            cropped = (
                crop[0] - x,
                crop[1] - y,
                x + width - crop[0] - crop[2],
                y + height - crop[1] - crop[3],
            )
            counts["crop_is_exact"].add(all(0 <= each <= step for each in cropped), True, f"{name} {cropped}")
    if clip["kind"] == "video":
        is_marked = any(defect["kind"] in ("watermark", "subtitle") for defect in line["defects"])
        counts["black_marked" if is_marked else "black"].add(breaks(clip, "black"), slate, name)
        flashes = [flash for shot in line["shots"] for flash in shot["flashes"]]
        counts["flash"].add(bool(clip["flashes"]), any(_contains(clip, flash) for flash in flashes), name)


def _within(clip: Clip, spans: Iterable[dict[str, Any]]) -> bool:
    """Return whether more than half of a clip lies in one of the spans."""
    length = clip["end_pts"] - clip["start_pts"]
    overlaps = [min(clip["end_pts"], s["end_pts"]) - max(clip["start_pts"], s["start_pts"]) for s in spans]
    return max(overlaps, default=0) > 0.5 * length


def _contains(clip: Clip, span: dict[str, Any]) -> bool:
    return clip["start_pts"] < span["start_pts"] and span["end_pts"] < clip["end_pts"]


DEFECTS: dict[str, Callable[[list[np.ndarray], Random], list[np.ndarray]]] = {
    "frozen": lambda frames, rng: frames[:20] + [frames[20]] * rng.randint(60, 90) + frames[21:],
    "blurred": lambda frames, rng: [_blur(frame, rng.uniform(4, 8)) for frame in frames],
    "blank": lambda frames, rng: _flat(frames, rng),
    "underexposed": lambda frames, rng: _dim(frames, rng.uniform(0.03, 0.08)),
    "overexposed": lambda frames, rng: _bleach(frames, rng.uniform(4, 10)),
}

IMPLIED = {
    "blank": {"frozen", "underexposed", "overexposed"},
    "underexposed": {"blank", "frozen"},
    "overexposed": {"blank", "frozen"},
}
"""Other rules that a clip with a defect may break."""


def made_defects(folder: Path, per_kind: int, seed: int, counts: Table) -> None:
    """Encode moving paintings with one defect each, and some without; count all rules."""
    for kind in (*DEFECTS, "none"):
        for number in range(per_kind):
            rng = Random(f"benchmarks/filters/{seed}/{kind}/{number}")
            frames = list(move_over(painting(rng), {"right": rng.uniform(-40, 40), "zoom": 0.05}, 2.5, rng))
            path = folder / "defect.mp4"
            encode_mp4(DEFECTS[kind](frames, rng) if kind in DEFECTS else frames, FPS, path)
            for clip in clips_of(path):
                for reason in DEFECTS.keys() - IMPLIED.get(kind, set()):
                    counts[reason].add(breaks(clip, reason), reason == kind, f"{kind} {number}")


def _blur(frame_HWC: np.ndarray, sigma_px: float) -> np.ndarray:
    return cv2.GaussianBlur(frame_HWC, (0, 0), sigma_px)


def _dim(frames: list[np.ndarray], share: float) -> list[np.ndarray]:
    """Scale the brightness."""
    return [np.rint(frame * share).astype(np.uint8) for frame in frames]


def _bleach(frames: list[np.ndarray], gain: float) -> list[np.ndarray]:
    """Overexpose by `gain`."""
    return [np.clip(frame * gain, 0, 255).astype(np.uint8) for frame in frames]


def _flat(frames: list[np.ndarray], rng: Random) -> list[np.ndarray]:
    color = [rng.randint(0, 255) for _ in range(3)]
    return [np.full_like(frame, color) for frame in frames]


MOVES: dict[str, dict[str, float]] = {
    "static": {},
    "pan_right": {"right": -1},
    "pan_left": {"right": 1},
    "tilt_up": {"down": 1},
    "tilt_down": {"down": -1},
    "zoom_in": {"zoom": 1},
    "zoom_out": {"zoom": -1},
    "roll": {"turn": 1},
    "handheld": {"shake": 1},
}
"""Picture motion of each class of camera motion."""
UNITS = {"right": (10, 90), "down": (8, 60), "zoom": (0.08, 0.4), "turn": (4, 20), "shake": (0.5, 1.5)}
"""Slowest and fastest: pixels, log scale, degrees per second; `shake` in pixels per frame."""


def camera_moves(folder: Path, per_class: int, seed: int, counts: Table) -> None:
    """Move a camera over painted grounds; half of the clips have an object that moves by itself."""
    for name, move in MOVES.items():
        for number in range(per_class):
            rng = Random(f"benchmarks/filters/{seed}/camera/{name}/{number}")
            rates = {way: sign * rng.uniform(*UNITS[way]) for way, sign in move.items()}
            if name == "roll":
                rates["turn"] *= rng.choice((-1, 1))
            frames = move_over(painting(rng), rates, 2.0, rng)
            if number % 2:
                frames = _with_object(frames, rng)
            path = folder / "camera.mp4"
            encode_mp4(frames, FPS, path)
            for clip in clips_of(path):
                for camera in MOVES:
                    counts[f"camera_{camera}"].add(
                        clip["camera"] == camera, camera == name, f"{name} {number} ({clip['camera']})"
                    )


def room_moves(folder: Path, count: int, seed: int, counts: Table) -> None:
    """Classify the camera's motion in the worlds of `rooms`: pans, dollies, stills. Orbits have no class."""
    classes = {"pan left": "pan_left", "pan right": "pan_right", "dolly in": "zoom_in"}
    classes |= {"dolly out": "zoom_out", "still": "static"}
    for number in range(count):
        height, width = SIZE
        given = seed * 10_000 + number
        world = sample("rooms", given, height=height, width=width, fps=FPS, num_frames=48, style="textured")
        name = classes.get(world.to_json()["camera"])
        if name is None:
            continue
        path = folder / "room.mp4"
        encode_mp4(render(world), FPS, path)
        for clip in clips_of(path):
            if clip["camera"] is None:
                counts["rooms_measured"].add(False, True, f"{number} {name}")
                continue
            counts["rooms_measured"].add(True, True)
            counts["rooms_camera"].add(clip["camera"] == name, True, f"{number} {name} ({clip['camera']})")


def painting(rng: Random) -> np.ndarray:
    """Paint a large ground: smooth noise at a random scale, and ellipses of many sizes."""
    noise = np.random.default_rng(rng.getrandbits(63))
    noise_HWC = noise.integers(40, 215, (rng.randint(16, 48), rng.randint(24, 72), 3)).astype(np.uint8)
    picture_HWC = cv2.resize(noise_HWC, (1024, 768), interpolation=cv2.INTER_CUBIC)
    for _ in range(rng.randint(60, 160)):
        center = rng.randrange(1024), rng.randrange(768)
        axes = rng.randint(4, 50), rng.randint(4, 50)
        color = [rng.randint(30, 225) for _ in range(3)]
        cv2.ellipse(picture_HWC, center, axes, rng.uniform(0, 180), 0, 360, color, -1, cv2.LINE_AA)
    return picture_HWC


def move_over(
    picture_HWC: np.ndarray, rates: dict[str, float], seconds: float, rng: Random
) -> Iterator[np.ndarray]:
    """Yield frames of a window that moves over a picture at constant rates, with optional shake."""
    height, width = SIZE
    x = y = 0.0
    for index in range(round(seconds * FPS)):
        now = index / FPS
        x, y = x + rng.gauss(0, rates.get("shake", 0)), y + rng.gauss(0, rates.get("shake", 0))
        growth = float(np.exp(rates.get("zoom", 0) * now)) * 0.9
        matrix = cv2.getRotationMatrix2D((512, 384), -rates.get("turn", 0) * now, growth)
        matrix[:, 2] += width / 2 - 512 + x + rates.get("right", 0) * now, height / 2 - 384 + y
        matrix[1, 2] += rates.get("down", 0) * now
        yield cv2.warpAffine(picture_HWC, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)


def _with_object(frames: Iterable[np.ndarray], rng: Random) -> Iterator[np.ndarray]:
    color, radius = [rng.randint(0, 255) for _ in range(3)], rng.randint(10, 28)
    x, y, speed = rng.randint(20, 100), rng.randint(40, 110), rng.uniform(20, 80)
    for index, frame_HWC in enumerate(frames):
        shown_HWC = np.ascontiguousarray(frame_HWC)
        yield cv2.circle(shown_HWC, (round(x + speed * index / FPS), y), radius, color, -1, cv2.LINE_AA)


def analyzers_ms(folder: Path, seed: int) -> float:
    """Return the processor time of all analyzers except the shot detector, in milliseconds per frame."""
    rng = Random(f"benchmarks/filters/{seed}/cost")
    encode_mp4(move_over(painting(rng), {"right": 30}, 5.0, rng), FPS, folder / "cost.mp4")
    measuring, looks = create_analyzers(ANALYZE), []
    for index, frame in enumerate(read_frames(str(folder / "cost.mp4"), size_px=(90, 160))):
        sampled = index % round(FPS / ANALYZE.samples_per_s) == 0
        looks.append(FrameView.from_rgb(frame.rgb_HWC, index=index, time_s=frame.time_s, sampled=sampled))
    begun = time.process_time()
    for each in looks:
        for analyzer in measuring:
            analyzer.update(each)
    return (time.process_time() - begun) / len(looks) * 1000
