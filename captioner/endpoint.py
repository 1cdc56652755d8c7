"""Captions from a server with OpenAI's chat completions: vLLM, SGLang, llama.cpp and others.

The frames are sent as pictures, with their times as text between: a server given a video picks frames of its
own and tells the model other times. Prompts about one clip follow each other and share their beginning, so
that a server that keeps prefixes reads the pictures once.

Shapes: T frames of one clip, H x W pixels, C = 3 (RGB, uint8).
"""

import asyncio
import base64
import json
import os
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import cv2
import numpy as np

from captioner.answers import read_reply
from captioner.chat_client import ChatClient, Reply, RequestFailed
from captioner.choices import chances_of_reply
from captioner.config import EndpointConfig
from captioner.frames import choose_frames
from captioner.markup import Markup
from captioner.parts import answer_schema
from captioner.prompts import Prompt
from captioner.protocol import CaptionAnswer, CaptioningStopped, CaptionRequest, Provenance, Usage
from manifests.records import Outcome

_TRIED_SIZE = (360, 640)
"""Height and width of the frames of the trial request."""
_CHARS_PER_TOKEN = 32
"""An answer with more characters than its tokens can hold is none."""
_TOP_LOGPROBS = 20
"""The most that OpenAI's interface gives."""
_PER_MILLION = 1e6
_MARKUP = Markup()
_NO_LOGPROBS = "; set logprobs to false for servers that give no probabilities of tokens"
_TRIAL = Prompt(name="trial", text="Describe the video.")


