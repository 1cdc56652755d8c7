"""An engine of vLLM that answers prompts about chosen frames. Imported only where vLLM is installed.

Its environment needs vLLM, and of Kinora this module and what it imports: no ray, pyarrow or OpenCV.

Shapes: T frames of one clip, H x W pixels, C = 3 (RGB, uint8).
"""

# vLLM is not installed where types are checked.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

import asyncio
import math
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import vllm
from PIL import Image
from transformers import AutoProcessor
from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.multimodal import MULTIMODAL_REGISTRY
from vllm.platforms import current_platform
from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

from captioner.config import VllmConfig
from captioner.markup import Markup
from captioner.protocol import ReplyToken
from captioner.vllm_protocol import EngineInfo, EngineLost, EnginePrompt, EngineRequest, Generation
from captioner.vlm_inputs import VlmInputs, model_revision, video_metadata
from captioner.vlm_types import REMEDY

_TRIED_SIZE = (90, 160)
"""Height and width of the frames of the trial request."""
_LOG = Path("/proc/self/fd/2")
"""What vLLM's processes write errors to; a file, in an actor of Ray."""
_NO_CAUSE = re.compile(r"root cause|EngineDeadError")
"""What is in errors that only tell of another one."""


class VllmEngine:
    """A model in vLLM. Prompts about a clip share the reading of its frames."""

    def __init__(self, config: VllmConfig) -> None:
        """Load the model.

        Raises ValueError, with what to use instead, for a model that cannot caption clips of
        `config.frames` frames, and what vLLM raises for one that it cannot load.
        """
        self.config, self._log_begin = config, log_size()
        arguments = _arguments(config)
        model_config = AsyncEngineArgs(**arguments).create_model_config()
        if not model_config.is_multimodal_model:
            raise ValueError(f"captioner.vllm.model: {config.model} sees no pictures in vLLM; {REMEDY}")
        processor: Any = AutoProcessor.from_pretrained(config.model, revision=config.revision)
        self.inputs = VlmInputs(processor, model_config.hf_config.model_type)
        if not self.inputs.type.places or not getattr(processor, "chat_template", None):
            raise ValueError(
                f"captioner.vllm.model: {config.model} has no chat template that places its pictures: "
                "caption with captioner.kind vlm"
            )
        limits = MULTIMODAL_REGISTRY.create_processor(model_config).info.supported_mm_limits
        self.inputs.shows_video = self.inputs.shows_video and "video" in limits
        _check_frames(config, self.inputs, limits)
        shown = {"video": 1} if self.inputs.shows_video else {"image": config.frames}
        arguments["limit_mm_per_prompt"] = dict.fromkeys(limits, 0) | shown
        self.info = EngineInfo(
            revision=model_revision(config, model_config.hf_config),
            markup=Markup.of(processor),
            vllm_version=vllm.__version__,
        )
        self._engine = AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))
        self._turns = _Turns()

    async def try_out(self) -> None:
        """Answer one token about noise, so that a wrong setting fails before there is work.

        Raises ValueError with what to use instead.
        """
        frames = self.config.frames
        noise_THWC = np.random.default_rng(0).integers(0, 255, (frames, *_TRIED_SIZE, 3), dtype=np.uint8)
        request = EngineRequest(
            clip_id="trial",
            frames_THWC=noise_THWC,
            times_s=tuple(k / (self.config.fps or 4.0) for k in range(frames)),
            prompts=(EnginePrompt(text="Describe the video.", seed=0),),
        )
        try:
            (generation,) = await self._answer(request, max_tokens=1)
            error = generation.error
        except EngineLost as lost:
            error = last_error(self._log_begin) or str(lost)
        if error:
            raise ValueError(
                f"captioner.vllm.model: {self.config.model} cannot caption a clip of {frames} frames in vLLM "
                f"{vllm.__version__}: {error}; {REMEDY}"
            )

    async def answer(self, request: EngineRequest) -> list[Generation]:
        """Answer the prompts about a clip, in their order, beside other clips.

        Raises EngineLost if vLLM can no longer work: the process must be started again.
        """
        async with self._turns.shared():
            return await self._answer(request)

    async def answer_alone(self, request: EngineRequest) -> AsyncIterator[list[Generation]]:
        """Yield no answers once no other clip is in work, then the answers. Raises as `answer` does."""
        async with self._turns.alone():
            yield []
            yield await self._answer(request)

    def shutdown(self) -> None:
        """End vLLM's processes."""
        self._engine.shutdown()

    async def _answer(self, request: EngineRequest, *, max_tokens: int = 0) -> list[Generation]:
        try:
            media = self._media(request)
        except Exception as error:
            return [Generation(error=_describe(error)) for _ in request.prompts]
        # in vLLM's queue they follow each other, so that the later ones find the frames in its caches
        rendered = [await self._render(request, prompt, media) for prompt in request.prompts]
        return await asyncio.gather(
            *(self._generate(*asked, max_tokens) for asked in zip(rendered, request.prompts, strict=True))
        )

    async def _render(
        self, request: EngineRequest, prompt: EnginePrompt, media: Mapping[str, Any]
    ) -> Any | Generation:
        """Return what vLLM's engine takes, or why there is none."""
        try:
            ids = self.inputs.prompt_ids(prompt.text, len(request.frames_THWC))
            asked = [{"prompt_token_ids": ids, **media}]
            return (await self._engine.renderer.render_cmpl_async(asked))[0]
        except Exception as error:
            return Generation(error=_describe(error))

    async def _generate(
        self, rendered: Any | Generation, prompt: EnginePrompt, max_tokens: int
    ) -> Generation:
        if isinstance(rendered, Generation):
            return rendered
        schema = StructuredOutputsParams(json=dict(prompt.schema)) if prompt.schema else None
        params = SamplingParams(
            temperature=self.config.temperature,
            # vLLM 0.32 for CPUs ends on a seed: "CPU Generator does not use offset"
            seed=None if current_platform.is_cpu() else prompt.seed,
            max_tokens=max_tokens or self.config.max_new_tokens,
            logprobs=None if schema else prompt.num_alternatives,
            skip_special_tokens=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
            structured_outputs=schema,
        )
        try:
            async with asyncio.timeout(self.config.timeout_s):
                async for output in self._engine.generate(rendered, params, uuid4().hex):
                    return _generation(output, with_tokens=prompt.num_alternatives > 1)
        except TimeoutError:
            return Generation(timed_out=True)
        except EngineDeadError as error:
            raise EngineLost(str(error)) from error
        except Exception as error:
            return Generation(error=_describe(error))
        return Generation(error="vLLM ended the request without an answer")

    def _media(self, request: EngineRequest) -> dict[str, Any]:
        """Return the parts of a vLLM prompt that show the frames with their times."""
        frames_THWC, times = request.frames_THWC, [*request.times_s]
        if self.inputs.shows_video:
            frames_THWC, times = self.inputs.padded(frames_THWC, times)
            metadata = asdict(video_metadata(times)) | {"do_sample_frames": False}
            data: dict[str, Any] = {"video": [(frames_THWC, metadata)]}
        else:
            data = {"image": [Image.fromarray(frame_HWC) for frame_HWC in frames_THWC]}
        return {"multi_modal_data": data, "mm_processor_kwargs": dict(self.inputs.type.options)}


