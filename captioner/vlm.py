"""Captions by any image-text-to-text model of transformers, from a folder or the hub.

Shapes: B requests of a batch, T frames of one clip, H x W pixels, C channels (RGB), L tokens, V words.
"""

import json
import time
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, LogitsProcessor, LogitsProcessorList
from transformers.video_utils import VideoMetadata

from captioner.config import VlmConfig
from captioner.frames import largest_gap_s, sample_at_fps, sample_uniform
from captioner.outcome import classify
from captioner.protocol import CaptionAnswer, CaptionRequest, Provenance
from manifests.records import Outcome


class TransformersCaptioner:
    """Holds one model and its processor. Shows a video where the processor takes one, else several images."""

    def __init__(self, config: VlmConfig, *, captioner: str = "vlm", name: str | None = None) -> None:
        """Load the model: safetensors only, and no code from the hub.

        Args:
            captioner: label of every caption, `vlm` or `embedded`.
            name: what captions call the model; its path or hub name when left out.

        Raises:
            OSError: if the folder or the hub has no such model, as transformers explains it.
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
        self.shows_video = getattr(self.processor, "video_processor", None) is not None
        self.provenance = Provenance(
            captioner=captioner,
            model=name or config.model,
            revision=_revision(config, self.model),
            decoding=json.dumps(_decoding(config), sort_keys=True),
        )

    def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        """Answer every request, those of one prompt and frame size together; match the answers by clip id."""
        order = sorted(requests, key=lambda r: (r.prompt.digest, r.frames_THWC.shape[1:3], r.clip_id))
        size = self.config.batch_size
        answers = []
        for start in range(0, len(order), size):
            answers += self._answer(order[start : start + size])
        return answers

    def _answer(self, batch: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        """Answer one batch, or its halves when it fails: a bad request costs only its own answer."""
        if sparse := [r for r in batch if self._too_sparse(r)]:
            rest = [r for r in batch if not self._too_sparse(r)]
            return [self._failed(r, self._sparse_detail(r)) for r in sparse] + (
                self._answer(rest) if rest else []
            )
        try:
            return self._generate(batch)
        except (RuntimeError, ValueError, IndexError) as error:
            if len(batch) == 1:
                return [self._failed(batch[0], f"{type(error).__name__}: {error}"[:500])]
        half = len(batch) // 2
        return self._answer(batch[:half]) + self._answer(batch[half:])

    @torch.inference_mode()
    def _generate(self, batch: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        shown = [self._shown(request) for request in batch]
        inputs = self._inputs(batch, shown).to(self.model.device, self.model.dtype)
        certainty = _Certainty()
        began = time.monotonic()
        out_BL = self.model.generate(
            **inputs,
            max_new_tokens=self.config.max_new_tokens,
            logits_processor=LogitsProcessorList([certainty]),
            **_sampling(self.config),
            **({"max_time": self.config.timeout_s} if self.config.timeout_s else {}),
        )
        late = self.config.timeout_s is not None and time.monotonic() - began >= self.config.timeout_s
        if not self.model.config.is_encoder_decoder:
            out_BL = out_BL[:, inputs["input_ids"].shape[1] :]
        ended_BL = torch.isin(out_BL, self._end_tokens().to(out_BL.device))
        texts = self.processor.batch_decode(out_BL, skip_special_tokens=True)
        sure_B = certainty.mean(ended_BL)
        return [
            self._read(request, indices, text, ended=bool(ended), late=late, confidence=sure)
            for request, indices, text, ended, sure in zip(
                batch, shown, texts, ended_BL.any(1), sure_B, strict=True
            )
        ]

    def _read(
        self,
        request: CaptionRequest,
        shown: tuple[int, ...],
        raw: str,
        *,
        ended: bool,
        late: bool,
        confidence: float,
    ) -> CaptionAnswer:
        outcome, detail = classify(raw, ended=ended)
        if outcome is Outcome.TRUNCATED and late:
            outcome, detail = Outcome.TIMEOUT, f"not finished after {self.config.timeout_s} s"
        return CaptionAnswer(
            clip_id=request.clip_id,
            prompt_digest=request.prompt.digest,
            outcome=outcome,
            text=raw.strip() if outcome is Outcome.OK else None,
            raw=raw,
            frames_shown=shown,
            provenance=self.provenance,
            confidence=confidence,
            detail=detail,
        )

    def _failed(self, request: CaptionRequest, detail: str) -> CaptionAnswer:
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

    def _shown(self, request: CaptionRequest) -> tuple[int, ...]:
        if self.config.rate_hz is None:
            return sample_uniform(len(request.times_s), self.config.frames)
        return sample_at_fps(request.times_s, self.config.rate_hz, self.config.frames)

    def _too_sparse(self, request: CaptionRequest) -> bool:
        rate = self.config.rate_hz
        return rate is not None and largest_gap_s(request.times_s, self.config.frames / rate) > 1.5 / rate

    def _sparse_detail(self, request: CaptionRequest) -> str:
        rate = self.config.rate_hz or 0.0
        gap = largest_gap_s(request.times_s, self.config.frames / rate)
        return f"frames lie up to {gap:.2f} s apart; give this captioner at least {rate:g} a second"

    def _inputs(self, batch: Sequence[CaptionRequest], shown: Sequence[tuple[int, ...]]) -> Any:
        """Return the processor's BatchFeature for the frames shown and the prompts, padded on the left."""
        clips = [r.frames_THWC[list(indices)] for r, indices in zip(batch, shown, strict=True)]
        texts = [self._question(r, len(clip)) for r, clip in zip(batch, clips, strict=True)]
        common = {"text": texts, "padding": True, "return_tensors": "pt"}
        if not self.shows_video:
            return self.processor(images=[list(clip_THWC) for clip_THWC in clips], **common)
        videos = [torch.from_numpy(clip_THWC).permute(0, 3, 1, 2) for clip_THWC in clips]
        facts = [_metadata(r, indices) for r, indices in zip(batch, shown, strict=True)]
        return self.processor(videos=videos, video_metadata=facts, do_sample_frames=False, **common)

    def _question(self, request: CaptionRequest, frames: int) -> str:
        """Return the text with its places for the video or images, by the chat template if there is one."""
        places = [{"type": "video"}] if self.shows_video else [{"type": "image"}] * frames
        if getattr(self.processor, "chat_template", None):
            content = [*places, {"type": "text", "text": request.prompt.text}]
            chat = [{"role": "user", "content": content}]
            return self.processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        kind = "video" if self.shows_video else "image"
        token = getattr(self.processor, f"{kind}_token", f"<{kind}>")
        return f"{token * len(places)}\n{request.prompt.text}\n"

    def _end_tokens(self) -> torch.Tensor:
        ends = self.model.generation_config.eos_token_id
        if ends is None:
            ends = self.processor.tokenizer.eos_token_id
        return torch.tensor([] if ends is None else ends).flatten().long()


