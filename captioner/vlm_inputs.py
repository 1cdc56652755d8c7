"""From requests to the inputs of a transformers model: the prompt, the frames and their times.

Shapes: B requests of a batch, T frames of one clip, H x W pixels, C channels (RGB), L tokens.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers.video_utils import VideoMetadata

from captioner.config import VisionModelConfig
from captioner.protocol import CaptionRequest
from captioner.vlm_types import ModelType, model_type
from manifests.digest import digest_files

_TICKS_PER_S = 1000
"""Resolution of the times in metadata: frame k of a video at this rate stands for k milliseconds."""
_PAIR_LENGTHS = ("second_per_grid_ts", "video_second_per_grid")
"""Inputs with the seconds between two temporal patches, of each video."""


class VlmInputs:
    """Builds the inputs of a model from requests, as its processor and its type want them."""

    def __init__(self, processor: Any, type_name: str) -> None:
        """Raise ValueError for a type that is no captioner."""
        self.type: ModelType = model_type(type_name)
        self.processor, self.tokenizer = processor, processor.tokenizer
        video_processor = getattr(processor, "video_processor", None)
        shows = self.type.shows
        self.shows_video = video_processor is not None if shows == "auto" else shows == "video"
        self._temporal_patch = int(getattr(video_processor, "temporal_patch_size", None) or 1)

    @property
    def max_frames(self) -> int | None:
        """The most frames that a prompt can hold, where the type has a limit."""
        return 1 if self.type.shows == "image" else self.type.num_frames

    def build(
        self, batch: Sequence[CaptionRequest], indices: Sequence[tuple[int, ...]], fps: float | None = None
    ) -> dict[str, Any]:
        """Return the processor's outputs for the sampled frames and prompts, padded on the left.

        Args:
            indices: the frames of each request to show, of equal number.
            fps: rate of the sampled frames where it is fixed. Default: their own times.
        """
        if self.type.one_by_one and len(batch) > 1:
            raise ValueError("this model takes one clip at a time")
        clips = [request.frames_THWC[list(shown)] for request, shown in zip(batch, indices, strict=True)]
        times = [_times(request, shown, fps) for request, shown in zip(batch, indices, strict=True)]
        texts = [self.format_prompt(r.prompt.text, len(clip)) for r, clip in zip(batch, clips, strict=True)]
        common = {"text": texts, "padding": True, "return_tensors": "pt", **self.type.options}
        if self._begins_with_bos(texts[0]):
            common["add_special_tokens"] = False
        if self.shows_video:
            return self._video_inputs(clips, times, common)
        pictures = [[Image.fromarray(frame_HWC) for frame_HWC in clip_THWC] for clip_THWC in clips]
        images = [clip[0] for clip in pictures] if self.type.shows == "image" else pictures
        return dict(self.processor(images=images, **common))

    def other_end(
        self, first: CaptionRequest, other: CaptionRequest, ids: Sequence[int], num_frames: int
    ) -> tuple[int, list[int]] | None:
        """Return how the tokens of a prompt become those of another about the same frames.

        Args:
            ids: tokens of the first prompt, placeholders written out.

        Returns the number of tokens to remove from the end and the tokens to add; None where more differs.
        """
        one, two = (self.prompt_ids(request.prompt.text, num_frames) for request in (first, other))
        common = next(
            (k for k, pair in enumerate(zip(one, two, strict=False)) if pair[0] != pair[1]),
            min(len(one), len(two)),
        )
        removed, added = one[common:], two[common:]
        if not added or not removed or list(ids[-len(removed) :]) != removed:
            return None
        return len(removed), added

    def prompt_ids(self, text: str, num_frames: int) -> list[int]:
        """Return the tokens of a prompt, with one placeholder for each picture or video."""
        prompt = self.format_prompt(text, num_frames)
        special = not self._begins_with_bos(prompt)
        return self.tokenizer(prompt, add_special_tokens=special)["input_ids"]

    def format_prompt(self, text: str, num_frames: int) -> str:
        """Return the prompt with video or image placeholders, using the chat template if there is one."""
        places = [{"type": "video"}] if self.shows_video else [{"type": "image"}] * num_frames
        if self.type.places and getattr(self.processor, "chat_template", None):
            chat = [{"role": "user", "content": [*places, {"type": "text", "text": text}]}]
            return self.processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        kind = "video" if self.shows_video else "image"
        token = str(getattr(self.processor, f"{kind}_token", f"<{kind}>"))
        return self.type.layout.format(places=token * len(places), text=text)

    def format_answer(self, text: str) -> str:
        """Return an answer as the chat template writes it after a prompt; without a template, the text."""
        if not (self.type.places and getattr(self.processor, "chat_template", None)):
            return text
        asked = [{"role": "user", "content": [{"type": "text", "text": "?"}]}]
        answered = [*asked, {"role": "assistant", "content": [{"type": "text", "text": text}]}]
        write = self.processor.apply_chat_template
        before = write(asked, add_generation_prompt=True, tokenize=False)
        whole = write(answered, tokenize=False)
        return whole[len(before) :] if whole.startswith(before) else text

    def _begins_with_bos(self, prompt: str) -> bool:
        """Whether the chat template wrote the begin token, which the tokenizer would add once more."""
        bos = self.tokenizer.bos_token
        return bool(bos) and self.type.places and prompt.startswith(bos)

    def _video_inputs(
        self, clips: list[np.ndarray], times: list[list[float]], common: dict[str, Any]
    ) -> dict[str, Any]:
        padded = [self.padded(*pair) for pair in zip(clips, times, strict=True)]
        clips, times = [clip for clip, _ in padded], [seconds for _, seconds in padded]
        videos = [torch.from_numpy(clip_THWC).permute(0, 3, 1, 2) for clip_THWC in clips]
        if self.type.video_argument != "videos":
            return dict(self.processor(**{self.type.video_argument: videos}, **common))
        inputs = dict(
            self.processor(
                videos=videos,
                video_metadata=[video_metadata(clip_times) for clip_times in times],
                do_sample_frames=False,
                return_metadata=True,
                **common,
            )
        )
        inputs.pop("video_metadata", None)
        for name in _PAIR_LENGTHS:
            if name in inputs:
                seconds = [self._temporal_patch * _interval_s(clip_times) for clip_times in times]
                inputs[name] = torch.tensor(seconds)
        return inputs

    def padded(self, clip_THWC: np.ndarray, times: list[float]) -> tuple[np.ndarray, list[float]]:
        """Repeat the last frame, and its time, where a model takes no fewer frames."""
        count = self.type.num_frames or (self._temporal_patch if len(clip_THWC) == 1 else len(clip_THWC))
        missing = max(0, count - len(clip_THWC))
        padding = [(0, missing)] + [(0, 0)] * 3
        return np.pad(clip_THWC, padding, mode="edge") if missing else clip_THWC, times + times[-1:] * missing


def to_device(value: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """Move inputs to a device, and pixels, not times, to a data type."""
    if isinstance(value, torch.Tensor):
        pixels = value.is_floating_point() and value.ndim > 1
        return value.to(device, dtype) if pixels else value.to(device)
    if isinstance(value, dict):
        return {name: to_device(part, device, dtype) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_device(part, device, dtype) for part in value]
    return value


def model_revision(config: VisionModelConfig, hub_config: Any) -> str:
    """Return an identifier of the weights: the hub commit, or a digest of the folder's safetensors files."""
    if commit := getattr(hub_config, "_commit_hash", None):
        return commit
    return digest_files(sorted(Path(config.model).glob("*.safetensors")), size=8)


def _times(request: CaptionRequest, shown: tuple[int, ...], fps: float | None) -> list[float]:
    """Return the time of each shown frame: its own, or by a fixed rate."""
    start_s = request.times_s[shown[0]]
    if fps is not None:
        return [start_s + k / fps for k in range(len(shown))]
    return [request.times_s[index] for index in shown]


def _interval_s(times: Sequence[float]) -> float:
    """Return the mean interval of frames; one second for a single time."""
    duration_s = times[-1] - times[0]
    return duration_s / (len(times) - 1) if duration_s > 0 else 1.0


def video_metadata(times: Sequence[float]) -> VideoMetadata:
    """Return metadata whose `timestamps` are `times` and whose `sampled_fps` is their mean rate."""
    ticks = [round(time * _TICKS_PER_S) for time in times]
    total = max(round(len(times) * _interval_s(times) * _TICKS_PER_S), ticks[-1] + 1)
    return VideoMetadata(
        total_num_frames=total, fps=float(_TICKS_PER_S), frames_indices=ticks, duration=total / _TICKS_PER_S
    )