class _Turns:
    """Lets requests in beside each other, or one alone."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._shared, self._alone, self._waiting = 0, False, 0

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        async with self._changed:
            await self._changed.wait_for(lambda: not self._alone and not self._waiting)
            self._shared += 1
        try:
            yield
        finally:
            async with self._changed:
                self._shared -= 1
                self._changed.notify_all()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        async with self._changed:
            self._waiting += 1
            try:
                await self._changed.wait_for(lambda: not self._alone and not self._shared)
                self._alone = True
            finally:
                self._waiting -= 1
        try:
            yield
        finally:
            async with self._changed:
                self._alone = False
                self._changed.notify_all()


def load_engine(config: VllmConfig) -> VllmEngine:
    """Load a model. Raises ValueError with the cause."""
    begin = log_size()
    try:
        return VllmEngine(config)
    except Exception as error:
        cause = last_error(begin) or _describe(error)
        raise ValueError(
            f"captioner.vllm: vLLM {vllm.__version__} cannot load {config.model}: {cause}"
        ) from error


def log_size() -> int:
    """Return the size of the log of errors; 0 if it is no file."""
    return os.fstat(2).st_size


def last_error(begin: int) -> str:
    """Return the last error in the log that names a cause, which vLLM's own processes write there alone.

    Args:
        begin: size of the log before.

    Returns an empty string if there is none.
    """
    log = ""
    with suppress(OSError), _LOG.open("rb") as written:
        written.seek(begin)
        log = written.read().decode("utf-8", "replace")
    found = re.findall(r"\b((?:\w+\.)*\w*(?:Error|Exception): .+)$", log, re.MULTILINE)
    return next((error for error in reversed(found) if not _NO_CAUSE.search(error)), "")


def _arguments(config: VllmConfig) -> dict[str, Any]:
    """Return the arguments of vLLM's engine. Raises ValueError for one that it does not know."""
    arguments: dict[str, Any] = {
        "model": config.model,
        "revision": config.revision,
        "dtype": config.dtype,
        "tensor_parallel_size": config.tensor_parallel_size,
        "gpu_memory_utilization": config.gpu_memory_utilization,
        "max_model_len": config.max_model_len,
        "max_num_seqs": config.max_num_seqs,
        "enable_prefix_caching": True,
        "distributed_executor_backend": "mp" if config.tensor_parallel_size > 1 else None,
        # a model may go on without end with blanks between the parts of an object
        "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
        "disable_log_stats": True,
    }
    known = {field.name for field in fields(AsyncEngineArgs)}
    wrong = {*config.engine_args} - known | {*config.engine_args} & {*VllmConfig.__dataclass_fields__}
    if wrong:
        raise ValueError(
            f"captioner.vllm.engine_args: {', '.join(sorted(wrong))}: no argument of vLLM "
            f"{vllm.__version__}'s engine, or a setting of captioner.vllm itself"
        )
    return {name: value for name, value in arguments.items() if value is not None} | config.engine_args


