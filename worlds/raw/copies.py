"""Write copies of raw files: exact, re-encoded, rescaled, letterboxed, shifted in time, and damaged.

Legend: H height, W width, C channels (RGB, uint8); boxes are (x, y, width, height).
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from fractions import Fraction
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np

from video.encode import even_side
from video.frames import read_frames
from video.probe import probe
from worlds.raw.config import RawConfig
from worlds.raw.defects import Box, letterbox
from worlds.raw.truth import Line, copied_line, timeline_of
from worlds.raw.writing import sample_format, write_picture, write_video

CRF_INCREASE = (8, 16)
"""Range of the increase in crf of a re-encoded copy."""
SCALES = (0.5, 0.6, 0.75, 1.25)
MIN_SIDE_PX = 64
"""Minimum short side of a rescaled copy."""
SHIFT_SECONDS = (0.2, 1.0)
MAX_OF_FIRST_SHOT = 0.6
"""Maximum fraction of the first shot that a shifted copy omits."""
KEPT_BYTES = (0.3, 0.9)
"""Range of the fraction of bytes that a truncated file keeps."""
MUTATED_BYTES = 0.004
"""Fraction of changed bytes in a mutated file; at least 8 bytes."""
SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".png", ".jpg")


def copy_file(out_dir: Path, config: RawConfig, originals: Sequence[Line], index: int) -> Line:
    """Write file `index` as a copy of one of `originals` and return its line of truth."""
    rng = Random(f"worlds/raw/{config.seed}/{index}/copy")
    kind = rng.choice(config.copies)
    videos = [line for line in originals if line["kind"] == "video"]
    if kind == "shifted" and not videos:
        kind = "exact"
    line = rng.choice(videos if kind == "shifted" else originals)
    source, name = out_dir / line["file"], f"raw-{index:05d}"
    if kind == "exact":
        path = out_dir / (name + source.suffix)
        shutil.copyfile(source, path)
        copied, fields = line, {}
    elif line["kind"] == "image":
        path, copied, fields = _picture(source, out_dir / name, rng, kind, line)
    else:
        path, copied, fields = _video(source, out_dir / name, rng, kind, line, config)
    return {**copied, "file": path.name, "copy_of": source.name, "copy": {"kind": kind, **fields}}


def damaged_file(out_dir: Path, config: RawConfig, originals: Sequence[Line], index: int) -> Line:
    """Write file `index` as a damaged copy and return its line of truth, which describes the whole file."""
    rng = Random(f"worlds/raw/{config.seed}/{index}/damage")
    kind, line = rng.choice(config.damages), rng.choice(originals)
    source = out_dir / line["file"]
    whole, suffix, fields = source.read_bytes(), source.suffix, {}
    content = whole
    if kind == "truncated":
        content = whole[: round(len(whole) * rng.uniform(*KEPT_BYTES))]
        fields = {"kept_bytes": len(content), "lost_bytes": len(whole) - len(content)}
    elif kind == "mutated":
        bytes_B = np.frombuffer(whole, np.uint8).copy()
        positions = sorted(rng.sample(range(len(whole)), max(8, round(len(whole) * MUTATED_BYTES))))
        bytes_B[positions] ^= np.array([rng.randint(1, 255) for _ in positions], np.uint8)
        content, fields = bytes_B.tobytes(), {"changed_bytes": len(positions), "first_changed": positions[0]}
    elif kind == "empty":
        content = b""
    elif kind == "misnamed":
        suffix = rng.choice([other for other in SUFFIXES if other != source.suffix])
        fields = {"true_suffix": source.suffix}
    path = out_dir / f"raw-{index:05d}{suffix}"
    path.write_bytes(content)
    empty_fields: Line = (
        {"num_frames": 0, "shots": [], "transitions": [], "defects": []} if kind == "empty" else {}
    )
    return {
        **line,
        **empty_fields,
        "file": path.name,
        "copy_of": source.name,
        "damage": {"kind": kind, **fields},
    }


def _video(
    source: Path, stem: Path, rng: Random, kind: str, line: Line, config: RawConfig
) -> tuple[Path, Line, dict[str, Any]]:
    """Decode the original, change its frames, and encode it in one of the configured formats."""
    timeline = timeline_of(line)
    file_format = sample_format(rng, config, timeline)
    crf = min(51, config.crf + rng.randint(*CRF_INCREASE)) if kind == "reencoded" else config.crf
    change, size_px, move, fields = _change(rng, kind, (line["width"], line["height"]))
    first = 0
    if kind == "shifted":
        max_s = min(SHIFT_SECONDS[1], MAX_OF_FIRST_SHOT * line["shots"][0]["end_s"])
        until_s = rng.uniform(min(SHIFT_SECONDS[0], max_s), max_s)
        first = sum(time_s < until_s for time_s in timeline.times_s)
        fields = {"first_frame": first, "shift_s": float(timeline.time_at(first))}
    path = stem.with_suffix(f".{file_format.container}")
    frames = (change(frame.rgb_HWC) for frame in islice(read_frames(source), first, None))
    write_video(path, frames, timeline.after(first), file_format, size_px=size_px, crf=crf)
    copied = copied_line(line, first=first, size_px=size_px, move=move, time_base=probe(path).time_base)
    copied |= asdict(file_format)
    return path, copied, {**fields, "crf": crf}


def _picture(
    source: Path, stem: Path, rng: Random, kind: str, line: Line
) -> tuple[Path, Line, dict[str, Any]]:
    """Write a changed still; a re-encoded one is a JPEG."""
    change, size_px, move, fields = _change(rng, kind, (line["width"], line["height"]))
    suffix = "jpg" if kind == "reencoded" else "png"
    path = stem.with_suffix(f".{suffix}")
    write_picture(path, change(next(read_frames(source)).rgb_HWC))
    copied = copied_line(line, first=0, size_px=size_px, move=move, time_base=Fraction(line["time_base"]))
    return path, {**copied, "container": suffix, "codec": suffix}, fields


Change = tuple[Callable[[np.ndarray], np.ndarray], tuple[int, int], Callable[[Box], Box], dict[str, Any]]
"""Change of a frame, its new (width, height), mapping of boxes, and fields for the truth file."""


def _change(rng: Random, kind: str, size_px: tuple[int, int]) -> Change:
    width, height = size_px
    if kind == "rescaled":
        scale = rng.choice([s for s in SCALES if s > 1 or s * min(size_px) >= MIN_SIDE_PX])
        new_px = even_side(width * scale), even_side(height * scale)
        across, down = new_px[0] / width, new_px[1] / height
        return (
            lambda rgb_HWC: cv2.resize(rgb_HWC, new_px, interpolation=cv2.INTER_AREA),
            new_px,
            lambda box: (
                round(box[0] * across),
                round(box[1] * down),
                round(box[2] * across),
                round(box[3] * down),
            ),
            {"scale": scale},
        )
    if kind == "letterboxed":
        bar = letterbox(size_px, rng.uniform(0.1, 0.25)).picture_px[1]
        return (
            lambda rgb_HWC: cv2.copyMakeBorder(rgb_HWC, bar, bar, 0, 0, cv2.BORDER_CONSTANT),
            (width, height + 2 * bar),
            lambda box: (box[0], box[1] + bar, box[2], box[3]),
            {"bar_px": bar},
        )
    return (lambda rgb_HWC: rgb_HWC), size_px, (lambda box: box), {}
