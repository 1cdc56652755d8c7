"""Captions by vLLM, whose engines run in processes of their own.

Here frames are chosen and answers read, in Kinora's environment; `captioner.vllm_engine` generates, in one
that has vLLM. `pipeline.caption.engines` starts the engines on Ray.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence

from captioner.answers import read_reply
from captioner.choices import chances_of_reply
from captioner.config import VllmConfig
from captioner.frames import choose_frames, sparse_detail
from captioner.markup import Markup
from captioner.parts import answer_schema
from captioner.prompts import Prompt
from captioner.protocol import CaptionAnswer, CaptioningStopped, CaptionRequest, Provenance, Usage
from captioner.vllm_protocol import Engine, EngineGone, EngineLost, EnginePrompt, EngineRequest, Generation
from manifests.digest import digest_parts
from manifests.records import Outcome

MAX_DEATHS = 2
"""Deaths of an engine, with a clip alone in it, after which the clip fails."""
_ALTERNATIVES = 20
"""The most that vLLM gives by default."""
_DECODING = (
    "frames",
    "fps",
    "frames_by",
    "max_new_tokens",
    "temperature",
    "dtype",
    "max_model_len",
    "json_schema",
)


class VllmCaptioner:
    """Asks engines about many clips at a time; each answers them by continuous batching."""

    def __init__(self, config: VllmConfig, engines: Sequence[Engine], *, max_bytes: int) -> None:
        """Args:
        engines: with the same model. The prompts about a clip go to one of them.
        max_bytes: bytes of frames, at most, that engines are given at a time.
        """
        self.config, self.usage = config, Usage()
        self._engines, self._max_bytes = engines, max_bytes
        self.provenance = Provenance(
            captioner="vllm",
            model=config.model,
            revision=engines[0].info.revision,
            decoding=json.dumps({name: getattr(config, name) for name in _DECODING}, sort_keys=True),
        )

    def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        """Answer every request.

        Clips that an engine had in work when its process ended are asked again, alone; one that ends it
        `MAX_DEATHS` times alone fails.

        Raises CaptioningStopped, with the answers so far, if an engine cannot be started again.
        """
        by_clip: dict[tuple[str, int], list[CaptionRequest]] = {}
        answers: list[CaptionAnswer] = []
        for request in requests:
            if detail := sparse_detail(request.times_s, self.config.frames, self.config.fps):
                answers.append(self._to_answer(request, (), outcome=Outcome.ERROR, detail=detail))
            else:
                by_clip.setdefault((request.clip_id, id(request.frames_THWC)), []).append(request)
        gone = asyncio.run(self._ask_all([*by_clip.values()], answers))
        if gone:
            raise CaptioningStopped(gone, answers)
        return answers

    async def _ask_all(self, clips: Sequence[Sequence[CaptionRequest]], answers: list[CaptionAnswer]) -> str:
        """Append the answers about clips; return why an engine is gone, if one is."""
        turns, gone = asyncio.Semaphore(self._most_clips(clips)), ""

        async def ask(clip: Sequence[CaptionRequest]) -> Sequence[CaptionRequest] | None:
            """Return the clip if its engine was lost."""
            nonlocal gone
            async with turns:
                if gone:
                    return None
                try:
                    answers.extend(await self._ask(clip, alone=False))
                except EngineLost:
                    return clip
                except EngineGone as error:
                    gone = str(error)
            return None

        lost = [clip for clip in await asyncio.gather(*map(ask, clips)) if clip is not None]
        try:
            for clip in lost:
                if not gone:
                    answers.extend(await self._ask_alone(clip))
        except EngineGone as error:
            gone = str(error)
        return gone

    async def _ask_alone(self, clip: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        detail = ""
        for _ in range(MAX_DEATHS):
            try:
                return await self._ask(clip, alone=True)
            except EngineLost as error:
                detail = f"ended vLLM's process {MAX_DEATHS} times, alone in it: {error}"
        return [self._to_answer(request, (), outcome=Outcome.ERROR, detail=detail) for request in clip]

    async def _ask(self, clip: Sequence[CaptionRequest], *, alone: bool) -> list[CaptionAnswer]:
        first = clip[0]
        config = self.config
        shown = choose_frames(
            first.frames_THWC, first.times_s, count=config.frames, fps=config.fps, by=config.frames_by
        )
        times = tuple(first.times_s[index] for index in shown)
        if config.fps is not None:
            times = tuple(times[0] + k / config.fps for k in range(len(shown)))
        request = EngineRequest(
            clip_id=first.clip_id,
            frames_THWC=first.frames_THWC[list(shown)],
            times_s=times,
            prompts=tuple(self._engine_prompt(asked.clip_id, asked.prompt) for asked in clip),
        )
        engine = self._engines[int(digest_parts(first.clip_id)[:8], 16) % len(self._engines)]
        generations = await (engine.answer_alone(request) if alone else engine.answer(request))
        return [
            self._read(asked, shown, generation, engine.info.markup)
            for asked, generation in zip(clip, generations, strict=True)
        ]

    def _engine_prompt(self, clip_id: str, prompt: Prompt) -> EnginePrompt:
        return EnginePrompt(
            text=prompt.text,
            seed=int(digest_parts(clip_id, prompt.digest)[:15], 16),
            schema=answer_schema(prompt) if prompt.wants_json and self.config.json_schema else None,
            num_alternatives=_ALTERNATIVES if prompt.choices else 1,
        )

    def _read(
        self, request: CaptionRequest, shown: tuple[int, ...], generation: Generation, markup: Markup
    ) -> CaptionAnswer:
        if generation.error:
            return self._to_answer(request, (), outcome=Outcome.ERROR, detail=generation.error)
        self.usage.input_tokens += generation.input_tokens
        self.usage.output_tokens += generation.output_tokens
        self.usage.cached_tokens += generation.cached_tokens
        answer = read_reply(generation.text, request.prompt, ended=generation.ended, markup=markup)
        choices = request.prompt.choices
        outcome, detail = answer.outcome, answer.detail
        if generation.timed_out:
            outcome, detail = Outcome.TIMEOUT, f"not finished after {self.config.timeout_s} s"
        return self._to_answer(
            request,
            shown,
            outcome=outcome,
            detail=detail,
            text=None if generation.timed_out else answer.text,
            texts={} if generation.timed_out else answer.texts,
            chances=chances_of_reply(generation.tokens, answer.text, choices, markup) if choices else {},
            generation=generation,
        )

    def _to_answer(
        self,
        request: CaptionRequest,
        shown: tuple[int, ...],
        *,
        outcome: Outcome,
        detail: str,
        text: str | None = None,
        texts: Mapping[str, str] | None = None,
        chances: Mapping[str, float] | None = None,
        generation: Generation | None = None,
    ) -> CaptionAnswer:
        return CaptionAnswer(
            clip_id=request.clip_id,
            prompt_digest=request.prompt.digest,
            outcome=outcome,
            text=text,
            texts=texts or {},
            chances=chances or {},
            raw=generation.text if generation else "",
            frames_shown=shown,
            provenance=self.provenance,
            confidence=generation.confidence if generation else None,
            detail=detail,
        )

    def _most_clips(self, clips: Sequence[Sequence[CaptionRequest]]) -> int:
        """Return the number of clips whose frames engines are given at a time."""
        sizes = [clip[0].frames_THWC[0].nbytes * self.config.frames for clip in clips]
        return max(1, self._max_bytes // max(sizes, default=1))
