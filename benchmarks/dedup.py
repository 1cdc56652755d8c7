"""Measure precision and recall of duplicate removal on synthetic copies, by kind: `kinora bench dedup`.

Originals are curated first, then their copies; the drops of `kinora curate` are compared with the truth. A
drop is correct if its keeper shows the same moments of the same original. Precision counts the drops of both
runs, so similar originals (worlds of few colours with other shapes and directions before one background;
other spans of one film) count as false positives when dropped. A clip of a copy counts as found when it is
dropped correctly. Shots of a copy are detected anew, so its clips may differ from the original's: `whole_`
counts only those that one compared clip of the original shows to `dedup.min_coverage`, so that there is a
clip to drop them for.

Baselines: equality of whole files (`file_digest_`), and one 64-bit hash of a clip's middle frame within 10
bits, as image tools do (`one_frame_`).
"""

import hashlib
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from rich.table import Table

from benchmarks.film import film, parts
from kinora.bench.figures import Figures
from kinora.demo.clips import extract, fetch
from kinora.evaluation.intervals import wilson_low
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from pipeline.config import CurateConfig, DedupConfig
from pipeline.dedup.decisions import INELIGIBLE
from pipeline.fingerprint_format import HASHES, views_of
from pipeline.jobs.curate import curate
from video.encode import encode_mp4, even_side
from video.frames import read_frames
from video.probe import probe
from worlds.raw.config import RawConfig, wild
from worlds.raw.render import render_raw

