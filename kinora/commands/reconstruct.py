"""Show what a video compression network keeps: frames of videos, and the same after its round trip."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinora.captions.sheet import picture_bytes, picture_kind
from kinora.cli.result import Exit, Result
from kinora.evaluation.continuity import psnr_db
from kinora.evaluation.sheets import Strip, contact_sheet
from kinora.evaluation.video_files import ClipReader, FramePlan, list_videos
from kinora.generation.shapes import parse_size
from manifests.ranges import NonNegativeInt, PositiveFloat, PositiveInt, check_ranges
from manifests.replacing import replacing
from trainer.checkpoints import load_vae
from trainer.sample.decode import reconstruct
from video.resize import resize_and_crop


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings of a contact sheet."""

    source: str
    """Folder of videos, read at any depth, or a .txt file with a path a line."""
    vae: str = "shipped"
    """Folder with `vae.safetensors`, of `kinora train vae` or `dit`; `shipped` is that in the package."""
    out: str = "reconstructions.png"
    """Contact sheet to write (.png, .jpg, .webp): of each video a line of frames, and one after the round
    trip."""
    size: str = "128x80"
    """Width x height in pixels, multiples of 16, that videos are scaled and cropped to."""
    frames: PositiveInt = 17
    """Frames from the start of each video: 1 + a multiple of the network's time factor."""
    fps: PositiveFloat = 8.0
    """Frames a second."""
    max_videos: NonNegativeInt = 8
    """Take at most this many videos, evenly spaced by name; 0 for all."""

    __post_init__ = check_ranges


def run(config: Config) -> Result:
    """Write the sheet, and return the PSNR of each video. One that is unreadable or too short is named."""
    size, kind = parse_size(config.size), picture_kind(Path(config.out), "--out")
    paths = list_videos(config.source, "--source", config.max_videos)
    vae, _ = load_vae(config.vae)
    if extra := (config.frames - 1) % vae.config.time_factor:
        raise ValueError(
            f"--frames {config.frames}: the network takes 1 + a multiple of {vae.config.time_factor}; give "
            f"{config.frames - extra}"
        )
    strips: list[Strip] = []
    figures: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    with ClipReader(FramePlan(frames=config.frames, fps=config.fps)) as reader:
        for path in paths:
            try:
                frames_THWC = resize_and_crop(reader.read(path).frames_THWC, size.height, size.width)
            except ValueError as error:
                failed.append({"path": path, "reason": str(error)})
                continue
            kept_THWC = reconstruct(vae, frames_THWC[None])[0]
            found_db = psnr_db(kept_THWC, frames_THWC)
            figures.append({"path": path, "psnr_db": found_db})
            strips += [
                Strip(Path(path).name, [], frames_THWC),
                Strip(f"after the network: {found_db:.1f} dB", [], kept_THWC),
            ]
    lines = [f"{each['path']}: {each['reason']}" for each in failed]
    if not strips:
        return Result({"videos": [], "failed": failed}, "\n".join(lines), Exit.NOTHING)
    with replacing(config.out) as partial:
        partial.write_bytes(picture_bytes(contact_sheet(strips), kind))
    mean_db = float(np.mean([each["psnr_db"] for each in figures]))
    lines.append(f"{config.out}: {len(figures)} videos, PSNR {mean_db:.1f} dB on average")
    data = {"out": config.out, "psnr_db": mean_db, "videos": figures, "failed": failed}
    return Result(data, "\n".join(lines))
