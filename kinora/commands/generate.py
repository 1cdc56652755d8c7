"""Generate a video from a prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import cv2
import numpy as np

from kinora.cli.result import Result
from manifests.buckets import parse_bucket
from manifests.ranges import NonNegativeFloat, PositiveFloat, PositiveInt, check_ranges
from trainer.config import SampleConfig
from trainer.sample.frames import nearest_length
from trainer.sample.model import load_model
from trainer.sample.sampler import generate
from trainer.sample.verbs import text_to_video
from video.encode import VideoWriter
from video.formats import CONTAINER_CODECS
from video.gif import encode_gif

POSITIONAL = "prompt"
VIDEOS, IMAGES = ("mp4", "webm", "mov", "mkv", "gif"), ("png", "jpg", "jpeg")
"""Endings of the files that can be written."""
JPEG_QUALITY = 95


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    prompt: str
    """Text prompt."""
    model: str = "demo/runs/dit"
    """Model folder written by `kinora train dit`."""
    out: str = "out.mp4"
    """Output file (also `-o`): .mp4, .webm, .mov, .mkv or .gif; .png or .jpg with --frames 1."""
    size: str = "64x64"
    """Width x height in pixels, multiples of 16; best at sizes that the model was trained on."""
    seconds: PositiveFloat = 2.0
    """Duration in seconds."""
    frames: PositiveInt | None = None
    """Number of frames; overrides --seconds. 1 generates an image."""
    seed: int = 0
    """Random seed of the initial noise."""
    guidance: NonNegativeFloat = 3.0
    """Classifier-free guidance scale; 1 disables guidance."""
    steps: PositiveInt = 24
    """Sampling steps."""

    __post_init__ = check_ranges


def run(config: Config) -> Result:
    """Generate one video. Raises ValueError for a shape or an output file that cannot be."""
    out = Path(config.out)
    _check_output(out, config.frames)
    width, height = _size(config.size)
    model = load_model(config.model)
    frames = config.frames
    if frames is None:
        frames = nearest_length(config.seconds * model.fps, model.vae.config.time_factor)
    partial = _open_output(out)
    started = monotonic()
    try:
        conditions = text_to_video(
            model, config.prompt, num_frames=frames, height=height, width=width, seed=config.seed
        )
        sample = SampleConfig(steps=config.steps, guidance=config.guidance)
        video_THWC = generate(model, [conditions], sample)[0]
        seconds = monotonic() - started
        write_frames(video_THWC, model.fps, _ending(out), partial)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    never_trained = describe_untrained(frames, height, width, model.buckets)
    data = {"out": str(out), "frames": frames, "width": width, "height": height, "seconds": seconds}
    lines = [f"{out}: {frames} frames of {width}x{height} in {seconds:.1f} s", never_trained]
    return Result({**data, "never_trained": never_trained}, "\n".join(line for line in lines if line))


def write_frames(frames_THWC: np.ndarray, fps: float, ending: str, path: Path) -> None:
    """Write frames in the format of an ending of VIDEOS or IMAGES, whatever the name of `path`."""
    height, width = frames_THWC.shape[1:3]
    if ending in IMAGES:
        quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if ending != "png" else []
        image_HWC = cv2.cvtColor(frames_THWC[0], cv2.COLOR_RGB2BGR)
        path.write_bytes(cv2.imencode(f".{ending}", image_HWC, quality)[1].tobytes())
    elif ending == "gif":
        encode_gif(frames_THWC, fps, path)
    else:
        codec = CONTAINER_CODECS[ending][0]
        with VideoWriter(path, height=height, width=width, fps=fps, container=ending, codec=codec) as writer:
            for number, frame_HWC in enumerate(frames_THWC):
                writer.write(frame_HWC, number)


def describe_untrained(frames: int, height: int, width: int, buckets: Sequence[str]) -> str:
    """Return a line on what of a shape the model was never trained on; empty for a bucket of its training."""
    trained = [parse_bucket(name) for name in buckets]
    if any((b.num_frames, b.height, b.width) == (frames, height, width) for b in trained):
        return ""
    sizes = sorted({(b.width, b.height) for b in trained})
    lengths = sorted({b.num_frames for b in trained})
    parts = []
    if (width, height) not in sizes:
        parts.append(f"{width}x{height} (it knows {', '.join(f'{w}x{h}' for w, h in sizes)})")
    if frames not in lengths:
        parts.append(f"{frames} frames (it knows {', '.join(map(str, lengths))})")
    return f"the model was never trained on {' and '.join(parts) or f'{frames} frames of {width}x{height}'}"


def _check_output(out: Path, frames: int | None) -> None:
    ending = _ending(out)
    if ending not in (*VIDEOS, *IMAGES):
        raise ValueError(
            f"{out}: the ending says how to write it: use .{', .'.join(VIDEOS)}, or .{', .'.join(IMAGES)} "
            "with --frames 1"
        )
    if ending in IMAGES and frames != 1:
        raise ValueError(f"{out}: holds one frame; add --frames 1, or name a video such as {out.stem}.mp4")
    if out.exists():
        raise ValueError(f"{out}: already exists; choose another --out")


def _open_output(out: Path) -> Path:
    """Create the file beside `out` that becomes it. Raises OSError where it cannot be written."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    partial.touch()
    return partial


def _ending(out: Path) -> str:
    return out.suffix.removeprefix(".").lower()


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise ValueError(f"--size {text}: expected WIDTHxHEIGHT, such as 64x64") from None
    return width, height
