"""The Python interface: load a model, generate, read what a file says of its making, open a dataset.

Names of `kinora` itself are stable (docs/api.md); the modules behind them are not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinora.generation.files import check_ending, check_place, ending_of, new_file, write_media
from kinora.generation.inputs import MediaReader
from kinora.generation.prepare import prepare
from kinora.generation.provenance import Provenance, read_provenance
from kinora.generation.request import Picture, Request
from kinora.generation.run import batches, check_new_part, provenance_of, sample_chunks
from kinora.generation.shapes import parse_size
from kinora.generation.weights import check_weights
from manifests.dataset import Dataset
from trainer.config import SampleConfig
from trainer.precision import Dtype
from trainer.sample.model import TextToVideo
from trainer.sample.model import load_model as _load_model

__all__ = [
    "Dataset",
    "Provenance",
    "Request",
    "SampleConfig",
    "TextToVideo",
    "Video",
    "generate",
    "generate_batch",
    "load_model",
    "open_dataset",
    "read_provenance",
]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Video:
    """A generated video or image."""

    frames_THWC: np.ndarray
    """RGB, uint8; T is 1 for an image."""
    fps: float
    """Frames per second."""
    provenance: Provenance
    """How it was made."""
    notes: tuple[str, ...]
    """What a person should know: what was cropped, cut off, or never trained."""

    def save(self, path: str | Path) -> Path:
        """Write .mp4, .webm, .mov, .mkv or .gif, or an image as .png or .jpg, with its provenance.

        Raises ValueError for another ending and for a file that exists, OSError where it cannot be written.
        """
        path = Path(path)
        check_ending(path, len(self.frames_THWC))
        check_place(path)
        with new_file(path) as partial:
            write_media([self.frames_THWC], self.fps, ending_of(path), partial, self.provenance.to_tags())
        return path


def load_model(
    folder: str | Path, *, device: str | None = None, dtype: Dtype = "auto", offload: bool = False
) -> TextToVideo:
    """Load a folder that `kinora train dit` wrote, or `shipped`, the weights in the package.

    Nothing is unpickled.

    Args:
        device: `cpu`, `cuda` or `cuda:1`; by default the GPU where there is one.
        dtype: numbers that the networks compute in; `auto` is bfloat16 where the device has it natively.
        offload: hold each network on the device only while it is used, and in main memory otherwise: slower,
            for a GPU that cannot hold them all.

    Raises FileNotFoundError or ValueError, with the remedy.
    """
    return _load_model(check_weights(folder), device, dtype, offload=offload)


def generate(
    model: TextToVideo,
    prompt: str,
    *,
    image: Picture | Sequence[Picture] = (),
    at_frame: int | Sequence[int] = (),
    size: str | tuple[int, int] | None = None,
    new_part_only: bool = False,
    sample: SampleConfig | None = None,
    **request: Any,
) -> Video:
    """Generate one video, as `kinora generate` does.

    Args:
        image: a file or image_HWC (uint8 RGB), or several.
        at_frame: the frame of each image.
        size: width and height in pixels, as `64x48` or (64, 48).
        new_part_only: leave out the frames of given videos.
        sample: steps, guidance and windows.
        request: the other fields of `Request`. A video is a file, or frames_THWC at the model's rate.

    Raises ValueError for options that do not go together, inputs that cannot be read, and shapes that cannot
    be made.
    """
    if isinstance(image, str | Path | np.ndarray):
        image = (image,)
    if isinstance(at_frame, int):
        at_frame = (at_frame,)
    shape = parse_size(size) if isinstance(size, str) else size
    asked = Request(prompt=prompt, image=tuple(image), at_frame=tuple(at_frame), size=shape, **request)
    return generate_batch(model, [asked], new_part_only=new_part_only, sample=sample)[0]


def generate_batch(
    model: TextToVideo,
    requests: Sequence[Request],
    *,
    new_part_only: bool = False,
    sample: SampleConfig | None = None,
) -> list[Video]:
    """Generate several videos; those of one shape are sampled together. Raises as `generate` does."""
    with MediaReader() as reader:
        prepared = [prepare(model, request, sample or SampleConfig(), reader) for request in requests]
    if new_part_only:
        for each in prepared:
            check_new_part(each)
    videos: dict[int, Video] = {}
    for places in batches(model, prepared):
        batch = [prepared[place] for place in places]
        chunks = sample_chunks(model, batch, new_part_only=new_part_only)
        for place, each, frames in zip(places, batch, chunks, strict=True):
            videos[place] = Video(
                frames_THWC=np.concatenate([*frames]),
                fps=model.fps,
                provenance=provenance_of(model, each),
                notes=each.notes,
            )
    return [videos[place] for place in range(len(requests))]


def open_dataset(uri: str | Path) -> Dataset:
    """Open a dataset that `kinora curate` wrote: a folder or s3://bucket/prefix.

    Raises DatasetError, a ValueError, where there is none.
    """
    return Dataset.open(uri)
