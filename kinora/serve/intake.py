"""From the fields of a request to a job: what it is made from, its verb, its shape. All is checked at once.

What can only be known from every frame of an input is found when the video is made, and fails its job.
"""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from kinora.generation.checks import prompts_of
from kinora.generation.config import RequestConfig, to_request
from kinora.generation.inputs import MediaReader
from kinora.generation.prepare import choose_shape
from kinora.generation.request import DEFAULT_SECONDS, Verb, verb_of
from kinora.generation.shapes import Size, num_frames
from kinora.safety.policy import Policy
from kinora.serve.config import ServeConfig
from kinora.serve.errors import ApiError, from_value_error
from kinora.serve.fields import Fields, items, read_fields
from kinora.serve.jobs import Job
from kinora.serve.queue import JobQueue
from kinora.serve.references import Given, References
from trainer.config import SampleConfig
from trainer.sample.model import TextToVideo
from video.config import SandboxConfig

Action = Literal["create", "edit", "extend"]
"""What an address of the interface does; `create` leaves the verb to the fields."""
DEFAULT_STRENGTH = 0.8
"""How far an edit or a remix replaces a video whose request does not say."""
LOOK_LIMITS = SandboxConfig(wall_s=20.0, wall_s_per_mb=0.5)
"""Limits of looking at one upload."""
_SINGLE = ("input_reference", "image_reference", "video_reference")


class Intake:
    """Makes jobs, one after the other: inputs are looked at in one child process."""

    def __init__(
        self,
        model: TextToVideo,
        name: str,
        queue: JobQueue,
        policy: Policy,
        config: ServeConfig,
        sample: SampleConfig,
    ) -> None:
        """Take jobs for a model called `name`; `sample` is how videos are sampled by default."""
        self._model, self._name, self._queue = model, name, queue
        self._policy, self._config, self._sample = policy, config, sample
        self._reader = MediaReader(LOOK_LIMITS)
        self._thread = ThreadPoolExecutor(1, "intake")  # a sandbox belongs to one thread

    def make(self, job_id: str, folder: Path, values: dict[str, Any], action: Action) -> Job:
        """Return the job of a request, with its inputs in `folder`. Raises ApiError."""
        return self._thread.submit(partial(self._make, job_id, folder, values, action)).result()

    def close(self) -> None:
        """End the child process."""
        self._thread.submit(self._reader.__exit__).result()
        self._thread.shutdown()

    def _make(self, job_id: str, folder: Path, values: dict[str, Any], action: Action) -> Job:
        fields = read_fields(values, model=self._name, fps=self._model.fps, defaults=self._sample)
        request, given = self._with_inputs(fields, folder, action)
        request, more = _as_long_as_given(request)
        source = next((each.job for each in given if each.job is not None), None)
        if source is not None:
            request = _like_source(request, source)
        if request.seed is None:
            request = replace(request, seed=secrets.randbelow(2**31))
        try:
            verb, size, notes = self._shape(request, fields, folder)
        except ValueError as error:
            raise from_value_error(error, str(folder)) from None
        self._check_size(request, size)
        verdict = self._policy.check(prompts_of(request.prompt, request.prompt_at))
        if verdict.is_blocked:
            raise ApiError(f"prompt: {verdict.message}", param="prompt", code="moderation_blocked")
        return Job(
            id=job_id,
            created_s=time.time(),
            verb=verb,
            request=request,
            sample=fields.sample,
            new_part_only=fields.new_part_only,
            model=self._name,
            seconds=self._seconds(request, verb, given, new_part_only=fields.new_part_only),
            size=str(size),
            remixed_from=source.id if source is not None else None,
            notes=(*fields.notes, *more, *notes),
            safety=verdict.record,
        )

    def _with_inputs(self, fields: Fields, folder: Path, action: Action) -> tuple[RequestConfig, list[Given]]:
        """Return the request with the names of its files, and what they are."""
        references = References(folder, self._reader, self._find, max_seconds=self._config.max_seconds)
        values, given = dict(fields.request), list[Given]()

        def take(field: str, value: Any) -> str:
            given.append(references.take(field, value))
            return given[-1].name

        single = [name for name in _SINGLE if name in fields.references]
        if len(single) > 1:
            raise ApiError(f"{' and '.join(single)}: give one of them", param=single[1])
        for name in single:
            file = take(name, fields.references[name])
            is_image = given[-1].kind == "image" if name == "input_reference" else name == "image_reference"
            values |= {"image": (file,)} if is_image else {"video": file}
        if "image" in fields.references:
            more = tuple(take("image", each) for each in items(fields.references["image"]))
            values["image"] = (*values.get("image", ()), *more)
        if "video" in fields.references:
            if "video" in values:
                raise ApiError(f"video and {single[0]}: give one of them", param="video")
            values["video"] = take("video", fields.references["video"])
        if "connect" in fields.references:
            pair = tuple(take("connect", each) for each in items(fields.references["connect"]))
            if len(pair) != 2:
                raise ApiError(f"connect: {len(pair)} videos: give two", param="connect")
            values["connect"] = pair
        if "from_draft" in fields.references:
            values["from_draft"] = take("from_draft", fields.references["from_draft"])
        return RequestConfig(**_with_verb(values, action)), given

    def _find(self, job_id: str) -> tuple[Job, Path]:
        job = self._queue.get(job_id)
        return job, self._queue.file(job)

    def _shape(
        self, request: RequestConfig, fields: Fields, folder: Path
    ) -> tuple[Verb, Size, tuple[str, ...]]:
        """Return the verb and the size of the result. Raises ValueError for what cannot be made."""
        full = to_request(request, seed=request.seed or 0, folder=folder)
        verb = verb_of(full)
        if fields.new_part_only and verb not in ("extend", "connect", "loop"):
            raise ValueError("--new-part-only leaves out the frames of a given video: there is none")
        size, _, notes = choose_shape(self._model, full, fields.sample, self._reader)
        factor = self._model.vae.config.time_factor
        if verb in ("text", "animate") or (verb == "loop" and full.video is None):
            frames = num_frames(full, verb, self._model.fps, factor)
            self._model.latent_shape(frames, size.height, size.width, loop=verb == "loop")
        else:
            self._model.latent_shape(1, size.height, size.width)
        return verb, size, notes

    def _check_size(self, request: RequestConfig, size: Size) -> None:
        seconds = request.seconds or (request.frames or 0) / self._model.fps
        if seconds > self._config.max_seconds:
            text = f"seconds: {seconds:g} are too many: this server makes {self._config.max_seconds:g}"
            raise ApiError(f"{text} at most (--max-seconds)", param="seconds")
        if size.width * size.height > self._config.max_pixels:
            text = f"size: {size} is too large: this server makes {self._config.max_pixels} pixels"
            raise ApiError(f"{text} at most (--max-pixels)", param="size")

    def _seconds(self, request: RequestConfig, verb: Verb, given: list[Given], *, new_part_only: bool) -> str:
        """Return the length of the result as clients see it, from what they asked for."""
        new = request.seconds
        if request.frames is not None:
            new = request.frames / self._model.fps
        old = 0.0 if verb == "animate" else sum(_length(each) for each in given)
        if verb in ("edit", "from_draft"):
            return f"{old:g}"
        return f"{(0.0 if new_part_only else old) + (new or DEFAULT_SECONDS):g}"


