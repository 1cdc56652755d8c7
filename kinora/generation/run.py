"""Make prepared videos: those of one shape together, decoded and written one after the other.

Legend: T frames, H height, W width, C channels (RGB, uint8).
"""

import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kinora.generation.checks import Finish
from kinora.generation.files import ending_of, new_file, write_media
from kinora.generation.prepare import Prepared
from kinora.generation.provenance import Provenance, private, software, to_prompt_at
from trainer.sample.decode import decode_result
from trainer.sample.model import TextToVideo
from trainer.sample.sampler import OnStep, sample

BATCH_TOKENS = 2048
"""Tokens of the videos that are sampled together; a larger video goes alone."""


def batches(model: TextToVideo, prepared: Sequence[Prepared]) -> list[list[int]]:
    """Return the places of videos that are sampled together: those of one shape and one configuration."""
    shapes: defaultdict[object, list[int]] = defaultdict(list)
    for place, each in enumerate(prepared):
        shapes[each.conditions.latent_CTHW.shape, each.config, each.conditions.loop].append(place)
    found: list[list[int]] = []
    for places in shapes.values():
        tokens = model.dit.config.num_tokens(tuple(prepared[places[0]].conditions.latent_CTHW.shape))
        size = max(1, BATCH_TOKENS // tokens)
        found += [places[start : start + size] for start in range(0, len(places), size)]
    return found


def sample_chunks(
    model: TextToVideo,
    batch: Sequence[Prepared],
    *,
    new_part_only: bool = False,
    on_step: OnStep | None = None,
) -> list[Iterator[np.ndarray]]:
    """Sample videos of one shape; return for each an iterator that decodes it in chunks of frames_THWC."""
    conditions = [each.conditions for each in batch]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*their ends are truncated")  # a note of each request says so
        latents = sample(model, conditions, batch[0].config, on_step)
    pairs = zip(batch, latents, strict=True)
    chunks = [decode_result(model, each.conditions, latent) for each, latent in pairs]
    return [*map(_new_part, batch, chunks)] if new_part_only else chunks


def check_new_part(prepared: Prepared) -> None:
    """Raise ValueError for a video without given frames, of which all is new."""
    if not prepared.conditions.kept:
        raise ValueError("--new-part-only leaves out the frames of a given video: there is none")


class Written(NamedTuple):
    """A file that was written."""

    frames: int
    safety: str
    """What the checks of the prompt and of the frames found."""


def write_result(
    model: TextToVideo,
    prepared: Prepared,
    chunks: Iterator[np.ndarray],
    out: Path,
    command: str,
    finish: Finish | None = None,
) -> Written:
    """Write a video with its provenance.

    Raises OSError, and ValueError for a video that `finish` does not pass.
    """
    finish = finish or Finish()
    made = provenance_of(model, prepared, command, finish.prompts)
    with new_file(out) as partial:
        watched = finish.frames.watch(chunks, prepared.frames)
        frames = write_media(watched, model.fps, ending_of(out), partial, made.to_tags())
        safety = f"{finish.prompts}; {finish.frames.verdict()}"
        if finish.signer is not None:
            assertion = {name: text for name, text in (asdict(made) | {"safety": safety}).items() if text}
            finish.signer.sign(partial, out, assertion)
    return Written(frames, safety)


def provenance_of(model: TextToVideo, prepared: Prepared, command: str = "", safety: str = "") -> Provenance:
    """Return what the file of a video says of its making."""
    request = prepared.request
    return Provenance(
        prompt=request.prompt,
        prompt_at=to_prompt_at(request.prompt_at),
        negative_prompt=request.negative_prompt,
        seed=str(request.seed),
        verb=prepared.verb,
        model=private(model.name),
        weights_digest=model.digest,
        vae_digest=model.vae_digest,
        command=command,
        software=software(),
        safety=safety,
    )


def _new_part(prepared: Prepared, chunks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the frames that were not given."""
    start = 0
    for chunk_THWC in chunks:
        frames = np.arange(start, start + len(chunk_THWC))
        is_new = np.ones(len(frames), bool)
        for first, kept_THWC in prepared.conditions.kept:
            is_new &= (frames < first) | (frames >= first + len(kept_THWC))
        start += len(chunk_THWC)
        if is_new.any():
            yield chunk_THWC[is_new]
