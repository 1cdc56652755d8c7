"""Measure the Fréchet video distance between two sets of videos.

Legend: N videos, F features.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import monotonic
from typing import Any

import numpy as np

from kinora.evaluation.frechet import MIN_ITEMS, frechet_distance
from kinora.evaluation.video_files import ClipReader, FramePlan
from kinora.evaluation.video_network import VideoNetwork

_PROGRESS_S = 10.0
_SPAN_RATIO = 1.1
"""Largest ratio of the time that frames span in the two sets before it is noted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoFeatures:
    """Features of the videos that could be read."""

    features_NF: np.ndarray
    span_s: float
    """Median time from the first chosen frame to the last."""
    failed: tuple[tuple[str, str], ...]
    """Path and reason of each of the others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fvd:
    """The distance, and what it is worth."""

    fvd: float
    between_halves: float | None
    """Distance between every other real video and the rest: what is left where nothing differs but the
    videos that were drawn. None where the halves are too small."""
    num_real: int
    num_generated: int
    num_features: int
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "fvd": self.fvd,
            "fvd_real_halves": self.between_halves,
            "real": self.num_real,
            "generated": self.num_generated,
            "features": self.num_features,
            "notes": list(self.notes),
        }


def compute_features(
    paths: list[str], network: VideoNetwork, plan: FramePlan, progress: Callable[[str], None]
) -> VideoFeatures:
    """Compute the features of each video; one that cannot be read is recorded with the reason.

    Raises ValueError where none can be read, or the network gives vectors of several lengths.
    """
    features: list[np.ndarray] = []
    spans: list[float] = []
    failed: list[tuple[str, str]] = []
    started = printed = monotonic()
    with ClipReader(plan) as reader:
        for number, path in enumerate(paths):
            if monotonic() - printed > _PROGRESS_S:
                printed = monotonic()
                left_s = (printed - started) / number * (len(paths) - number)
                progress(f"features of {number} of {len(paths)} videos, about {left_s:.0f} s left")
            try:
                clip = reader.read(path)
            except ValueError as error:
                failed.append((path, str(error)))
                continue
            features.append(network(clip.frames_THWC))
            spans.append(clip.span_s)
    if not features:
        raise ValueError(
            f"none of {len(paths)} videos can be used; the first: {failed[0][0]}: {failed[0][1]}"
        )
    if len({len(each) for each in features}) > 1:
        raise ValueError(f"--network {network.name} returned vectors of several lengths")
    return VideoFeatures(features_NF=np.stack(features), span_s=median(spans), failed=tuple(failed))


def compute_fvd(real: VideoFeatures, generated: VideoFeatures) -> Fvd:
    """Compare two sets. Raises ValueError for fewer than 16 videos in one."""
    sizes = {"real": len(real.features_NF), "generated": len(generated.features_NF)}
    for name, size in sizes.items():
        if size < MIN_ITEMS:
            raise ValueError(
                f"{size} {name} videos are too few: give {MIN_ITEMS} or more, better 2048, of each"
            )
    halves = [real.features_NF[::2], real.features_NF[1::2]]
    can_halve = all(len(half) >= MIN_ITEMS for half in halves)
    return Fvd(
        fvd=frechet_distance(real.features_NF, generated.features_NF),
        between_halves=frechet_distance(*halves) if can_halve else None,
        num_real=sizes["real"],
        num_generated=sizes["generated"],
        num_features=real.features_NF.shape[1],
        notes=tuple(_notes(real, generated)),
    )


def _notes(real: VideoFeatures, generated: VideoFeatures) -> list[str]:
    sizes, num_features = (len(real.features_NF), len(generated.features_NF)), real.features_NF.shape[1]
    notes = []
    if min(sizes) <= num_features:
        notes.append(
            f"fewer videos than features ({num_features}): the distance comes out too large; compare it with "
            "others of as many videos alone"
        )
    elif sizes[0] != sizes[1]:
        notes.append("unequal numbers of videos: compare with others of the same two numbers alone")
    short, long = sorted([real.span_s, generated.span_s])
    if long > _SPAN_RATIO * short:
        notes.append(
            f"the frames of a real video span {real.span_s:.2f} s, of a generated one {generated.span_s:.2f} "
            "s: --fps takes both at one rate"
        )
    return notes