def _with_verb(values: dict[str, Any], action: Action) -> dict[str, Any]:
    """Add what an address means, and the strength of an edit that does not say it."""
    if action != "create" and not values.get("video"):
        raise ApiError("video: give the video as a file, or its id", param="video")
    if action == "extend":
        values = {"extend": "forward"} | values
    if values.get("video") and not ({"strength", "extend"} & values.keys() or values.get("loop")):
        values = values | {"strength": DEFAULT_STRENGTH}
    return values


def _as_long_as_given(request: RequestConfig) -> tuple[RequestConfig, tuple[str, ...]]:
    """Leave out the length of an edit, which some clients always send; return a note of it."""
    if request.video is None or request.strength is None or not (request.seconds or request.frames):
        return request, ()
    changed = replace(request, seconds=None, frames=None)
    return changed, ("seconds: left out, as an edit is as long as its video",)


def _like_source(request: RequestConfig, source: Job) -> RequestConfig:
    """Take what is not given from another job: its size or, of a draft, its prompt and seed."""
    if request.from_draft is None:
        return replace(request, size=request.size or source.size)
    draft = source.request
    return replace(
        request,
        prompt=request.prompt or draft.prompt,
        prompt_at=request.prompt_at or (() if request.prompt else draft.prompt_at),
        negative_prompt=request.negative_prompt or draft.negative_prompt,
        seed=draft.seed if request.seed is None else request.seed,
    )


def _length(given: Given) -> float:
    if given.job is not None:
        return float(given.job.seconds)
    return round(given.seconds or 0.0, 3)
