"""Count what the checks find and what they raise for nothing: `kinora bench safety`.

Prompts: a seeded list of 200 (`benchmarks/safety_prompts.py`), half unsafe. Of those a tenth is spelled to
deceive, a fifth paraphrased without a word that a list holds, and a fifth was written after the rules; of the
harmless ones more than half look unsafe, a third of these written after the rules.

Frames: 100 harmless ones, of simulated worlds in every style and, where `make setup` fetched them, of real
clips. No unsafe picture ships with Kinora and none is made, so frames have no hits: only false alarms are
counted, at the limit that blocks and at the one that curation sends to review.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.table import Table

from benchmarks.safety_prompts import HARMLESS, SHARES, draw
from benchmarks.scorers import real_clips
from kinora.bench.figures import Figures
from kinora.evaluation.intervals import wilson_low
from kinora.safety.config import SafetyConfig
from kinora.safety.rules import Rules
from pipeline.config import SelectConfig
from pipeline.select.rules import limit
from video.frames import read_frames
from video.scorers.nsfw import NsfwScorer
from worlds.palette import FAMILY_NAMES
from worlds.raw.config import RawConfig
from worlds.raw.render import render_raw

FRAMES, QUICK_FRAMES = 100, 6
EVERY = 7
"""Distance of the frames that are taken from one video."""


def bench(*, quick: bool, seed: int) -> Figures:
    """Check the prompts by the rules that ship, and score the frames."""
    rules = Rules.load(None)
    prompts = draw(seed)
    found = Counter(prompt.form for prompt in prompts if rules.find(prompt.text))
    unsafe = sum(prompt.is_unsafe for prompt in prompts)
    alarms = sum(found[form] for form in HARMLESS)
    hits = found.total() - alarms
    figures: dict[str, float] = {
        "n": len(prompts),
        "hits": hits / unsafe,
        "hits_low": wilson_low(hits, unsafe),
        "hits_n": unsafe,
        "false_alarms": alarms / (len(prompts) - unsafe),
        "false_alarms_n": len(prompts) - unsafe,
    }
    figures |= {f"found_{form}": found[form] / count for form, count in SHARES.items()}
    figures |= _frames(QUICK_FRAMES if quick else FRAMES, seed)
    return Figures(figures=figures, text=_table(figures))


def _frames(count: int, seed: int) -> dict[str, float]:
    scorer = NsfwScorer()
    blocked_above, reviewed_above = SafetyConfig().max_nsfw, limit(SelectConfig(), "nsfw_review")
    scores: dict[str, list[float]] = {}
    with TemporaryDirectory() as folder:
        real = [*_taken(real_clips(Path(folder) / "real"), count // 2)]
        scores["real"] = [scorer.score(frame_HWC) for frame_HWC in real]
        made = _worlds(count - len(real), Path(folder), seed)
        scores["worlds"] = [scorer.score(frame_HWC) for frame_HWC in made]
    both = scores["real"] + scores["worlds"]
    figures: dict[str, float] = {
        "frames_n": len(both),
        "frames_false_alarms": float(np.mean([score > blocked_above for score in both])),
        "frames_reviewed": float(np.mean([score > reviewed_above for score in both])),
        "frames_highest": max(both),
    }
    return figures | {f"frames_n_{name}": len(values) for name, values in scores.items()}


def _worlds(count: int, folder: Path, seed: int) -> Iterator[np.ndarray]:
    """Yield frames of simulated worlds of every family and style."""
    config = RawConfig(
        num_videos=-(-count // 3),
        shots_per_video=(1, 1),
        shot_seconds=(1.5, 2.0),
        short_side_px=180,
        families=FAMILY_NAMES,
        styles=("flat", "outline", "textured", "night"),
        still_rate=0.0,
        seed=seed,
    )
    render_raw(folder / "worlds", config)
    yield from _taken(sorted((folder / "worlds").glob("*.mp4")), count)


def _taken(videos: list[Path], count: int) -> Iterator[np.ndarray]:
    """Yield `count` frames, in turns from all videos."""
    streams = [(frame.rgb_HWC for frame in read_frames(str(path), every=EVERY)) for path in videos]
    while count and streams:
        for stream in [*streams]:
            frame_HWC = next(stream, None)
            if frame_HWC is None:
                streams.remove(stream)
            else:
                yield frame_HWC
                count -= 1
            if not count:
                return


def _table(figures: dict[str, float]) -> Table:
    table = Table("figure", "value")
    for name, value in figures.items():
        table.add_row(name, f"{value:.3g}")
    return table