CACHE, BENCH = Path(".cache"), Path(".bench")
NEAR = ("reencoded", "rescaled", "letterboxed", "shifted")
OVERLAYS = ("logo", "subtitled", "edged", "framed")
"""Kinds that `recall_near` and `recall_overlays` count; the others have a figure each."""
VISITOR = "visitor"
"""A lookalike: something small that moves is added, so it is another clip."""
SHIFT_S, SPEED, CROP = 0.7, 1.25, 0.04
ONE_FRAME_BITS = 10
_ORIGINAL = (None, "exact")
"""An original's clip carries the uri of its exact copy, which came later: both have one clip id."""
Change = Callable[[np.ndarray, float], np.ndarray]
"""A frame, and its time in seconds, to the frame of a copy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """Changes that make a copy."""

    change: Change = lambda rgb_HWC, time_s: rgb_HWC
    crf: int = 20
    skip_s: float = 0.0
    """Seconds omitted at the beginning."""
    speed: float = 1.0


def _rescaled(rgb_HWC: np.ndarray, time_s: float) -> np.ndarray:
    height, width = (even_side(side * 0.6) for side in rgb_HWC.shape[:2])
    return cv2.resize(rgb_HWC, (width, height), interpolation=cv2.INTER_AREA)


def _letterboxed(rgb_HWC: np.ndarray, time_s: float) -> np.ndarray:
    bar = even_side(rgb_HWC.shape[0] * 0.15)
    return cv2.copyMakeBorder(rgb_HWC, bar, bar, 0, 0, cv2.BORDER_CONSTANT)


def _cropped(rgb_HWC: np.ndarray, time_s: float) -> np.ndarray:
    down, across = (even_side(side * CROP / 2) for side in rgb_HWC.shape[:2])
    return rgb_HWC[down:-down, across:-across]


def _logo(rgb_HWC: np.ndarray, time_s: float) -> np.ndarray:
    height, width = rgb_HWC.shape[:2]
    at = int(0.84 * width), int(0.14 * height)
    return _written(rgb_HWC, "TV5", at, height / 300)


def _subtitled(rgb_HWC: np.ndarray, time_s: float) -> np.ndarray:
    height, width = rgb_HWC.shape[:2]
    lines = ("Nobody told me about it.", "", "But I saw it myself!", "Go on.")
    return _written(
        rgb_HWC, lines[int(time_s / 1.3) % 4], (int(0.1 * width), int(0.92 * height)), width / 640
    )


def _written(rgb_HWC: np.ndarray, text: str, at: tuple[int, int], size: float) -> np.ndarray:
    thick = max(1, round(3 * size))
    return cv2.putText(rgb_HWC.copy(), text, at, 0, size, (255, 255, 255), thick, cv2.LINE_AA)


def _edged(rgb_HWC: np.ndarray, time_s: float) -> np.ndarray:
    edge = max(2, even_side(rgb_HWC.shape[1] * 0.0125))
    edged_HWC = rgb_HWC.copy()
    edged_HWC[:, :edge] = edged_HWC[:, -edge:] = 0
    return edged_HWC


def _framed(rgb_HWC: np.ndarray, time_s: float) -> np.ndarray:
    bars = [even_side(side * 0.1) for side in rgb_HWC.shape[:2]]
    return cv2.copyMakeBorder(
        rgb_HWC, bars[0], bars[0], bars[1], bars[1], cv2.BORDER_CONSTANT, value=(255, 255, 255)
    )


def _visited(rgb_HWC: np.ndarray, time_s: float) -> np.ndarray:
    """Let a person cross far away: 2 % of the width, 8 % of the height, dark or bright against the ground."""
    height, width = rgb_HWC.shape[:2]
    left, top = int((0.3 + 0.04 * time_s) % 1 * width), int(0.45 * height)
    visited_HWC = rgb_HWC.copy()
    place = visited_HWC[top : top + max(3, round(0.08 * height)), left : left + max(2, round(0.02 * width))]
    place[:] = 20 if place.size == 0 or place.mean() > 110 else 230
    return visited_HWC


KINDS = {
    "reencoded": Kind(crf=34),
    "rescaled": Kind(change=_rescaled),
    "letterboxed": Kind(change=_letterboxed),
    "shifted": Kind(skip_s=SHIFT_S),
    "logo": Kind(change=_logo),
    "subtitled": Kind(change=_subtitled),
    "edged": Kind(change=_edged),
    "framed": Kind(change=_framed),
    VISITOR: Kind(change=_visited),
    "cropped": Kind(change=_cropped),
    "mirrored": Kind(change=lambda rgb_HWC, time_s: rgb_HWC[:, ::-1]),
    "faster": Kind(speed=SPEED),
}


def bench(*, quick: bool, seed: int) -> Figures:
    """Make originals and copies, curate both, and count drops."""
    with TemporaryDirectory() as folder:
        place = Path(folder)
        originals = place / "originals"
        originals.mkdir()
        copied = _worlds(place, originals, seed, *((3, 2) if quick else (24, 40)))
        if not quick:
            copied += _real(place, originals)
        config = CurateConfig()
        first = curate(str(originals), str(place / "d"), config)
        copies = place / "copies"
        copies.mkdir()
        for path in copied:
            for kind in ("exact", *KINDS):
                _copy(path, copies / f"{kind}-{path.name}", kind)
        second = curate(str(copies), str(place / "d"), config)
        dataset = Dataset.open(place / "d")
        mirrored = replace(config, dedup=replace(config.dedup, mirrored=True))
        plain = _counted(dataset)
        curate(str(copies), str(place / "d"), mirrored)
        turned = _counted(Dataset.open(place / "d"), mirrors_count=True)
        one_frame, digests = _one_frame(dataset), _digests(originals, copies)
    seconds = first.seconds["dedup"] + second.seconds["dedup"]
    figures = _figures(plain) | {"recall_mirrored_on": _share(turned.found["mirrored"])}
    figures |= {"precision_near_mirrored_on": _share(turned.near)}
    figures |= {"originals_n": first.clips, "originals_dropped": sum(_copies(first.dropped).values())}
    figures |= {
        "one_frame_precision_near": _share(one_frame[0]),
        "one_frame_recall_near": _share(one_frame[1]),
    }
    figures |= {f"file_digest_recall_{name}": _share(counts) for name, counts in digests.items()}
    figures["dedup_ms_per_clip"] = round(1000 * seconds / (first.compared + second.compared), 3)
    return Figures(figures=figures, text=_table(figures))


def _worlds(place: Path, originals: Path, seed: int, varied: int, alike: int) -> list[Path]:
    """Render worlds of every family, and many similar ones; return the former, which are copied."""
    everything = wild(RawConfig(num_videos=varied, seed=70_000 + seed, still_rate=0.08))
    formats = tuple(form for form in everything.formats if form.startswith("mp4/h264"))
    config = replace(everything, copy_rate=0.0, damage_rate=0.0, uneven_rate=0.0, formats=formats)
    config = replace(config, letterbox_rate=0.0, pillarbox_rate=0.0)
    render_raw(place / "varied", config)
    flat = RawConfig(num_videos=alike, seed=80_000 + seed, motions=("left", "right", "still"), still_rate=0.0)
    render_raw(place / "alike", replace(flat, speeds=("medium",), two_objects_prob=0.0))
    for folder in ("varied", "alike"):
        for path in sorted((place / folder).iterdir()):
            shutil.move(path, originals / f"{folder}-{path.name}")
    return sorted(originals.glob("varied-*"))


def _real(place: Path, originals: Path) -> list[Path]:
    """Add spans of a film and other real clips, scaled down to 240 lines."""
    fetch(CACHE)
    (place / "parts").mkdir()
    spans = parts(film(BENCH), place / "parts", count=12, seconds=8)
    clips = [path for path in extract(CACHE, place / "real") if path.name != "bigbuckbunny.mp4"]
    made = []
    for path in (*map(Path, spans), *clips):
        out = originals / f"real-{path.stem}{'.mp4' if path.suffix != '.jpg' else '.png'}"
        _write(path, out, lambda rgb_HWC, time_s: _to_height(rgb_HWC, 240), Kind())
        made.append(out)
    return made


def _to_height(rgb_HWC: np.ndarray, height: int) -> np.ndarray:
    width = even_side(rgb_HWC.shape[1] * height / rgb_HWC.shape[0])
    return cv2.resize(rgb_HWC, (width, height), interpolation=cv2.INTER_AREA)


def _copy(path: Path, out: Path, kind: str) -> None:
    if kind == "exact":
        shutil.copyfile(path, out)
    elif probe(path).kind == "video" or kind not in ("reencoded", "shifted", "faster", VISITOR):
        _write(path, out, KINDS[kind].change, KINDS[kind])


def _write(path: Path, out: Path, change: Change, kind: Kind) -> None:
    found = probe(path)
    if found.kind == "image":
        rgb_HWC = np.ascontiguousarray(change(next(read_frames(path)).rgb_HWC, 0.0))
        cv2.imwrite(str(out), cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2BGR))
        return
    frames = (np.ascontiguousarray(change(rgb, time_s)) for rgb, time_s in _after(path, kind.skip_s))
    encode_mp4(frames, Fraction(found.fps) * Fraction(kind.speed), out, crf=kind.crf)


def _after(path: Path, skip_s: float) -> Iterator[tuple[np.ndarray, float]]:
    begin_s = None
    for frame in read_frames(path):
        begin_s = frame.time_s if begin_s is None else begin_s
        if frame.time_s - begin_s >= skip_s - 1e-6:
            height, width = (even_side(side) for side in frame.rgb_HWC.shape[:2])
            yield frame.rgb_HWC[:height, :width], frame.time_s - begin_s


@dataclass(frozen=True, slots=True)
class Counted:
    """[correct, all] of each kind of duplicate."""

    found: dict[str, list[int]]
    """By kind of copy: clips dropped correctly."""
    whole: dict[str, list[int]]
    """The same, of the clips that one clip of the original shows as a whole."""
    near: list[int]
    exact: list[int]


def _counted(dataset: Dataset, *, mirrors_count: bool = False) -> Counted:
    """Compare drops with the truth. `mirrors_count`: mirrored copies are duplicates too."""
    view = LiveView(dataset)
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    whole: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    spans = view.clip_occurrences.to_pylist()
    at_first = {row["clip_id"] for row in spans if _kind(row) is None}
    exact = [0, 0]
    for row in spans:
        if _kind(row) == "exact":
            found["exact"][0] += row["clip_id"] in at_first
            found["exact"][1] += 1
    by_id = {row["clip_id"]: row for row in view.clips.to_pylist()}
    folded = Counter(row["clip_id"] for row in spans)
    exact[1] = sum(count - 1 for count in folded.values())
    exact[0] = exact[1] - sum(
        count - 1
        for name, count in folded.items()
        if len({_root(s) for s in spans if s["clip_id"] == name}) > 1
    )
    decided = {row["clip_id"]: row for row in view.duplicates.to_pylist()}
    kept = {row["clip_id"]: row for row in view.selections.to_pylist()}
    firsts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for name, row in by_id.items():
        if _kind(row) in _ORIGINAL and decided.get(name, {"kind": INELIGIBLE})["kind"] != INELIGIBLE:
            firsts[_root(row)].append(row)
    near = [0, 0]
    for name, row in by_id.items():
        decision, kind = decided.get(name), _kind(row)
        if decision is None or kind == "exact":
            continue  # it breaks a rule, so dedup does not compare it
        dropped = kept[name]["reason"] == "duplicate_near"
        right = dropped and _same(row, by_id[decision["keeper"]]) and (kind != "mirrored" or mirrors_count)
        if kind == VISITOR:
            right = dropped and _kind(by_id[decision["keeper"]]) == VISITOR and right
            found[kind][0] += right or not dropped
            found[kind][1] += 1
            near[0] += right
            near[1] += dropped
            continue
        near[0] += right
        near[1] += dropped
        if kind is not None:
            is_whole = any(_same(row, first, DedupConfig().min_coverage) for first in firsts[_root(row)])
            for counts in (found[kind], whole[kind])[: 1 + is_whole]:
                counts[0] += right
                counts[1] += 1
    return Counted(found=dict(found), whole=dict(whole), near=near, exact=exact)


def _same(row: dict[str, Any], keeper: dict[str, Any], share: float = 0.5) -> bool:
    """Return whether a clip's keeper shows at least this share of its moments."""
    if _root(row) != _root(keeper):
        return False
    (start, end), (first, last) = _moments(row), _moments(keeper)
    return row["kind"] == "image" or min(end, last) - max(start, first) >= share * (end - start)


