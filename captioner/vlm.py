"""Captions from any image-text-to-text model of transformers.

Shapes: B requests of a batch, T frames of one clip, H x W pixels, C channels (RGB), L tokens, V words.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from captioner.answers import read_reply
from captioner.choices import answer_position, chances, token_groups
from captioner.config import VlmConfig
from captioner.frames import choose_frames, sparse_detail
from captioner.markup import Markup
from captioner.prompts import Prompt
from captioner.protocol import CaptionAnswer, CaptionRequest, DeviceLost, Provenance
from captioner.unsure import leave_out_unsure
from captioner.vlm_generate import Generated, Reading, end_tokens
from captioner.vlm_inputs import VlmInputs, model_revision, to_device
from captioner.vlm_types import REMEDY
from captioner.weight_files import naming_broken_weights
from manifests.digest import digest_parts
from manifests.records import Outcome
from manifests.renamed_fields import old_keys

Clip = list[CaptionRequest]
"""The prompts about one clip."""
_TRIED_SIZE = (90, 160)
"""Height and width of the frames that a model is tried with: multiples of no patch size."""


class TransformersCaptioner:
    """A transformers model and its processor. Passes a video if the processor accepts one, else images."""

    def __init__(
        self,
        config: VlmConfig,
        *,
        captioner: str = "vlm",
        name: str | None = None,
        least_chance: float = 0.0,
    ) -> None:
        """Load the model from safetensors, without remote code, and try it on one clip of noise.

        Args:
            captioner: captioner label in provenance, `vlm` or `embedded`.
            name: model name in provenance; default: its path or hub name.
            least_chance: leave out of texts the clauses whose words together are less likely, 0 to 1; for
                models whose tokens are words. `raw` has all that was answered.

        Raises:
            OSError: if the model does not exist.
            ValueError: if it cannot caption clips of `config.frames` frames; the message says what to use.
        """
        self.config, self._least_chance = config, least_chance
        device = config.device if config.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        self.processor = _load_processor(config)
        with naming_broken_weights(f"captioner.{captioner}.model", config.model):
            self.model: Any = AutoModelForImageTextToText.from_pretrained(
                config.model, revision=config.revision, dtype=config.dtype, use_safetensors=True
            )
        self.model.eval().requires_grad_(False).to(torch.device(device))
        self.inputs = VlmInputs(self.processor, self.model.config.model_type)
        tokenizer = self.processor.tokenizer
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.shares_reading = False
        self._groups: dict[tuple[str, ...], dict[str, list[int]]] = {(): {}}
        self.markup = Markup.of(self.processor)
        self.provenance = Provenance(
            captioner=captioner,
            model=name or config.model,
            revision=model_revision(config, self.model.config),
            decoding=json.dumps(
                _decoding(config) | ({"least_chance": least_chance} if least_chance else {}), sort_keys=True
            ),
        )
        self._try_out()

    @property
    def shows_video(self) -> bool:
        """Whether the model takes a clip as one video, not as images."""
        return self.inputs.shows_video

    def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        """Answer every request. What else is in a batch does not change an answer.

        A batch holds clips with the same prompts and frames of one number and size: processors pad others,
        and some models see the padding, or are told the number of frames of the longest clip. The prompts
        about a clip are answered from one reading of its frames, where the model allows it.

        Raises DeviceLost if the GPU no longer works.
        """
        answers = [
            self._error_answer(request, detail) for request in requests if (detail := self._sparse(request))
        ]
        ready = [request for request in requests if not self._sparse(request)]
        for batch in self._batches(ready):
            answers += self._answer(batch)
        return answers

    def _batches(self, requests: Sequence[CaptionRequest]) -> Iterator[list[Clip]]:
        def alike(clip: Clip) -> tuple[list[str], int, int, int]:
            height, width = clip[0].frames_THWC.shape[1:3]
            prompts = [request.prompt.digest for request in clip]
            return prompts, len(self.sample_indices(clip[0])), height, width

        by_clip: dict[tuple[str, int], Clip] = {}
        for request in requests:
            by_clip.setdefault((request.clip_id, id(request.frames_THWC)), []).append(request)
        size = 1 if self.inputs.type.one_by_one else self.config.batch_size
        clips = sorted(by_clip.values(), key=lambda clip: (*alike(clip), clip[0].clip_id))
        for _, group in groupby(clips, key=alike):
            members = list(group)
            for start in range(0, len(members), size):
                yield members[start : start + size]

    def _answer(self, batch: Sequence[Clip]) -> list[CaptionAnswer]:
        """Answer one batch; split it on failure, so that a bad request fails alone."""
        try:
            return self._generate(batch)
        except Exception as error:
            if _is_device_lost(error):
                raise DeviceLost(f"{self.model.device}: {error}") from error
            if len(batch) == 1 and len(batch[0]) == 1:
                return [self._error_answer(batch[0][0], f"{type(error).__name__}: {error}"[:500])]
        if len(batch) == 1:
            return [answer for request in batch[0] for answer in self._answer([[request]])]
        half = len(batch) // 2
        return self._answer(batch[:half]) + self._answer(batch[half:])

    @torch.inference_mode()
    def _generate(self, batch: Sequence[Clip]) -> list[CaptionAnswer]:
        indices = [self.sample_indices(clip[0]) for clip in batch]
        reading, ids = self._read([clip[0] for clip in batch], indices)
        answers = self._answers([clip[0] for clip in batch], indices, partial(reading.answer, self.config))
        for number, other in enumerate(batch[0][1:], 1):
            asked = [clip[number] for clip in batch]
            ends = self.inputs.other_end(batch[0][0], other, ids, len(indices[0]))
            if self.shares_reading and reading.can_go_on and ends:
                go_on = partial(reading.answer_other, *ends, self.config)
                answers += self._answers(asked, indices, go_on)
            else:
                again, _ = self._read(asked, indices)
                answers += self._answers(asked, indices, partial(again.answer, self.config))
        return answers

    def _read(
        self, batch: Sequence[CaptionRequest], indices: Sequence[tuple[int, ...]]
    ) -> tuple[Reading, list[int]]:
        """Return the inputs of a batch, and the tokens of its first prompt."""
        inputs = to_device(self._inputs(batch, indices), self.model.device, self.model.dtype)
        ends = end_tokens(self.model, self.processor.tokenizer)
        return Reading(self.model, inputs, ends), inputs["input_ids"][0].tolist()

    def _answers(
        self,
        batch: Sequence[CaptionRequest],
        indices: Sequence[tuple[int, ...]],
        generate: Callable[..., Generated],
    ) -> list[CaptionAnswer]:
        started, choices = time.monotonic(), batch[0].prompt.choices
        with self._seeded(batch):
            generated = generate(groups=[*self._token_groups(choices).values()])
        timed_out = self.config.timeout_s is not None and time.monotonic() - started >= self.config.timeout_s
        # special tokens tell thoughts and turns from the answer (captioner/markup.py)
        tokens = generated.answers(self.processor.tokenizer.pad_token_id)
        texts = self.processor.tokenizer.batch_decode(tokens, skip_special_tokens=False)
        sure = self._sure(generated) if self._least_chance else texts
        ended_B = generated.ended_BL.any(1).tolist()
        answers = [
            self._to_answer(
                request, shown, raw, said=said, ended=ended, timed_out=timed_out, confidence=confidence
            )
            for request, shown, said, raw, ended, confidence in zip(
                batch, indices, sure, texts, ended_B, generated.confidences, strict=True
            )
        ]
        if generated.choices_BLG is None:
            return answers
        steps = zip(answers, generated.unpadded(), generated.choices_BLG, strict=True)
        return [replace(each, chances=self._chances(each, row, of_LG, choices)) for each, row, of_LG in steps]

    def _sure(self, generated: Generated) -> list[str]:
        """Return the answers without what the model was not sure of."""
        tokenizer, chances_BL = self.processor.tokenizer, generated.chances_BL
        assert chances_BL is not None
        return [
            tokenizer.convert_tokens_to_string(
                leave_out_unsure(tokenizer.convert_ids_to_tokens(tokens), chances, self._least_chance)
            )
            for tokens, chances in zip(generated.unpadded(), chances_BL.tolist(), strict=True)
        ]

    def _token_groups(self, choices: tuple[str, ...]) -> dict[str, list[int]]:
        """Return the ids of the tokens that are each choice, found once."""
        if choices not in self._groups:
            self._groups[choices] = token_groups(self.processor.tokenizer.get_vocab(), choices)
        return self._groups[choices]

    def _chances(
        self, answer: CaptionAnswer, tokens: list[int], likely_LG: torch.Tensor, choices: tuple[str, ...]
    ) -> dict[str, float]:
        """Return the probability of each choice where the answer begins; empty if no token is the choice."""
        if answer.text is None:
            return {}
        decode = partial(self.processor.tokenizer.decode, skip_special_tokens=False)
        words = [decode([token]) for token in tokens]
        index = answer_position(words, lambda i: decode(tokens[i:]), answer.text, choices, self.markup)
        return {} if index is None else chances(dict(zip(choices, likely_LG[index].tolist(), strict=True)))

    @contextmanager
    def _seeded(self, batch: Sequence[CaptionRequest]) -> Iterator[None]:
        """Seed what is drawn at random by the clips and prompts of a batch, and nothing else."""
        if not self.inputs.type.draws and self.config.temperature == 0:
            yield
            return
        asked = (part for request in batch for part in (request.clip_id, request.prompt.digest))
        device = self.model.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(int(digest_parts(*asked)[:15], 16))
            yield

    def _inputs(self, batch: Sequence[CaptionRequest], indices: Sequence[tuple[int, ...]]) -> dict[str, Any]:
        return self.inputs.build(batch, indices, self.config.fps)

    def _to_answer(
        self,
        request: CaptionRequest,
        shown: tuple[int, ...],
        raw: str,
        *,
        said: str,
        ended: bool,
        timed_out: bool,
        confidence: float | None,
    ) -> CaptionAnswer:
        answer = read_reply(said, request.prompt, ended=ended, markup=self.markup)
        outcome, detail = answer.outcome, answer.detail
        if outcome is Outcome.TRUNCATED and timed_out:
            outcome, detail = Outcome.TIMEOUT, f"not finished after {self.config.timeout_s} s"
        return CaptionAnswer(
            clip_id=request.clip_id,
            prompt_digest=request.prompt.digest,
            outcome=outcome,
            text=answer.text,
            texts=answer.texts,
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

    def sample_indices(self, request: CaptionRequest) -> tuple[int, ...]:
        """Return the frames of a request that the model is shown."""
        config = self.config
        return choose_frames(
            request.frames_THWC, request.times_s, count=config.frames, fps=config.fps, by=config.frames_by
        )

    def _sparse(self, request: CaptionRequest) -> str:
        return sparse_detail(request.times_s, self.config.frames, self.config.fps)

    def _try_out(self) -> None:
        """Read one clip of noise and generate a token, so that an unfit model fails before it has work.

        Raises ValueError with what to use instead.
        """
        frames, type_name = self.config.frames, self.model.config.model_type
        if (limit := self.inputs.max_frames) is not None and frames > limit:
            raise ValueError(
                f"captioner.vlm.frames is {frames}, but {self.config.model} (type {type_name}) takes "
                f"{limit} per prompt: set it to {limit}, or {REMEDY}"
            )
        rng = np.random.default_rng(0)
        noise_THWC = rng.integers(0, 255, (frames, *_TRIED_SIZE, 3), dtype=np.uint8)
        times_s = tuple(k / (self.config.fps or 4.0) for k in range(frames))
        asked = [
            CaptionRequest(
                clip_id="trial",
                media_id="trial",
                frames_THWC=noise_THWC,
                times_s=times_s,
                prompt=Prompt(name="trial", text=text),
            )
            for text in ("Describe the video.", "What moves, and where to?")
        ]
        try:
            self.shares_reading = self._can_share(asked[0], asked[1])
        except MemoryError:
            raise
        except Exception as error:
            if isinstance(error, torch.cuda.OutOfMemoryError) or _is_device_lost(error):
                raise
            raise ValueError(
                f"captioner.vlm.model: {self.config.model} (type {type_name}) cannot caption a clip of "
                f"{frames} frames by this version of transformers: {type(error).__name__}: {error}; {REMEDY}"
            ) from error

    @torch.inference_mode()
    def _can_share(self, first: CaptionRequest, other: CaptionRequest) -> bool:
        """Whether a second prompt is answered from the reading of the first as from one of its own.

        It is not where the frames see the prompt, as in PaliGemma, or where the cache cannot be cut.
        """
        indices = [tuple(range(len(first.times_s)))]
        reading, ids = self._read([first], indices)
        reading.answer(self.config, max_new_tokens=1)
        ends = self.inputs.other_end(first, other, ids, len(indices[0]))
        if not ends or not reading.can_go_on:
            return False
        try:
            shared = reading.answer_other(*ends, self.config, max_new_tokens=1).first_scores_BV
        except (RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
            if _is_device_lost(error):
                raise
            return False  # it cannot go on from a cache, or not without pictures
        alone = self._read([other], indices)[0].answer(self.config, max_new_tokens=1).first_scores_BV
        if shared is None or alone is None:
            return False
        tolerance = 1e-3 if self.model.dtype == torch.float32 else 0.05
        shared, alone = shared.softmax(-1), alone.softmax(-1)
        return float((shared - alone).norm() / alone.norm()) < tolerance


def _load_processor(config: VlmConfig) -> Any:
    """Load the processor. Raises ValueError for a model without one that takes pictures."""
    processor = AutoProcessor.from_pretrained(config.model, revision=config.revision)
    if getattr(processor, "tokenizer", None) is None:
        raise ValueError(
            f"captioner.vlm.model: {config.model} has no processor of pictures and prompts, only a "
            f"{type(processor).__name__}; {REMEDY}"
        )
    return processor


def _is_device_lost(error: Exception) -> bool:
    """Return whether a GPU has stopped working for this process, as after an illegal access."""
    lost = getattr(torch, "AcceleratorError", ())
    return isinstance(error, lost) and not isinstance(error, torch.cuda.OutOfMemoryError)


def _decoding(config: VlmConfig) -> dict[str, Any]:
    """Return the decoding parameters that captions store, under their stored names."""
    names = ("frames", "fps", "frames_by", "max_new_tokens", "temperature", "dtype")
    return old_keys(VlmConfig, {name: getattr(config, name) for name in names})