class EndpointCaptioner:
    """A model behind an API, asked by many requests at a time."""

    def __init__(self, config: EndpointConfig, trial: Prompt = _TRIAL) -> None:
        """Ask the server for one token about one clip of noise, with a prompt like those to come.

        Raises ValueError if the server cannot be asked: wrong address, key, model or number of frames.
        """
        self.config, self.usage = config, Usage()
        self._stopped = ""
        self._failures = 0  # in a row, of requests whose every try failed
        self._reserved = 0.0  # the highest cost of what is in flight
        self._input_tokens = 0  # of the longest prompt so far
        self._key = _api_key(config)
        self._decoding = json.dumps(_decoding(config), sort_keys=True)
        if config.max_cost is not None and not (config.input_price or config.output_price):
            raise ValueError("captioner.endpoint.max_cost needs prices: set input_price and output_price too")
        self._try_out(trial)

    def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        """Answer every request.

        Raises CaptioningStopped, with the answers so far, at `max_cost` or once the server is down.
        """
        answers = asyncio.run(self._caption(requests))
        if self._stopped:
            raise CaptioningStopped(self._stopped, answers)
        return answers

    async def _caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        clips = [
            list(group)
            for _, group in groupby(sorted(requests, key=lambda r: r.clip_id), key=lambda r: r.clip_id)
        ]
        turns = asyncio.Semaphore(self.config.concurrency)
        async with ChatClient(self.config, self._key) as client:
            found = await asyncio.gather(*(self._caption_clip(clip, client, turns) for clip in clips))
        return [answer for answers in found for answer in answers]

    async def _caption_clip(
        self, requests: Sequence[CaptionRequest], client: ChatClient, turns: asyncio.Semaphore
    ) -> list[CaptionAnswer]:
        """Ask the prompts about one clip, one after another."""
        answers: list[CaptionAnswer] = []
        async with turns:
            if self._stopped:
                return answers
            shown = self._sample_indices(requests[0])
            pictures = await asyncio.to_thread(self._pictures, requests[0], shown)
            for request in requests:
                answer = await self._ask(request, shown, pictures, client)
                if answer is None:
                    break
                answers.append(answer)
        return answers

    async def _ask(
        self,
        request: CaptionRequest,
        shown: tuple[int, ...],
        pictures: list[dict[str, Any]],
        client: ChatClient,
    ) -> CaptionAnswer | None:
        """Answer a request; None if it was not asked."""
        bound = self._highest_cost()
        limit = self.config.max_cost
        if limit is not None and self.usage.cost + self._reserved + bound > limit and not self._stopped:
            self._stopped = f"another request could cost more than max_cost ({limit:g})"
        if self._stopped:
            return None
        self._reserved += bound
        try:
            reply = await client.ask(
                self._body(request.prompt, pictures), seed=f"{request.clip_id} {request.prompt.digest}"
            )
        except RequestFailed as failed:
            if failed.outcome is Outcome.TIMEOUT:  # the server may have worked, and bill it
                self.usage.cost += bound
            if self._gives_up(failed):
                return None
            return self._to_answer(request, (), failed.outcome, detail=str(failed))
        finally:
            self._reserved -= bound
        self._failures = 0
        self._count(reply)
        return self._read(request, shown, reply)

    def _gives_up(self, failed: RequestFailed) -> bool:
        """Whether the server no longer answers anybody, so that the rest is left for another run."""
        self._failures += 1
        if not self._stopped and (failed.for_all or self._failures > 2 * self.config.concurrency):
            self._stopped = str(failed)
        return failed.for_all or bool(self._stopped)

    def _read(self, request: CaptionRequest, shown: tuple[int, ...], reply: Reply) -> CaptionAnswer:
        if len(reply.text) > _CHARS_PER_TOKEN * self.config.max_new_tokens:
            detail = (
                f"an answer of {len(reply.text)} characters to at most {self.config.max_new_tokens} tokens"
            )
            return self._to_answer(request, shown, Outcome.DEGENERATE, reply=reply, detail=detail)
        if reply.refused:
            detail = f"the server refuses: {reply.text[:80]!r}"
            return self._to_answer(request, shown, Outcome.REFUSED, reply=reply, detail=detail)
        answer = read_reply(reply.text, request.prompt, ended=reply.ended, markup=_MARKUP)
        choices = request.prompt.choices
        chances = chances_of_reply(reply.tokens, answer.text, choices, _MARKUP) if choices else {}
        return self._to_answer(
            request,
            shown,
            answer.outcome,
            reply=reply,
            text=answer.text,
            texts=answer.texts,
            chances=chances,
            detail=answer.detail,
        )

    def _to_answer(
        self,
        request: CaptionRequest,
        shown: tuple[int, ...],
        outcome: Outcome,
        *,
        reply: Reply | None = None,
        text: str | None = None,
        texts: Mapping[str, str] | None = None,
        chances: dict[str, float] | None = None,
        detail: str = "",
    ) -> CaptionAnswer:
        return CaptionAnswer(
            clip_id=request.clip_id,
            prompt_digest=request.prompt.digest,
            outcome=outcome,
            text=text,
            texts=texts or {},
            chances=chances or {},
            raw=reply.text if reply else "",
            frames_shown=shown,
            provenance=Provenance(
                captioner="endpoint",
                model=self.config.model,
                revision=reply.fingerprint if reply else "",
                decoding=self._decoding,
            ),
            detail=detail,
        )

    def _body(self, prompt: Prompt, pictures: list[dict[str, Any]], *, max_tokens: int = 0) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.config.model,
            "messages": [{"role": "user", "content": [*pictures, {"type": "text", "text": prompt.text}]}],
            "max_tokens": max_tokens or self.config.max_new_tokens,
            "temperature": self.config.temperature,
        }
        if prompt.wants_json and self.config.json_schema:
            schema = {"name": "captions", "strict": True, "schema": answer_schema(prompt)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if prompt.choices and self.config.logprobs:  # of free text: under a schema they are of its choices
            body |= {"logprobs": True, "top_logprobs": _TOP_LOGPROBS}
        return body

    def _sample_indices(self, request: CaptionRequest) -> tuple[int, ...]:
        config = self.config
        indices = choose_frames(
            request.frames_THWC, request.times_s, count=config.frames, fps=config.fps, by=config.frames_by
        )
        return tuple(dict.fromkeys(indices))  # a repeated picture costs and says nothing

    def _pictures(self, request: CaptionRequest, shown: tuple[int, ...]) -> list[dict[str, Any]]:
        """Return the parts of a message that show the frames, each after its time."""
        parts: list[dict[str, Any]] = []
        for index in shown:
            if self.config.times:
                parts.append({"type": "text", "text": f"{request.times_s[index]:.2f} s"})
            url = _data_url(request.frames_THWC[index], self.config.jpeg_quality)
            parts.append({"type": "image_url", "image_url": {"url": url}})
        return parts

    def _highest_cost(self) -> float:
        return self._cost(self._input_tokens, self.config.max_new_tokens)

    def _cost(self, input_tokens: int, output_tokens: int) -> float:
        prices = self.config.input_price, self.config.output_price
        return (input_tokens * prices[0] + output_tokens * prices[1]) / _PER_MILLION

    def _count(self, reply: Reply) -> None:
        read, written = reply.input_tokens or 0, reply.output_tokens or 0
        self.usage.input_tokens += read
        self.usage.output_tokens += written
        self.usage.cached_tokens += reply.cached_tokens or 0
        self.usage.cost += self._cost(read, written)
        self._input_tokens = max(self._input_tokens, read)

    def _try_out(self, prompt: Prompt) -> None:
        """Ask for one token about noise, so that a wrong setting fails before there is work."""
        frames = self.config.frames
        rng = np.random.default_rng(0)
        request = CaptionRequest(
            clip_id="trial",
            media_id="trial",
            frames_THWC=rng.integers(0, 255, (frames, *_TRIED_SIZE, 3), dtype=np.uint8),
            times_s=tuple(k / (self.config.fps or 4.0) for k in range(frames)),
            prompt=prompt,
        )

        async def ask() -> Reply:
            async with ChatClient(self.config, self._key) as client:
                pictures = self._pictures(request, tuple(range(frames)))
                return await client.ask(self._body(prompt, pictures, max_tokens=1), seed="trial")

        try:
            reply = asyncio.run(ask())
        except RequestFailed as failed:
            raise ValueError(
                f"captioner.endpoint: a trial request with {frames} pictures failed: {failed}. Mend url, "
                "model, api_key_env or frames; vLLM takes more pictures with --limit-mm-per-prompt"
                f"{_NO_LOGPROBS * bool(prompt.choices and self.config.logprobs)}"
            ) from failed
        if self.config.max_cost is not None and reply.input_tokens is None:
            raise ValueError(
                f"captioner.endpoint.max_cost: {self.config.url} reports no token usage, so cost is unknown; "
                "leave max_cost out"
            )
        self._count(reply)


def _data_url(frame_HWC: np.ndarray, quality: int) -> str:
    done, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise ValueError(f"a frame of shape {frame_HWC.shape} cannot be written as JPEG")
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}"


def _api_key(config: EndpointConfig) -> str:
    if not config.api_key_env:
        return ""
    if not (key := os.environ.get(config.api_key_env)):
        raise ValueError(
            f"captioner.endpoint.api_key_env: the environment has no {config.api_key_env}; set it on every "
            "machine that captions"
        )
    return key


def _decoding(config: EndpointConfig) -> dict[str, Any]:
    """Return the decoding parameters that captions store."""
    names = ("frames", "fps", "frames_by", "max_new_tokens", "temperature", "times", "jpeg_quality")
    return {name: getattr(config, name) for name in names}
