"""Generate a video from a prompt."""

from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import cv2

from kinora.cli.result import Result
from trainer.config import SampleConfig
from trainer.sample import generate, load_model
from video.encode import encode_mp4

POSITIONAL = "prompt"


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    prompt: str
    """Text prompt."""
    model: str = "demo/runs/dit"
    """Model folder written by `kinora train dit`."""
    out: str = "out.mp4"
    """Output file (also `-o`): an MP4 video, or a .png image."""
    size: str = "64x64"
    """Width x height in pixels, multiples of 16; best at sizes that the model was trained on."""
    seconds: float = 2.0
    """Duration in seconds."""
    frames: int | None = None
    """Number of frames; overrides --seconds. 1 generates an image."""
    seed: int = 0
    """Random seed of the initial noise."""
    guidance: float = 3.0
    """Classifier-free guidance scale; 1 disables guidance."""
    steps: int = 24
    """Sampling steps."""


def run(config: Config) -> Result:
    """Generate one video. Raises ValueError for an unsupported shape or an existing output file."""
    out = Path(config.out)
    if out.exists():
        raise ValueError(f"{out}: already exists; choose another --out")
    width, height = _size(config.size)
    model = load_model(config.model)
    frames = config.frames
    if frames is None:
        frames = frames_for(config.seconds, model.fps, model.vae.config.time_factor)
    started = monotonic()
    videos_BTHWC = generate(
        model,
        [config.prompt],
        height=height,
        width=width,
        num_frames=frames,
        seeds=[config.seed],
        sample=SampleConfig(steps=config.steps, guidance=config.guidance),
    )
    seconds = monotonic() - started
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".png":
        cv2.imwrite(str(out), cv2.cvtColor(videos_BTHWC[0, 0], cv2.COLOR_RGB2BGR))
    else:
        encode_mp4(videos_BTHWC[0], model.fps, out)
    data = {"out": str(out), "frames": frames, "width": width, "height": height, "seconds": seconds}
    return Result(data, f"{out}: {frames} frames of {width}x{height} in {seconds:.1f} s")


def frames_for(seconds: float, fps: float, time_factor: int) -> int:
    """Return the number of frames (1 + k * time_factor) nearest to a duration."""
    return 1 + time_factor * max(0, round(seconds * fps / time_factor))


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise ValueError(f"--size {text}: expected WIDTHxHEIGHT, such as 64x64") from None
    return width, height
