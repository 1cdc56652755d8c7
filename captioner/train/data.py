"""Batches for the captioner: examples come from a callable, so that this package knows no simulator.

Legend: B clips, T frames, H x W pixels, C channels, L tokens, R x S visual tokens of one clip, A attributes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch.utils.data import IterableDataset
from transformers import Qwen2VLProcessor

from captioner.train.build import ANSWER, END, VIDEO
from captioner.train.config import TrainConfig

IGNORED = -100
"""Label of what the loss leaves out, as torch and transformers have it."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Example:
    """One clip, one prompt, and the answer to learn."""

    frames_THWC: np.ndarray
    """Exactly the frames to show."""
    prompt: str
    target: str
    look: Callable[[int, int], np.ndarray]
    """(R, S) -> classes_RSA: what each of R x S cells of the frame shows; IGNORED where nothing is asked."""


Kind = Literal["crop", "short", "dense"]
"""What a batch holds: small pieces of frames, not to be scaled, or whole frames with one of two captions."""

Draw = Callable[[int, int, Kind], Sequence[Example]]
"""(step, number of clips, kind) -> that many examples of one frame size; equal arguments, equal examples."""


def collate(
    processor: Qwen2VLProcessor, examples: Sequence[Example], kind: Kind = "short"
) -> dict[str, torch.Tensor]:
    """Return model inputs, `labels` (only the answer and its end are learned) and `look_NA`, N = B x R x S.

    The frames of all clips go through the video processor as one long video: a temporal patch never
    crosses two clips, so the patches are the same and the work a third.
    """
    video_THWC = np.concatenate([e.frames_THWC for e in examples])
    pixels = processor.video_processor(
        [torch.from_numpy(video_THWC).permute(0, 3, 1, 2)], return_tensors="pt"
    )
    _, rows, columns = pixels["video_grid_thw"][0].tolist()
    merge = processor.video_processor.merge_size
    rows_R, columns_S = rows // merge, columns // merge
    pads = VIDEO * (rows_R * columns_S)
    texts = [question(processor, e.prompt).replace(VIDEO, pads) + e.target + END for e in examples]
    tokens = processor.tokenizer(texts, padding=True, return_tensors="pt")
    ids_BL = tokens["input_ids"]
    answer, video = processor.tokenizer.convert_tokens_to_ids([ANSWER, VIDEO])
    told_BL = (ids_BL == answer).cumsum(1).bool() & (ids_BL != answer) & tokens["attention_mask"].bool()
    return {
        "input_ids": ids_BL,
        "attention_mask": tokens["attention_mask"],
        "mm_token_type_ids": (ids_BL == video) * 2,
        "pixel_values_videos": pixels["pixel_values_videos"],
        "video_grid_thw": torch.tensor([[1, rows, columns]] * len(examples)),
        "labels": torch.where(told_BL, ids_BL, IGNORED),
        "look_NA": torch.from_numpy(np.concatenate([_cells(e, rows_R, columns_S) for e in examples])),
    }


def question(processor: Qwen2VLProcessor, prompt: str) -> str:
    """Return the chat text that asks `prompt` about one video."""
    message = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": prompt}]}
    return processor.apply_chat_template([message], tokenize=False, add_generation_prompt=True)


def _cells(example: Example, rows: int, columns: int) -> np.ndarray:
    classes_RSA = example.look(rows, columns)
    return classes_RSA.reshape(rows * columns, -1).astype(np.int64)


class Batches(IterableDataset):
    """The batches of some steps, each made when it is asked for.

    Args:
        first: called when reading starts; so a resumed run goes on where it was.
        kind: what a step's batch holds.
    """

    def __init__(
        self,
        processor: Qwen2VLProcessor,
        draw: Draw,
        batch_size: int,
        *,
        first: Callable[[], int],
        last: int,
        kind: Callable[[int], Kind],
    ) -> None:
        self.processor, self.draw, self.batch_size = processor, draw, batch_size
        self.first, self.last, self.kind = first, last, kind

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        for step in range(self.first(), self.last):
            kind = self.kind(step)
            yield collate(self.processor, self.draw(step, self.batch_size, kind), kind)


def kind_at(step: int, config: TrainConfig) -> Kind:
    """Return what the batch of `step` holds: pieces, then short captions, then dense ones among them."""
    since = step - config.crop_steps - config.look_steps - config.short_steps
    if step < config.crop_steps:
        return "crop"
    if since < 0:
        return "short"
    return "dense" if int((since + 1) * config.dense_share) > int(since * config.dense_share) else "short"
