"""Measure how reliable the judges of the families are: `python -m benchmarks.judges --vae DIR`.

For each family, style and attribute: the share of worlds that the judge accepts given their own video as
rendered, after H.264 at crf 23, and after a round trip through a video VAE (the output of `kinora train vae`
in DIR); and given the video of another world, which may match only by chance.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from trainer.checkpoints import load_vae
from trainer.sample.decode import reconstruct
from trainer.vae.model import VideoVae
from video.encode import mp4_bytes
from video.frames import read_clip
from worlds import families
from worlds.family import AnyWorld
from worlds.palette import FAMILY_NAMES, STYLES

SIDE_PX, FPS, NUM_FRAMES = 64, 12, 25
"""The number of frames is 1 more than a multiple of the VAE's time factor."""
CRF = 23
COUNT = 50
COLUMNS = ("own", "h264", "vae", "wrong")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """Acceptance rates of one attribute, from 0 to 1."""

    family: str
    style: str
    attribute: str
    own: float
    h264: float
    vae: float
    wrong: float
    count: int
    """Worlds that have the attribute."""

    def line(self) -> str:
        shares = "  ".join(f"{getattr(self, name):5.3f}" for name in COLUMNS)
        return f"{self.family:10s} {self.style:9s} {self.attribute:13s} {shares}  {self.count:4d}"


def measure(vae: VideoVae, family: str, style: str, count: int) -> list[Row]:
    """Judge `count` worlds of one family and style; return a row per attribute, in the judge's order."""
    worlds = [
        families.sample(
            family, seed, width=SIDE_PX, height=SIDE_PX, fps=FPS, num_frames=NUM_FRAMES, style=style
        )
        for seed in range(count)
    ]
    rendered = [families.render(world) for world in worlds]
    videos: dict[str, Sequence[np.ndarray]] = {
        "own": rendered,
        "h264": [read_clip(mp4_bytes(frames_THWC, FPS, crf=CRF))[0] for frames_THWC in rendered],
        "vae": list(reconstruct(vae, np.stack(rendered))),
        "wrong": [*rendered[1:], rendered[0]],
    }
    accepted = {name: _accepted(frames, worlds) for name, frames in videos.items()}
    return [
        Row(
            family=family,
            style=style,
            attribute=attribute,
            **{name: round(float(np.mean(accepted[name][attribute])), 4) for name in COLUMNS},
            count=len(verdicts),
        )
        for attribute, verdicts in accepted["own"].items()
    ]


def _accepted(videos: Sequence[np.ndarray], worlds: Sequence[AnyWorld]) -> dict[str, list[bool]]:
    """Return, for each attribute, the verdict on each world that has it."""
    verdicts: dict[str, list[bool]] = defaultdict(list)
    for frames_THWC, world in zip(videos, worlds, strict=True):
        for attribute, verdict in families.judge(frames_THWC, world.fps, world).items():
            verdicts[attribute].append(verdict)
    return verdicts


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table of at most 80 columns; with `--json`, one JSON object instead."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--vae", required=True, help="folder with vae.safetensors and vae.json")
    parser.add_argument("--count", type=int, default=COUNT, help="worlds of each family and style")
    parser.add_argument("--families", nargs="+", choices=FAMILY_NAMES, default=FAMILY_NAMES)
    parser.add_argument("--styles", nargs="+", choices=STYLES, default=STYLES)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(arguments)
    if args.count < 2:
        parser.error(f"--count is {args.count}: give 2 or more, since worlds are also judged in pairs")
    torch.set_num_threads(1)
    vae, about = load_vae(args.vae)
    rows = []
    if not args.json:
        print(f"{'family':10s} {'style':9s} {'attribute':13s} {'  '.join(f'{c:>5s}' for c in COLUMNS)}     n")
    for family in args.families:
        for style in args.styles:
            measured = measure(vae, family, style, args.count)
            rows += measured
            if not args.json:
                print(*(row.line() for row in measured), sep="\n", flush=True)
    if args.json:
        figures = [{name: getattr(row, name) for name in Row.__dataclass_fields__} for row in rows]
        print(json.dumps({"bench": "judges", "vae": about["digest"], "crf": CRF, "rows": figures}))


if __name__ == "__main__":
    main()
