"""Measure how far the judges of the families can be trusted: `python -m benchmarks.judges --vae DIR`.

For each family, style and attribute: the share of worlds of which the judge says yes, shown their own video
as drawn, after H.264 at crf 23, and after a round trip through a video compression network (what `kinora
train vae` wrote to DIR); and shown the video of another world, where yes is right only by chance.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from trainer.checkpoints import load_vae
from trainer.sample import reconstruct
from trainer.vae.model import VideoVae
from video.encode import mp4_bytes
from video.frames import read_clip
from worlds import families
from worlds.family import AnyWorld
from worlds.palette import FAMILY_NAMES, STYLES

SIDE_PX, FPS, NUM_FRAMES = 64, 12, 25
"""Frames are 1 more than a multiple of the compression network's time factor."""
CRF = 23
COUNT = 50
COLUMNS = ("own", "h264", "vae", "wrong")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """How often a judge says yes about one attribute, from 0 to 1."""

    family: str
    style: str
    attribute: str
    own: float
    h264: float
    vae: float
    wrong: float
    count: int
    """Worlds that have the attribute; as many with another's video, at most."""

    def line(self) -> str:
        shares = "  ".join(f"{getattr(self, name):5.3f}" for name in COLUMNS)
        return f"{self.family:10s} {self.style:9s} {self.attribute:13s} {shares}  {self.count:4d}"


def measure(vae: VideoVae, family: str, style: str, count: int) -> list[Row]:
    """Judge `count` worlds of one family and style; return a row for each attribute, in the judge's order."""
    worlds = [
        families.sample(
            family, seed, width=SIDE_PX, height=SIDE_PX, fps=FPS, num_frames=NUM_FRAMES, style=style
        )
        for seed in range(count)
    ]
    drawn = [families.render(world) for world in worlds]
    shown: dict[str, Sequence[np.ndarray]] = {
        "own": drawn,
        "h264": [read_clip(mp4_bytes(frames_THWC, FPS, crf=CRF))[0] for frames_THWC in drawn],
        "vae": list(reconstruct(vae, np.stack(drawn))),
        "wrong": [*drawn[1:], drawn[0]],
    }
    yes = {name: _yes(videos, worlds) for name, videos in shown.items()}
    return [
        Row(
            family=family,
            style=style,
            attribute=attribute,
            **{name: round(float(np.mean(yes[name][attribute])), 4) for name in COLUMNS},
            count=len(said),
        )
        for attribute, said in yes["own"].items()
    ]


def _yes(videos: Sequence[np.ndarray], worlds: Sequence[AnyWorld]) -> dict[str, list[bool]]:
    """Return, for each attribute, what is said of each world that has it."""
    said: dict[str, list[bool]] = defaultdict(list)
    for frames_THWC, world in zip(videos, worlds, strict=True):
        for attribute, right in families.judge(frames_THWC, world.fps, world).items():
            said[attribute].append(right)
    return said


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table of at most 80 columns; with `--json`, one JSON object instead."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--vae", required=True, help="folder with vae.safetensors and vae.json")
    parser.add_argument("--count", type=int, default=COUNT, help="worlds of each family and style")
    parser.add_argument("--families", nargs="+", choices=FAMILY_NAMES, default=FAMILY_NAMES)
    parser.add_argument("--styles", nargs="+", choices=STYLES, default=STYLES)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args(arguments)
    if given.count < 2:
        parser.error(f"--count is {given.count}: give 2 or more, so that there is another world's video")
    torch.set_num_threads(1)
    vae, about = load_vae(given.vae)
    rows = []
    if not given.json:
        print(f"{'family':10s} {'style':9s} {'attribute':13s} {'  '.join(f'{c:>5s}' for c in COLUMNS)}     n")
    for family in given.families:
        for style in given.styles:
            measured = measure(vae, family, style, given.count)
            rows += measured
            if not given.json:
                print(*(row.line() for row in measured), sep="\n", flush=True)
    if given.json:
        figures = [{name: getattr(row, name) for name in Row.__dataclass_fields__} for row in rows]
        print(json.dumps({"bench": "judges", "vae": about["digest"], "crf": CRF, "rows": figures}))


if __name__ == "__main__":
    main()
