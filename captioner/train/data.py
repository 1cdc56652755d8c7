"""Training batches of the captioner, from examples that a callable provides.

Shapes: B clips, T frames, H x W pixels, C channels, L tokens, R x S visual tokens of one clip, A attributes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch.utils.data import IterableDataset
from transformers import Qwen2VLProcessor

from captioner.train.build import ANSWER, END, VIDEO
from captioner.train.config import TrainConfig

IGNORED = -100
"""Label that the loss ignores, as in torch and transformers."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Example:
    """A clip, a prompt and the target answer."""

    frames_THWC: np.ndarray
    """The frames that the model sees."""
    prompt: str
    target: str
    cell_classes: Callable[[int, int], np.ndarray]
    """(R, S) -> classes_RSA: attribute classes of each cell of the first frame, IGNORED for none."""


BatchKind = Literal["crop", "short", "dense"]
"""Content of a batch: unscaled crops of frames, or whole frames with a short or a dense caption."""

SampleExamples = Callable[[int, int, BatchKind], Sequence[Example]]
"""(step, number of clips, kind) -> examples of equal frame size; deterministic in its arguments."""


class Patches(NamedTuple):
    """The clips of a batch as the model sees them."""

    values: torch.Tensor
    rows: int
    columns: int
    """Patches of one clip."""


def to_patches(processor: Qwen2VLProcessor, examples: Sequence[Example], *, resize: bool = True) -> Patches:
    """Return the patches of clips of equal size.

    The clips are processed as one concatenated video, which is faster and gives the same patches, because a
    clip is exactly one temporal patch.

    Args:
        resize: scale frames to the area that the model sees; without it their sides are whole numbers of
            merged patches.
    """
    video_THWC = np.concatenate([e.frames_THWC for e in examples])
    pixels = processor.video_processor(
        [torch.from_numpy(video_THWC).permute(0, 3, 1, 2)], return_tensors="pt", do_resize=resize
    )
    _, rows, columns = pixels["video_grid_thw"][0].tolist()
    return Patches(pixels["pixel_values_videos"], rows, columns)


def collate(
    processor: Qwen2VLProcessor, examples: Sequence[Example], patches: Patches
) -> dict[str, torch.Tensor]:
    """Return model inputs, `labels` (answer tokens only) and `cell_classes_NA`, N = B x R x S."""
    values, rows, columns = patches
    merge = processor.video_processor.merge_size
    rows_R, columns_S = rows // merge, columns // merge
    pads = VIDEO * (rows_R * columns_S)
    texts = [question(processor, e.prompt).replace(VIDEO, pads) + e.target + END for e in examples]
    tokens = processor.tokenizer(texts, padding=True, return_tensors="pt")
    ids_BL = tokens["input_ids"]
    answer, video = processor.tokenizer.convert_tokens_to_ids([ANSWER, VIDEO])
    is_answer_BL = (ids_BL == answer).cumsum(1).bool() & (ids_BL != answer) & tokens["attention_mask"].bool()
    return {
        "input_ids": ids_BL,
        "attention_mask": tokens["attention_mask"],
        "mm_token_type_ids": (ids_BL == video) * 2,
        "pixel_values_videos": values,
        "video_grid_thw": torch.tensor([[1, rows, columns]] * len(examples)),
        "labels": torch.where(is_answer_BL, ids_BL, IGNORED),
        "cell_classes_NA": torch.from_numpy(
            np.concatenate([_flat_cell_classes(e, rows_R, columns_S) for e in examples])
        ),
    }


def question(processor: Qwen2VLProcessor, prompt: str) -> str:
    """Return the chat-formatted prompt for one video."""
    message = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": prompt}]}
    return processor.apply_chat_template([message], tokenize=False, add_generation_prompt=True)


def _flat_cell_classes(example: Example, rows: int, columns: int) -> np.ndarray:
    classes_RSA = example.cell_classes(rows, columns)
    return classes_RSA.reshape(rows * columns, -1).astype(np.int64)


class Batches(IterableDataset):
    """Batches of consecutive steps, created on demand.

    Args:
        first: returns the first step when iteration starts, so that a resumed run continues from its step.
        last: end of the steps, exclusive.
        kind: returns the kind of a step's batch.
    """

    def __init__(
        self,
        processor: Qwen2VLProcessor,
        sample: SampleExamples,
        batch_size: int,
        *,
        first: Callable[[], int],
        last: int,
        kind: Callable[[int], BatchKind],
    ) -> None:
        self.processor, self.sample, self.batch_size = processor, sample, batch_size
        self.first, self.last, self.kind = first, last, kind

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        for step in range(self.first(), self.last):
            kind = self.kind(step)
            examples = self.sample(step, self.batch_size, kind)
            yield collate(
                self.processor, examples, to_patches(self.processor, examples, resize=kind != "crop")
            )


def kind_at(step: int, config: TrainConfig) -> BatchKind:
    """Return the kind of batch at `step`: crops, then short captions, then short and dense ones mixed."""
    since = step - config.crop_steps - config.vision_steps - config.short_steps
    if step < config.crop_steps:
        return "crop"
    if since < 0:
        return "short"
    return (
        "dense" if int((since + 1) * config.dense_fraction) > int(since * config.dense_fraction) else "short"
    )
