"""Generate videos for prompts that the model was not trained on, judge each, and keep all that was made."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kinora.evaluation.prompts import Wish, score, wishes
from kinora.evaluation.sampling import draw
from trainer.checkpoints import DIT, read_about
from trainer.config import SampleConfig
from video.encode import encode_mp4
from worlds.palette import MOTIONS, SPEEDS
from worlds.shapes.judge import Verdict

SIZES = ((64, 64), (80, 48), (48, 80))
"""Width and height of the judged videos, in turn."""
NUM_FRAMES = 17


def evaluate(
    model: Path,
    out: Path,
    *,
    n: int,
    seed: int,
    processes: int,
    motions: Sequence[str] = MOTIONS,
    speeds: Sequence[str] = tuple(SPEEDS),
    sample: SampleConfig | None = None,
) -> dict[str, Any]:
    """Write `n` videos and `judged.json` below `out`; return the figures (`kinora.evaluation.prompts`).

    The prompts speak of `motions` and `speeds` only: those that the model was trained on.
    """
    about = read_about(model, DIT)
    fps = float(about["fps"])
    asked = wishes(n, seed=seed, sizes=SIZES, num_frames=NUM_FRAMES, fps=fps, motions=motions, speeds=speeds)
    videos, reconstructed = draw(model, asked, sample or SampleConfig(), processes)
    figures, verdicts = score(asked, videos, reconstructed, seed=seed)
    out.mkdir(parents=True, exist_ok=True)
    rows = [
        _keep(out, wish, video, verdict) for wish, video, verdict in zip(asked, videos, verdicts, strict=True)
    ]
    (out / "judged.json").write_text(json.dumps(rows, indent=1))
    return figures


def _keep(out: Path, wish: Wish, video_THWC: np.ndarray, verdict: Verdict) -> dict[str, Any]:
    name = f"{wish.number:04d}.mp4"
    encode_mp4(video_THWC, wish.world.fps, out / name)
    return {
        "file": name,
        "prompt": wish.prompt,
        "seed": wish.seed,
        "size": wish.size,
        "num_frames": len(video_THWC),
        "verdict": {
            attribute: {"ok": ok, **_words(attribute, wish, verdict)}
            for attribute, ok in verdict.checks().items()
        },
    }


def _words(attribute: str, wish: Wish, verdict: Verdict) -> dict[str, str]:
    """Return what was wanted and what was measured, for a person to read."""
    if attribute in ("background", "count"):
        wanted: Sequence[Any] = [
            wish.world.background if attribute == "background" else len(wish.world.things)
        ]
        measured: Sequence[Any] = [getattr(verdict.measured, attribute)]
    elif attribute == "binding":
        wanted, measured = [thing.name for thing in wish.world.things], ["as it is"]
    else:
        wanted = [getattr(thing, attribute) for thing in wish.world.things]
        measured = [getattr(thing, attribute) for thing in verdict.measured.things]
    joined = [", ".join(str(value) for value in values) or "nothing" for values in (wanted, measured)]
    return {"wanted": joined[0], "measured": joined[1]}