def _moments(row: dict[str, Any]) -> tuple[float, float]:
    """Return a clip's start and end, in seconds of the original."""
    kind = KINDS.get(_kind(row) or "", Kind())
    unit_s = row["time_base_num"] / row["time_base_den"] * kind.speed
    return row["start_pts"] * unit_s + kind.skip_s, row["end_pts"] * unit_s + kind.skip_s


def _kind(row: dict[str, Any]) -> str | None:
    """Return a clip's kind of copy; None for an original."""
    path = Path(row["uri"])
    return path.name.split("-")[0] if path.parent.name == "copies" else None


def _root(row: dict[str, Any]) -> str:
    name = Path(row["uri"]).name
    return name if _kind(row) is None else name.split("-", 1)[1]


def _one_frame(dataset: Dataset) -> tuple[list[int], list[int]]:
    """Return [correct, all] drops and [found, all] clips of the `NEAR` kinds, by one hash per clip."""
    view = LiveView(dataset)
    names = ["clip_id", "uri", "kind", "start_pts", "end_pts", "time_base_num", "time_base_den"]
    rows = [row for row in view.read("clips", [*names, "frame_hashes"]).to_pylist() if row["frame_hashes"]]
    for row in rows:
        frames = views_of(np.frombuffer(row["frame_hashes"], HASHES))[0]
        row["hash"] = frames["hash"][len(frames) // 2]
    firsts = [row for row in rows if _kind(row) in _ORIGINAL]
    hashes_N = np.array([row["hash"] for row in firsts], np.uint64)
    precision, recall = [0, 0], [0, 0]
    for row in rows:
        kind = _kind(row)
        if kind not in _ORIGINAL and kind not in NEAR:
            continue
        bits_N = np.bitwise_count(hashes_N ^ np.uint64(row["hash"])).astype(int)
        if kind in _ORIGINAL:
            bits_N[next(i for i, first in enumerate(firsts) if first is row)] = 64
        best = int(np.argmin(bits_N))
        dropped = bits_N[best] <= ONE_FRAME_BITS
        right = bool(dropped and _same(row, firsts[best]))
        precision = [precision[0] + right, precision[1] + bool(dropped)]
        if kind not in _ORIGINAL:
            recall = [recall[0] + right, recall[1] + 1]
    return precision, recall


def _digests(originals: Path, copies: Path) -> dict[str, list[int]]:
    """Return [found, all] files by digest of their bytes."""
    known = {hashlib.md5(path.read_bytes()).hexdigest() for path in originals.iterdir()}
    counts = {"exact": [0, 0], "near": [0, 0]}
    for path in copies.iterdir():
        kind = path.name.split("-")[0]
        if name := "exact" if kind == "exact" else "near" if kind in NEAR else "":
            counts[name][0] += hashlib.md5(path.read_bytes()).hexdigest() in known
            counts[name][1] += 1
    return counts


def _copies(dropped: Any) -> dict[str, int]:
    return {reason: n for reason, n in dropped.items() if reason.startswith("duplicate_")}


def _figures(counted: Counted) -> dict[str, float]:
    near = [sum(counted.found.get(kind, [0, 0])[side] for kind in NEAR) for side in (0, 1)]
    sorts = {"precision_exact": counted.exact, "recall_exact": counted.found["exact"]}
    overlays = [sum(counted.found.get(kind, [0, 0])[side] for kind in OVERLAYS) for side in (0, 1)]
    sorts |= {"precision_near": counted.near, "recall_near": near, "recall_overlays": overlays}
    sorts |= {f"recall_{kind}": counted.found.get(kind, [0, 0]) for kind in KINDS if kind != VISITOR}
    sorts |= {f"whole_{kind}": counted.whole.get(kind, [0, 0]) for kind in (*NEAR, *OVERLAYS)}
    sorts |= {"kept_visitor": counted.found.get(VISITOR, [0, 0])}
    figures: dict[str, float] = {}
    for name, counts in sorts.items():
        figures[name], figures[f"{name}_n"] = _share(counts), counts[1]
        figures[f"{name}_low"] = round(wilson_low(*counts), 4) if counts[1] else 0.0
    return figures


def _share(counts: list[int]) -> float:
    return round(counts[0] / max(1, counts[1]), 4)


def _table(figures: dict[str, float]) -> Table:
    table = Table("", "share", "at least", "n", box=None, padding=(0, 2, 0, 0))
    for name, value in figures.items():
        if f"{name}_n" in figures:
            low, n = figures[f"{name}_low"], int(figures[f"{name}_n"])
            table.add_row(name.replace("_", " "), f"{value:.3f}", f"{low:.3f}", str(n))
        elif not name.endswith(("_n", "_low")):
            table.add_row(name.replace("_", " "), f"{value:g}")
    return table
