"""Captions from any image-text-to-text model of transformers.

Shapes: B requests of a batch, T frames of one clip, H x W pixels, C channels (RGB), L tokens, V words.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, LogitsProcessor, LogitsProcessorList
from transformers.video_utils import VideoMetadata

from captioner.config import VlmConfig
from captioner.frames import largest_gap_s, sample_at_fps, sample_uniform
from captioner.markup import Markup
from captioner.outcome import read_answer, read_lengths
from captioner.protocol import CaptionAnswer, CaptionRequest, Provenance
from manifests.digest import digest_files
from manifests.records import Outcome
from manifests.renamed_fields import old_keys


class TransformersCaptioner:
    """A transformers model and its processor. Passes a video if the processor accepts one, else images."""

    def __init__(self, config: VlmConfig, *, captioner: str = "vlm", name: str | None = None) -> None:
        """Load the model from safetensors, without remote code.

        Args:
            captioner: captioner label in provenance, `vlm` or `embedded`.
            name: model name in provenance; default: its path or hub name.

        Raises:
            OSError: if the model does not exist.
        """
        self.config = config
        device = config.device if config.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        self.processor = AutoProcessor.from_pretrained(config.model, revision=config.revision)
        self.model: Any = AutoModelForImageTextToText.from_pretrained(
            config.model, revision=config.revision, dtype=config.dtype, use_safetensors=True
        )
        self.model.eval().requires_grad_(False).to(torch.device(device))
        tokenizer = self.processor.tokenizer
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.markup = Markup.of(self.processor)
        self.shows_video = getattr(self.processor, "video_processor", None) is not None
        self.provenance = Provenance(
            captioner=captioner,
            model=name or config.model,
            revision=_revision(config, self.model),
            decoding=json.dumps(_decoding(config), sort_keys=True),
        )

    def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        """Answer every request, batched by prompt and frame size."""
        order = sorted(requests, key=lambda r: (r.prompt.digest, r.frames_THWC.shape[1:3], r.clip_id))
        size = self.config.batch_size
        answers = []
        for start in range(0, len(order), size):
            answers += self._answer(order[start : start + size])
        return answers

    def _answer(self, batch: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        """Answer one batch; split it on failure, so that a bad request fails alone."""
        if sparse := [r for r in batch if self._too_sparse(r)]:
            rest = [r for r in batch if not self._too_sparse(r)]
            return [self._error_answer(r, self._sparse_detail(r)) for r in sparse] + (
                self._answer(rest) if rest else []
            )
        try:
            return self._generate(batch)
        except (RuntimeError, ValueError, IndexError) as error:
            if len(batch) == 1:
                return [self._error_answer(batch[0], f"{type(error).__name__}: {error}"[:500])]
        half = len(batch) // 2
        return self._answer(batch[:half]) + self._answer(batch[half:])

    @torch.inference_mode()
    def _generate(self, batch: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        indices = [self._sample_indices(request) for request in batch]
        inputs = self._inputs(batch, indices).to(self.model.device, self.model.dtype)
        confidences = _TokenConfidence()
        started = time.monotonic()
        out_BL = self.model.generate(
            **inputs,
            max_new_tokens=self.config.max_new_tokens,
            logits_processor=LogitsProcessorList([confidences]),
            **_sampling(self.config),
            **({"max_time": self.config.timeout_s} if self.config.timeout_s else {}),
        )
        timed_out = self.config.timeout_s is not None and time.monotonic() - started >= self.config.timeout_s
        if not self.model.config.is_encoder_decoder:
            out_BL = out_BL[:, inputs["input_ids"].shape[1] :]
        ended_BL = torch.isin(out_BL, self._end_tokens().to(out_BL.device))
        texts = self.processor.batch_decode(self._answer_tokens(out_BL, ended_BL), skip_special_tokens=False)
        confidence_B = confidences.mean(ended_BL)
        return [
            self._to_answer(
                request, shown, text, ended=bool(ended), timed_out=timed_out, confidence=confidence
            )
            for request, shown, text, ended, confidence in zip(
                batch, indices, texts, ended_BL.any(1), confidence_B, strict=True
            )
        ]

    def _to_answer(
        self,
        request: CaptionRequest,
        shown: tuple[int, ...],
        raw: str,
        *,
        ended: bool,
        timed_out: bool,
        confidence: float,
    ) -> CaptionAnswer:
        texts: dict[str, str] = {}
        if request.prompt.lengths:
            answer, texts = read_lengths(raw, ended=ended, lengths=request.prompt.lengths, markup=self.markup)
        else:
            answer = read_answer(raw, ended=ended, markup=self.markup)
        outcome, detail = answer.outcome, answer.detail
        if outcome is Outcome.TRUNCATED and timed_out:
            outcome, detail = Outcome.TIMEOUT, f"not finished after {self.config.timeout_s} s"
        return CaptionAnswer(
            clip_id=request.clip_id,
            prompt_digest=request.prompt.digest,
            outcome=outcome,
            text=answer.text,
            texts=texts,
            raw=raw,
            frames_shown=shown,
            provenance=self.provenance,
            confidence=confidence,
            detail=detail,
        )

    def _error_answer(self, request: CaptionRequest, detail: str) -> CaptionAnswer:
        return CaptionAnswer(
            clip_id=request.clip_id,
            prompt_digest=request.prompt.digest,
            outcome=Outcome.ERROR,
            text=None,
            raw="",
            frames_shown=(),
            provenance=self.provenance,
            detail=detail,
        )

    def _sample_indices(self, request: CaptionRequest) -> tuple[int, ...]:
        if self.config.fps is None:
            return sample_uniform(len(request.times_s), self.config.frames)
        return sample_at_fps(request.times_s, self.config.fps, self.config.frames)

    def _too_sparse(self, request: CaptionRequest) -> bool:
        rate = self.config.fps
        return rate is not None and largest_gap_s(request.times_s, self.config.frames / rate) > 1.5 / rate

    def _sparse_detail(self, request: CaptionRequest) -> str:
        rate = self.config.fps or 0.0
        gap = largest_gap_s(request.times_s, self.config.frames / rate)
        return f"frames are up to {gap:.2f} s apart; this captioner needs at least {rate:g} per second"

    def _inputs(self, batch: Sequence[CaptionRequest], indices: Sequence[tuple[int, ...]]) -> Any:
        """Return the processor's BatchFeature for the sampled frames and prompts, padded on the left."""
        clips = [r.frames_THWC[list(shown)] for r, shown in zip(batch, indices, strict=True)]
        texts = [self._format_prompt(r, len(clip)) for r, clip in zip(batch, clips, strict=True)]
        common = {"text": texts, "padding": True, "return_tensors": "pt"}
        if not self.shows_video:
            return self.processor(images=[list(clip_THWC) for clip_THWC in clips], **common)
        videos = [torch.from_numpy(clip_THWC).permute(0, 3, 1, 2) for clip_THWC in clips]
        metadata = [_metadata(r, shown) for r, shown in zip(batch, indices, strict=True)]
        return self.processor(videos=videos, video_metadata=metadata, do_sample_frames=False, **common)

    def _format_prompt(self, request: CaptionRequest, frames: int) -> str:
        """Return the prompt with video or image placeholders, using the chat template if there is one."""
        placeholders = [{"type": "video"}] if self.shows_video else [{"type": "image"}] * frames
        if getattr(self.processor, "chat_template", None):
            content = [*placeholders, {"type": "text", "text": request.prompt.text}]
            chat = [{"role": "user", "content": content}]
            return self.processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        kind = "video" if self.shows_video else "image"
        token = getattr(self.processor, f"{kind}_token", f"<{kind}>")
        return f"{token * len(placeholders)}\n{request.prompt.text}\n"

    def _answer_tokens(self, out_BL: torch.Tensor, ended_BL: torch.Tensor) -> list[list[int]]:
        """Return the tokens of each answer before its end token, without padding.

        Special tokens are kept: they tell thoughts and turns from the answer (captioner/markup.py).
        """
        padding = self.processor.tokenizer.pad_token_id
        length_B = torch.where(ended_BL.any(1), ended_BL.int().argmax(1), out_BL.shape[1]).tolist()
        rows = zip(out_BL.tolist(), length_B, strict=True)
        return [[token for token in row[:length] if token != padding] for row, length in rows]

    def _end_tokens(self) -> torch.Tensor:
        ends = self.model.generation_config.eos_token_id
        if ends is None:
            ends = self.processor.tokenizer.eos_token_id
        return torch.tensor([] if ends is None else ends).flatten().long()