class _Certainty(LogitsProcessor):
    """Notes how probable the likeliest token was at each step; changes nothing."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.steps.append(scores.float().softmax(-1).amax(-1))
        return scores

    def mean(self, ended_BL: torch.Tensor) -> list[float]:
        """Return each answer's mean over its tokens, the first end token included."""
        sure_BL = torch.stack(self.steps, dim=1)
        after_BL = ended_BL.cumsum(1) - ended_BL.long() > 0
        told_BL = (~after_BL).float()
        return ((sure_BL * told_BL).sum(1) / told_BL.sum(1)).tolist()


def _metadata(request: CaptionRequest, shown: tuple[int, ...]) -> VideoMetadata:
    """Return when the shown frames are shown, for processors that write times into the prompt."""
    last = request.times_s[shown[-1]] - request.times_s[shown[0]]
    fps = (len(shown) - 1) / last if last > 0 else 1.0
    return VideoMetadata(total_num_frames=len(shown), fps=fps, frames_indices=list(range(len(shown))))


def _sampling(config: VlmConfig) -> dict[str, Any]:
    if config.temperature == 0:
        return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    return {"do_sample": True, "temperature": config.temperature}


def _decoding(config: VlmConfig) -> dict[str, Any]:
    names = ("frames", "rate_hz", "max_new_tokens", "temperature", "dtype")
    return {name: getattr(config, name) for name in names}


def _revision(config: VlmConfig, model: Any) -> str:
    """Return what names these very weights: the hub's commit, or a digest of a folder's weights."""
    if commit := getattr(model.config, "_commit_hash", None):
        return commit
    state = blake2b(digest_size=8)
    for path in sorted(Path(config.model).glob("*.safetensors")):
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                state.update(block)
    return state.hexdigest()
