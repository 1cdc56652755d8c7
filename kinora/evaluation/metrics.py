"""Generate videos for held-out prompts, judge them, and save videos and verdicts."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kinora.evaluation.prompts import EvalPrompt, sample_prompts, score
from kinora.evaluation.sampling import sample_videos
from trainer.checkpoints import DIT, read_about
from trainer.config import SampleConfig
from video.encode import encode_mp4
from worlds.palette import MOTIONS, SPEEDS
from worlds.shapes.judge import Verdict

SIZES = ((64, 64), (80, 48), (48, 80))
"""Width and height of the generated videos, cycled through."""
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
    """Write `n` videos and `judged.json` to `out`; return the figures of `kinora.evaluation.prompts`.

    Args:
        motions: motions in the prompts; those that the model was trained on.
        speeds: speeds in the prompts; those that the model was trained on.
    """
    about = read_about(model, DIT)
    fps = float(about["fps"])
    prompts = sample_prompts(
        n, seed=seed, sizes=SIZES, num_frames=NUM_FRAMES, fps=fps, motions=motions, speeds=speeds
    )
    videos, reconstructed = sample_videos(model, prompts, sample or SampleConfig(), processes)
    figures, verdicts = score(prompts, videos, reconstructed, seed=seed)
    out.mkdir(parents=True, exist_ok=True)
    rows = [
        _save(out, prompt, video, verdict)
        for prompt, video, verdict in zip(prompts, videos, verdicts, strict=True)
    ]
    (out / "judged.json").write_text(json.dumps(rows, indent=1))
    return figures


def _save(out: Path, prompt: EvalPrompt, video_THWC: np.ndarray, verdict: Verdict) -> dict[str, Any]:
    name = f"{prompt.index:04d}.mp4"
    encode_mp4(video_THWC, prompt.world.fps, out / name)
    return {
        "file": name,
        "prompt": prompt.text,
        "seed": prompt.seed,
        "size": prompt.size,
        "num_frames": len(video_THWC),
        "verdict": {
            attribute: {"ok": ok, **describe_check(attribute, prompt, verdict)}
            for attribute, ok in verdict.checks().items()
        },
    }


def describe_check(attribute: str, prompt: EvalPrompt, verdict: Verdict) -> dict[str, str]:
    """Return the requested and the measured value as text; of many things, each measured value once."""
    if attribute in ("background", "count"):
        wanted: Sequence[Any] = [
            prompt.world.background if attribute == "background" else len(prompt.world.things)
        ]
        measured: Sequence[Any] = [getattr(verdict.measured, attribute)]
    elif attribute == "binding":
        wanted, measured = [thing.name for thing in prompt.world.things], ["as it is"]
    else:
        wanted = [getattr(thing, attribute) for thing in prompt.world.things]
        measured = [getattr(thing, attribute) for thing in verdict.measured.things]
    seen = dict.fromkeys("unclear" if value is None else str(value) for value in measured)
    return {"wanted": ", ".join(map(str, wanted)) or "nothing", "measured": ", ".join(seen) or "nothing"}