class _TokenConfidence(LogitsProcessor):
    """Records the probability of the most likely token at each step."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.steps.append(scores.float().softmax(-1).amax(-1))
        return scores

    def mean(self, ended_BL: torch.Tensor) -> list[float]:
        """Return the mean of each answer over its tokens, including the first end token."""
        confidence_BL = torch.stack(self.steps, dim=1)
        padding_BL = ended_BL.cumsum(1) - ended_BL.long() > 0
        answer_BL = (~padding_BL).float()
        return ((confidence_BL * answer_BL).sum(1) / answer_BL.sum(1)).tolist()


def _metadata(request: CaptionRequest, shown: tuple[int, ...]) -> VideoMetadata:
    """Return frame times, for processors that write them into the prompt."""
    duration_s = request.times_s[shown[-1]] - request.times_s[shown[0]]
    fps = (len(shown) - 1) / duration_s if duration_s > 0 else 1.0
    return VideoMetadata(total_num_frames=len(shown), fps=fps, frames_indices=list(range(len(shown))))


def _sampling(config: VlmConfig) -> dict[str, Any]:
    if config.temperature == 0:
        return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    return {"do_sample": True, "temperature": config.temperature}


def _decoding(config: VlmConfig) -> dict[str, Any]:
    """Return the decoding parameters that captions store, under their stored names."""
    names = ("frames", "fps", "max_new_tokens", "temperature", "dtype")
    return old_keys(VlmConfig, {name: getattr(config, name) for name in names})


def _revision(config: VlmConfig, model: Any) -> str:
    """Return an identifier of the weights: the hub commit, or a digest of the folder's safetensors files."""
    if commit := getattr(model.config, "_commit_hash", None):
        return commit
    return digest_files(sorted(Path(config.model).glob("*.safetensors")), size=8)