def _check_frames(config: VllmConfig, inputs: VlmInputs, limits: Mapping[str, int | None]) -> None:
    """Raise ValueError if a prompt cannot hold the frames of a clip."""
    if not inputs.shows_video and "image" not in limits:
        raise ValueError(f"captioner.vllm.model: {config.model} takes no pictures in vLLM; {REMEDY}")
    allowed = [inputs.max_frames, None if inputs.shows_video else limits["image"]]
    most = min((limit for limit in allowed if limit is not None), default=config.frames)
    if config.frames > most:
        raise ValueError(
            f"captioner.vllm.frames is {config.frames}, but {config.model} takes {most} per prompt in vLLM: "
            f"set it to {most}, or {REMEDY}"
        )


def _generation(output: Any, *, with_tokens: bool = False) -> Generation:
    """Return the final output of a request."""
    answer = output.outputs[0]
    best = [max(step.logprob for step in steps.values()) for steps in answer.logprobs or ()]
    return Generation(
        text=answer.text,
        ended=answer.finish_reason == "stop",
        confidence=sum(map(math.exp, best)) / len(best) if best else None,
        input_tokens=len(output.prompt_token_ids),
        cached_tokens=output.num_cached_tokens or 0,
        output_tokens=len(answer.token_ids),
        tokens=tuple(_reply_token(*place) for place in zip(answer.token_ids, answer.logprobs, strict=True))
        if with_tokens and answer.logprobs
        else (),
    )


def _reply_token(token: int, likely: Mapping[int, Any]) -> ReplyToken:
    """Return a token with its alternatives by their texts; several of one text count together."""
    alternatives: dict[str, float] = {}
    for other in likely.values():
        text = other.decoded_token or ""
        alternatives[text] = float(np.logaddexp(alternatives.get(text, -math.inf), other.logprob))
    return ReplyToken(text=likely[token].decoded_token or "", alternatives=alternatives)


def _describe(error: BaseException) -> str:
    """Return the message of an error, or of what vLLM hides behind one without a message."""
    if isinstance(error, EngineGenerateError) and error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"[:500]
